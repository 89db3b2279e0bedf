/**
 * The eswitch's end of its two rings with the datapath (port/link.ts). Bounds how many of its slots are up there, by class and by port, so that a
 * slow datapath cannot starve the traffic that rules carry, nor one port the others' misses.
 */
import { RingConsumer, type RingMemory, RingProducer } from '../lib/ring.ts'
import { BIG_SIZE, M_OWNER, M_PORT, M_SIZE, META_WORDS, type SlotPool } from '../packet/slot.ts'
import { MAX_PORTS } from '../port/contract.ts'
import {
  DOWN_FENCE,
  DOWN_MARKER,
  DOWN_RETURN,
  DOWN_TX,
  LINK_RECORD,
  LINK_SHARE,
  UP_FENCE,
  UP_FRAME,
  UP_MARKER,
  UP_RETURN,
} from '../port/link.ts'
import { BATCH } from '../port/thread-status.ts'

/** Slots that a port may always have up, room permitting. */
const MIN_SHARE = 4
/** Frames sent up at once whose answer is worth waiting for: what comes meanwhile makes the next batch a large one, of which more is merged (native/gro.h). */
const FENCED = 16
/**
 * Records after which the datapath is told at once. Of fewer it is told when a round adds none, or before this thread sleeps: to wake a thread costs as much as some
 * frames do, and while more are read it would sleep again in between.
 */
const TOLD = 32

export interface UplinkHandler {
  /** Send the slot (own or the datapath's) out of `port`. */
  frameDown(slot: number, port: number): void
  /** `low`, `high`: bits of microflows of which frames are above still (port/link.ts). */
  markerDown(port: number, seq: number, low: number, high: number): void
}

export class Uplink {
  readonly #up: RingProducer
  readonly #down: RingConsumer
  readonly #pool: SlotPool
  readonly #meta: Int32Array
  readonly #signal: () => void
  /** Own slots that are up or have their place there, by port number: small, big. */
  readonly #away = new Int32Array(MAX_PORTS * 2)
  /** By own slot, from the first one: the port for which it is up. M_PORT is not that any more when the slot is back: it may have come out of a tunnel there. */
  readonly #portOf: Int32Array
  readonly #first: number
  #awaySmall = 0
  #awayBig = 0
  /** Records since the last `publish`, and since the datapath was last told. */
  #wrote = 0
  #untold = 0
  /** Frames since the last `publish`. */
  #frames = 0
  /** A fence is under way. */
  #fence = false

  /** `signal` wakes the datapath's worker. */
  constructor(up: RingMemory, down: RingMemory, pool: SlotPool, signal: () => void) {
    this.#up = new RingProducer(up)
    this.#down = new RingConsumer(down)
    this.#pool = pool
    this.#meta = pool.arena.meta
    this.#signal = signal
    const { small, big } = pool.arena
    this.#portOf = new Int32Array(small + big)
    this.#first = pool.owner * (small + big)
  }

  /** Sends an own slot up as a miss of its port (M_PORT). False when that one's share is used up; the slot stays the caller's. */
  frame(slot: number): boolean {
    if (!this.reserve(slot)) return false
    this.reserved(slot)
    return true
  }

  /** Counts an own slot as one that is up, for `reserved` or `cancel` later. False when the share of its port is used up. */
  reserve(slot: number): boolean {
    const port = this.#meta[slot * META_WORDS + M_PORT]!
    if (this.#share(port, this.#isBig(slot)) === 0) return false
    this.#portOf[slot - this.#first] = port
    this.#count(slot, 1)
    return true
  }

  /** Sends a slot up that has its place. The ring has room for all of them. */
  reserved(slot: number): void {
    if (!this.#write(UP_FRAME | (this.#meta[slot * META_WORDS + M_PORT]! << 8), slot))
      throw new Error('ring to the datapath has no room for slots that it was made for')
    this.#frames++
  }

  /** The slot will not go up. */
  cancel(slot: number): void {
    this.#count(slot, -1)
  }

  /** Frames of `port`, of whatever size, that can go up now: so many calls of `frame` or `reserve` succeed. */
  room(port: number): number {
    return Math.min(this.#share(port, false), this.#share(port, true))
  }

  /**
   * Slots of a class that `port` may still send up. A port may have as many up as places are left free for all: a busy one gets half, and leaves the other half to
   * who comes. Each slot that it sends takes one from what is free and adds one to what it has, so the distance between the two shrinks by two.
   */
  #share(port: number, wide: boolean): number {
    const { small, big } = this.#pool.arena
    const free = Math.floor((wide ? big : small) * LINK_SHARE) - (wide ? this.#awayBig : this.#awaySmall)
    const has = this.#away[port * 2 + (wide ? 1 : 0)]!
    return Math.max(0, Math.min(free, Math.max(Math.ceil((free - has) / 2), MIN_SHARE - has)))
  }

  /** Gives a slot of the datapath back. The ring has room for all of them. */
  giveBack(slot: number): void {
    if (!this.#write(UP_RETURN, slot)) throw new Error('ring to the datapath has no room for its own slots')
  }

  /** False when there is no room now. */
  marker(port: number, seq: number): boolean {
    return this.#write(UP_MARKER | (port << 8), seq)
  }

  /** Handles at most BATCH records. True if there was one. */
  drain(handler: UplinkHandler): boolean {
    const words = this.#down.words
    let n = 0
    for (; n < BATCH; n++) {
      const at = this.#down.next()
      if (at < 0) break
      const operand = words[at + 1]!
      switch (words[at]! & 0xff) {
        case DOWN_TX:
          if (this.#meta[operand * META_WORDS + M_OWNER] === this.#pool.owner) this.#count(operand, -1)
          handler.frameDown(operand, words[at]! >>> 8)
          break
        case DOWN_RETURN:
          this.#count(operand, -1)
          this.#pool.give(operand)
          break
        case DOWN_MARKER:
          handler.markerDown(words[at]! >>> 8, operand, words[at + 2]!, words[at + 3]!)
          break
        case DOWN_FENCE:
          this.#fence = false
      }
    }
    if (n > 0) this.#down.release()
    return n > 0
  }

  /** Once a round. Makes what was written visible, and wakes the datapath if it sleeps and it is time. True if its answer to so large a batch should be waited for. */
  publish(): boolean {
    if (this.#wrote === 0) {
      this.#tell()
      return false
    }
    const fenced = this.#frames >= FENCED && !this.#fence && this.#write(UP_FENCE, 0)
    if (fenced) this.#fence = true
    this.#untold += this.#wrote
    this.#frames = 0
    this.#wrote = 0
    this.#up.publish()
    if (fenced || this.#untold >= TOLD) this.#tell()
    return fenced
  }

  #tell(): void {
    if (this.#untold === 0) return
    this.#untold = 0
    if (this.#up.mustWake()) this.#signal()
  }

  sleep(): boolean {
    this.#tell()
    return this.#down.sleep()
  }

  awake(): void {
    this.#down.awake()
  }

  #isBig(slot: number): boolean {
    return this.#meta[slot * META_WORDS + M_SIZE] === BIG_SIZE
  }

  #count(slot: number, n: number): void {
    const wide = this.#isBig(slot)
    if (wide) this.#awayBig += n
    else this.#awaySmall += n
    const at = this.#portOf[slot - this.#first]! * 2 + (wide ? 1 : 0)
    this.#away[at] = this.#away[at]! + n
  }

  #write(head: number, operand: number): boolean {
    const at = this.#up.reserve(LINK_RECORD)
    if (at < 0) return false
    this.#up.words[at] = head
    this.#up.words[at + 1] = operand
    this.#wrote++
    return true
  }
}
