/**
 * The eswitch's end of its two rings with the datapath (port/link.ts). Bounds how many of its slots are up there, by class and by port, so that a
 * slow datapath cannot starve the traffic that rules carry, nor one port the others' misses.
 */
import { RingConsumer, type RingMemory, RingProducer } from '../lib/ring.ts'
import { BIG_SIZE, M_OWNER, M_PORT, M_SIZE, META_WORDS, type SlotPool } from '../packet/slot.ts'
import { MAX_PORTS } from '../port/contract.ts'
import {
  DOWN_MARKER,
  DOWN_RETURN,
  DOWN_TX,
  LINK_RECORD,
  LINK_SHARE,
  UP_FRAME,
  UP_MARKER,
  UP_RETURN,
} from '../port/link.ts'
import { BATCH } from '../port/thread-status.ts'

/** Slots that a port may always have up, room permitting. */
const MIN_SHARE = 4

export interface UplinkHandler {
  /** Send the slot (own or the datapath's) out of `port`. */
  frameDown(slot: number, port: number): void
  markerDown(port: number, seq: number): void
}

export class Uplink {
  readonly #up: RingProducer
  readonly #down: RingConsumer
  readonly #pool: SlotPool
  readonly #meta: Int32Array
  readonly #signal: () => void
  /** Own slots that are up, by port number: small, big. */
  readonly #away = new Int32Array(MAX_PORTS * 2)
  #awaySmall = 0
  #awayBig = 0
  #wrote = false

  /** `signal` wakes the datapath's worker. */
  constructor(up: RingMemory, down: RingMemory, pool: SlotPool, signal: () => void) {
    this.#up = new RingProducer(up)
    this.#down = new RingConsumer(down)
    this.#pool = pool
    this.#meta = pool.arena.meta
    this.#signal = signal
  }

  /** Sends an own slot up as a miss of `port`. False when its share is used up; the slot stays the caller's. */
  frame(slot: number, port: number): boolean {
    if (this.#share(port, this.#isBig(slot)) <= 0) return false
    if (!this.#write(UP_FRAME | (port << 8), slot)) return false
    this.#count(slot, 1)
    return true
  }

  /** Frames of `port`, of whatever size, that can go up now. */
  room(port: number): number {
    return Math.max(0, Math.min(this.#share(port, false), this.#share(port, true)))
  }

  /** Slots of a class that `port` may send up. It shrinks as the room fills up: one busy port gets half of it, and leaves the other half to who comes. */
  #share(port: number, wide: boolean): number {
    const { small, big } = this.#pool.arena
    const free = (wide ? big : small) * LINK_SHARE - (wide ? this.#awayBig : this.#awaySmall)
    return free <= 0 ? 0 : Math.max(MIN_SHARE, free) - this.#away[port * 2 + (wide ? 1 : 0)]!
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
          handler.markerDown(words[at]! >>> 8, operand)
      }
    }
    if (n > 0) this.#down.release()
    return n > 0
  }

  publish(): void {
    if (!this.#wrote) return
    this.#wrote = false
    this.#up.publish()
    if (this.#up.mustWake()) this.#signal()
  }

  sleep(): boolean {
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
    const at = this.#meta[slot * META_WORDS + M_PORT]! * 2 + (wide ? 1 : 0)
    this.#away[at] = this.#away[at]! + n
  }

  #write(head: number, operand: number): boolean {
    const at = this.#up.reserve(LINK_RECORD)
    if (at < 0) return false
    this.#up.words[at] = head
    this.#up.words[at + 1] = operand
    this.#wrote = true
    return true
  }
}
