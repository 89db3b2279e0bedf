/**
 * Frames that wait for tier 1: those lent to it as upcalls, and those parked behind an upcall of their own microflow. Everything is bounded, by port
 * and by microflow.
 *
 * Per port it also knows when all frames that waited at some moment have gone (a *grace period*, as in RCU): frames are stamped with one of two
 * epochs, a marker turns the epoch over and waits for the old one to run empty. A stream of new flows cannot starve a marker.
 */
import { M_PORT, M_USER, META_WORDS } from '../packet/slot.ts'
import { MAX_PORTS } from '../port/contract.ts'

/** Words of a slot's metadata that the datapath uses while it holds the slot. */
export const U_NEXT = M_USER
export const U_ORDER = M_USER + 1
export const U_EPOCH = M_USER + 2
/** Look-ups so far. */
export const U_LOOKUPS = M_USER + 3

export interface WaitingLimits {
  readonly upcallsPerPort: number
  readonly parkedPerFlow: number
  readonly parkedPerPort: number
}

export const WAITING_LIMITS: WaitingLimits = { upcallsPerPort: 64, parkedPerFlow: 64, parkedPerPort: 256 }

/** Sequence number of a grace period that nobody waits for any more. */
const NOBODY = 0x7fffffff

interface Entry {
  /** Upcalls of this microflow that main has not answered. */
  outstanding: number
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

  epoch(port: number): number {
    return this.#epoch[port]!
  }

  isBusy(order: number): boolean {
    return this.#entries.has(order)
  }

  mayUpcall(port: number): boolean {
    return this.#upcalls[port]! < this.#limits.upcallsPerPort
  }

  mayPark(port: number, order: number): boolean {
    return (
      this.#parked[port]! < this.#limits.parkedPerPort && this.#entries.get(order)!.parked < this.#limits.parkedPerFlow
    )
  }

  /** The slot (stamped) goes to main. */
  upcall(slot: number): void {
    const m = slot * META_WORDS
    const order = this.#meta[m + U_ORDER]!
    let entry = this.#entries.get(order)
    if (entry === undefined) {
      entry = this.#spare.pop() ?? { outstanding: 0, head: -1, tail: -1, parked: 0 }
      this.#entries.set(order, entry)
    }
    entry.outstanding++
    this.outstanding++
    this.#count(this.#upcalls, m, 1)
  }

  /** Main has answered; the microflow stays busy until `settle`. */
  answered(slot: number): void {
    this.outstanding--
    this.#count(this.#upcalls, slot * META_WORDS, -1)
  }

  /** The slot (stamped) waits behind the upcall of its microflow, which is busy. */
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

  /** Forgets grace periods of the port: who asked is gone. */
  dropGrace(port: number): void {
    if (this.#grace[port]! >= 0) this.#grace[port] = NOBODY
    this.#nextGrace[port] = -1
  }

  #count(by: Int32Array, m: number, n: number): void {
    const port = this.#meta[m + M_PORT]!
    const held = port * 2 + this.#meta[m + U_EPOCH]!
    by[port] = by[port]! + n
    this.#held[held] = this.#held[held]! + n
  }
}
