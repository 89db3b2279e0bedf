/**
 * Frames that wait for tier 1: those lent to it as upcalls, and those parked behind an upcall of their own microflow. Everything is bounded, by port
 * and by microflow.
 *
 * Per port it also knows when all frames that waited at some moment have gone (a *grace period*, as in RCU): frames are stamped with one of two
 * epochs, a marker turns the epoch over and waits for the old one to run empty. A stream of new flows cannot starve a marker.
 *
 * Frames that wait for a next hop (encap-queues.ts) may do so for a second, because of a peer that is down; other microflows' markers do not wait for them. Instead the answer to a
 * marker says which microflows still have such *late* frames above, as bits (microflowBit).
 *
 * A frame's port here is its *origin*: the one by which it entered the datapath, whatever tunnels made of M_PORT since.
 */
import { M_USER, META_WORDS } from '../packet/slot.ts'
import { MAX_PORTS } from '../port/contract.ts'
import { microflowBit } from '../port/link.ts'

/** Words of a slot's metadata that the datapath uses while it holds the slot. */
export const U_NEXT = M_USER
export const U_ORDER = M_USER + 1
/** Since when the frame waits for a next hop. */
export const U_SINCE = M_USER + 2
/**
 * The rest of what is known of a frame: look-ups so far (bits 0..2), epoch (bit 3), origin (bits 4..13), number of an encap entry + 1 (bits 14..30): the one that it still must
 * be encapsulated by, or is too big for; 0 when there is none. Bit 31: the frame is late.
 */
export const U_STATE = M_USER + 3

const LOOKUPS = 7
const EPOCH_SHIFT = 3
const ORIGIN_SHIFT = 4
const ORIGIN = MAX_PORTS - 1
const ENCAP_SHIFT = 14
const ENCAP = 0x1ffff
const NOT_ENCAP = ~(ENCAP << ENCAP_SHIFT)
const LATE = 1 << 31
/** Counters of late frames by port: microflows share them. */
const LATE_COUNTERS = 64

export const lookupsOf = (state: number): number => state & LOOKUPS
export const originOf = (state: number): number => (state >>> ORIGIN_SHIFT) & ORIGIN
/** Entry, -1 for none. */
export const encapOf = (state: number): number => ((state >>> ENCAP_SHIFT) & ENCAP) - 1
export const withLookups = (state: number, lookups: number): number => (state & ~LOOKUPS) | lookups
/** `entry` -1: none. */
export const withEncap = (state: number, entry: number): number => (state & NOT_ENCAP) | ((entry + 1) << ENCAP_SHIFT)

export interface WaitingLimits {
  /** Upcalls that a port may always have outstanding. */
  readonly upcallsPerPort: number
  /** More than that a port may have as long as these are not used up: as many as are left for all, so that a busy one gets half of them, and who comes half of the rest. */
  readonly upcalls: number
  readonly parkedPerFlow: number
  readonly parkedPerPort: number
}

export const WAITING_LIMITS: WaitingLimits = {
  upcallsPerPort: 64,
  upcalls: 1024,
  parkedPerFlow: 64,
  parkedPerPort: 256,
}

/** Sequence number of a grace period that nobody waits for any more. */
const NOBODY = 0x7fffffff

interface Entry {
  /** Upcalls of this microflow that main has not answered. */
  outstanding: number
  /** The release that made the first of them, -1 for none. */
  release: number
  head: number
  tail: number
  parked: number
}

export class Waiting {
  readonly #meta: Int32Array
  readonly #limits: WaitingLimits
  readonly #entries = new Map<number, Entry>()
  readonly #spare: Entry[] = []
  readonly #upcalls = new Int32Array(MAX_PORTS)
  readonly #parked = new Int32Array(MAX_PORTS)
  readonly #epoch = new Int32Array(MAX_PORTS)
  /** Frames waiting, by port and epoch. */
  readonly #held = new Int32Array(MAX_PORTS * 2)
  /** Sequence number that the running grace period answers, and the one after it; -1 for none. */
  readonly #grace = new Int32Array(MAX_PORTS).fill(-1)
  readonly #nextGrace = new Int32Array(MAX_PORTS).fill(-1)
  /** Late frames, by port and bit of their microflow; by port; and whether the last answer to a marker told of some. */
  readonly #late = new Int32Array(MAX_PORTS * LATE_COUNTERS)
  readonly #lateFrames = new Int32Array(MAX_PORTS)
  readonly #toldLate = new Uint8Array(MAX_PORTS)
  /** Number of the release that is going on, -1 for none. */
  #release = -1
  #releases = 0
  outstanding = 0
  parked = 0

  constructor(meta: Int32Array, limits: WaitingLimits) {
    this.#meta = meta
    this.#limits = limits
  }

  /** Microflows with an upcall outstanding. */
  get flows(): number {
    return this.#entries.size
  }

  /** Marks a slot of microflow `order` as a new frame of the port. Done before anything else is asked about it. */
  stamp(slot: number, order: number, port: number): void {
    const m = slot * META_WORDS
    this.#meta[m + U_ORDER] = order
    this.#meta[m + U_STATE] = (port << ORIGIN_SHIFT) | (this.#epoch[port]! << EPOCH_SHIFT)
  }

  isBusy(order: number): boolean {
    return this.#entries.has(order)
  }

  mayUpcall(port: number): boolean {
    const has = this.#upcalls[port]!
    return has < this.#limits.upcallsPerPort || has < this.#limits.upcalls - this.outstanding
  }

  mayPark(port: number, order: number): boolean {
    return (
      this.#parked[port]! < this.#limits.parkedPerPort && this.#entries.get(order)!.parked < this.#limits.parkedPerFlow
    )
  }

  /** The slot goes to main. */
  upcall(slot: number): void {
    const m = slot * META_WORDS
    const order = this.#meta[m + U_ORDER]!
    let entry = this.#entries.get(order)
    if (entry === undefined) {
      entry = this.#spare.pop() ?? { outstanding: 0, release: -1, head: -1, tail: -1, parked: 0 }
      this.#entries.set(order, entry)
    }
    if (entry.outstanding === 0 && entry.parked === 0) entry.release = this.#release
    entry.outstanding++
    this.outstanding++
    this.#count(this.#upcalls, m, 1)
  }

  /** Main has answered; the microflow stays busy until `settle`. */
  answered(slot: number): void {
    this.outstanding--
    this.#count(this.#upcalls, slot * META_WORDS, -1)
  }

  /** The slot waits behind the upcall of its microflow, which is busy. */
  park(slot: number): void {
    const m = slot * META_WORDS
    const entry = this.#entries.get(this.#meta[m + U_ORDER]!)!
    this.#meta[m + U_NEXT] = -1
    if (entry.head < 0) entry.head = slot
    else this.#meta[entry.tail * META_WORDS + U_NEXT] = slot
    entry.tail = slot
    entry.parked++
    this.parked++
    this.#count(this.#parked, m, 1)
  }

  /**
   * After an answered packet was handled. True when the microflow has no upcall outstanding any more: take its frames by `unpark`, until that gives -1 or one of them
   * becomes an upcall again.
   */
  settle(order: number): boolean {
    return --this.#entries.get(order)!.outstanding === 0
  }

  /** The next frame of a settled microflow, or -1: then nothing waits, or an upcall is outstanding again. */
  unpark(order: number): number {
    const entry = this.#entries.get(order)!
    if (entry.outstanding > 0) return -1
    const slot = entry.head
    if (slot < 0) {
      this.#entries.delete(order)
      this.#spare.push(entry)
      return -1
    }
    const m = slot * META_WORDS
    entry.head = this.#meta[m + U_NEXT]!
    if (entry.head < 0) entry.tail = -1
    entry.parked--
    this.parked--
    this.#count(this.#parked, m, -1)
    return slot
  }

  /**
   * Frames that waited elsewhere are let go from here on. They are older than an upcall of their microflow that is outstanding already, and do not wait for it; they do for one
   * that the release itself makes first.
   */
  startRelease(): void {
    this.#release = this.#releases++ & 0x3fffffff
  }

  endRelease(): void {
    this.#release = -1
  }

  isBusyByRelease(order: number): boolean {
    const entry = this.#entries.get(order)
    return entry !== undefined && entry.release === this.#release
  }

  /** The slot, whose order is that of the packet as it came, waits for something that may take long. It is late from now on, whatever it waits for later. */
  makeLate(slot: number): void {
    const m = slot * META_WORDS
    this.#meta[m + U_STATE] = this.#meta[m + U_STATE]! | LATE
  }

  /** The slot waits elsewhere, for something else; and no more. */
  hold(slot: number): void {
    this.#countHeld(slot * META_WORDS, 1)
  }

  unhold(slot: number): void {
    this.#countHeld(slot * META_WORDS, -1)
  }

  /** Asks when all frames of the port that wait now have gone. Returns true if that is so already; else `graceOver` will tell. */
  startGrace(port: number, seq: number): boolean {
    if (this.#grace[port]! >= 0) {
      this.#nextGrace[port] = seq
      return false
    }
    const old = this.#epoch[port]!
    if (this.#held[port * 2 + old] === 0) return true
    this.#epoch[port] = 1 - old
    this.#grace[port] = seq
    return false
  }

  /** Sequence number of a grace period of the port that has just ended, or -1. Called when no frame of the port is being handled. */
  graceOver(port: number): number {
    const seq = this.#grace[port]!
    if (seq < 0 || this.#held[port * 2 + 1 - this.#epoch[port]!] !== 0) return -1
    this.#grace[port] = -1
    const next = this.#nextGrace[port]!
    this.#nextGrace[port] = -1
    if (next >= 0 && this.startGrace(port, next)) return next
    return seq === NOBODY ? -1 : seq
  }

  /** Microflows with late frames of the port, for an answer to a marker: bits 0..31. `lateHigh`: bits 32..63. */
  lateLow(port: number): number {
    this.#toldLate[port] = this.#lateFrames[port]! > 0 ? 1 : 0
    return this.#lateMask(port, 0)
  }

  lateHigh(port: number): number {
    return this.#lateMask(port, 32)
  }

  /** True, once, when the late frames that an answer told of have gone, and all later ones too. */
  lateOver(port: number): boolean {
    if (this.#toldLate[port] === 0 || this.#lateFrames[port]! > 0) return false
    this.#toldLate[port] = 0
    return true
  }

  #lateMask(port: number, from: number): number {
    if (this.#lateFrames[port] === 0) return 0
    let mask = 0
    for (let bit = 0; bit < 32; bit++) if (this.#late[port * LATE_COUNTERS + from + bit] !== 0) mask |= 1 << bit
    return mask
  }

  /** Forgets grace periods of the port: who asked is gone. */
  dropGrace(port: number): void {
    if (this.#grace[port]! >= 0) this.#grace[port] = NOBODY
    this.#nextGrace[port] = -1
    this.#toldLate[port] = 0
  }

  #count(by: Int32Array, m: number, n: number): void {
    const state = this.#meta[m + U_STATE]!
    const port = originOf(state)
    by[port] = by[port]! + n
    this.#countHeld(m, n)
  }

  #countHeld(m: number, n: number): void {
    const state = this.#meta[m + U_STATE]!
    if (state < 0) {
      const port = originOf(state)
      const late = port * LATE_COUNTERS + microflowBit(this.#meta[m + U_ORDER]!)
      this.#late[late] = this.#late[late]! + n
      this.#lateFrames[port] = this.#lateFrames[port]! + n
      return
    }
    const held = originOf(state) * 2 + ((state >>> EPOCH_SHIFT) & 1)
    this.#held[held] = this.#held[held]! + n
  }
}
