/**
 * The datapath's end of one eswitch: takes frames and returned slots from the up ring, sends frames and the eswitch's own slots down (port/link.ts).
 * Knows which of the datapath's slots the eswitch holds, so that none is lost with a worker that dies.
 */
import { RingConsumer, type RingMemory, RingProducer } from '../lib/ring.ts'
import { BIG_SIZE, M_SIZE, META_WORDS, type SlotPool } from '../packet/slot.ts'
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

/** Where what comes up goes. */
export interface LinkHandler {
  /** A frame of the eswitch, in a slot of its own, that missed on `port`. */
  frameUp(slot: number, port: number): void
  markerUp(link: EswitchLink, port: number, seq: number): void
}

export class EswitchLink {
  /** The eswitch's partition of the arena. */
  readonly owner: number
  readonly #up: RingConsumer
  readonly #down: RingProducer
  readonly #pool: SlotPool
  readonly #signal: () => void
  /** 1 for each of the pool's slots that the eswitch holds. */
  readonly #lent: Uint8Array
  readonly #first: number
  #lentSmall = 0
  #lentBig = 0
  #wrote = false

  /** `signal` wakes the eswitch's worker. */
  constructor(owner: number, up: RingMemory, down: RingMemory, pool: SlotPool, signal: () => void) {
    this.owner = owner
    this.#up = new RingConsumer(up)
    this.#down = new RingProducer(down)
    this.#pool = pool
    this.#signal = signal
    const { small, big } = pool.arena
    this.#lent = new Uint8Array(small + big)
    this.#first = pool.owner * (small + big)
  }

  /** Handles at most BATCH records. True if there was one. */
  drain(handler: LinkHandler, max = BATCH): boolean {
    const words = this.#up.words
    let n = 0
    for (; n < max; n++) {
      const at = this.#up.next()
      if (at < 0) break
      const operand = words[at + 1]!
      switch (words[at]! & 0xff) {
        case UP_FRAME:
          handler.frameUp(operand, words[at]! >>> 8)
          break
        case UP_RETURN:
          this.#back(operand)
          break
        case UP_MARKER:
          handler.markerUp(this, words[at]! >>> 8, operand)
      }
    }
    if (n > 0) this.#up.release()
    return n > 0
  }

  /** True if one more of the datapath's slots may go to this eswitch. */
  mayLend(slot: number): boolean {
    const { small, big } = this.#pool.arena
    return this.#isBig(slot) ? this.#lentBig < big * LINK_SHARE : this.#lentSmall < small * LINK_SHARE
  }

  /** Sends a slot of the datapath (see mayLend) or of this eswitch out of `port`. False when the ring is full. */
  send(slot: number, port: number, own: boolean): boolean {
    if (!this.#write(DOWN_TX | (port << 8), slot)) return false
    if (own) {
      this.#lent[slot - this.#first] = 1
      if (this.#isBig(slot)) this.#lentBig++
      else this.#lentSmall++
    }
    return true
  }

  /** Gives a slot back to the eswitch. The ring has room for all of them. */
  giveBack(slot: number): void {
    if (!this.#write(DOWN_RETURN, slot)) throw new Error(`ring to eswitch ${this.owner} has no room for its own slots`)
  }

  answerMarker(port: number, seq: number): void {
    if (!this.#write(DOWN_MARKER | (port << 8), seq))
      throw new Error(`ring to eswitch ${this.owner} has no room for a marker`)
  }

  /** Makes the batch visible, and wakes the eswitch if it sleeps. */
  publish(): void {
    if (!this.#wrote) return
    this.#wrote = false
    this.#down.publish()
    if (this.#down.mustWake()) this.#signal()
  }

  /** The eswitch's worker is gone and its up ring drained: takes all lent slots back; each comes to `lost`, which owns it. */
  reclaim(lost: (slot: number) => void): void {
    for (let i = 0; i < this.#lent.length; i++) {
      if (this.#lent[i] === 0) continue
      this.#lent[i] = 0
      lost(this.#first + i)
    }
    this.#lentSmall = 0
    this.#lentBig = 0
  }

  get ready(): boolean {
    return this.#up.ready
  }

  sleep(): boolean {
    return this.#up.sleep()
  }

  awake(): void {
    this.#up.awake()
  }

  #back(slot: number): void {
    if (this.#lent[slot - this.#first] !== 1) return
    this.#lent[slot - this.#first] = 0
    if (this.#isBig(slot)) this.#lentBig--
    else this.#lentSmall--
    this.#pool.give(slot)
  }

  #isBig(slot: number): boolean {
    return this.#pool.arena.meta[slot * META_WORDS + M_SIZE] === BIG_SIZE
  }

  #write(head: number, operand: number): boolean {
    const at = this.#down.reserve(LINK_RECORD)
    if (at < 0) return false
    this.#down.words[at] = head
    this.#down.words[at + 1] = operand
    this.#wrote = true
    return true
  }
}
