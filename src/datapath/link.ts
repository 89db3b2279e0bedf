/**
 * The datapath's end of one eswitch: takes frames and returned slots from the up ring, sends frames and the eswitch's own slots down (port/link.ts).
 * Knows which of the datapath's slots the eswitch holds, so that none is lost with a worker that dies.
 *
 * What comes up is taken in two steps. `fetch` empties the ring: returned slots are free at once, frames and markers queue up here. `run` handles those, for as long
 * as there is room for them below. So a frame that must wait for room never stands in front of the return that makes it.
 */
import { RingConsumer, type RingMemory, RingProducer } from '../lib/ring.ts'
import { BIG_SIZE, M_SIZE, META_WORDS, type SlotPool } from '../packet/slot.ts'
import {
  DOWN_FENCE,
  DOWN_MARKER,
  DOWN_RETURN,
  DOWN_TX,
  LINK_RECORD,
  LINK_SHARE,
  linkRingWords,
  MARKER_RECORD,
  STALL_MS,
  UP_FENCE,
  UP_FRAME,
  UP_RETURN,
} from '../port/link.ts'
import { BATCH } from '../port/thread-status.ts'

/** Records taken from the ring in one round: a batch of frames, and the returns of another one. */
const FETCH = 2 * BATCH

/** Where what comes up goes. */
export interface LinkHandler {
  /** `n` frames of the eswitch, in slots of its own, that missed on `ports`. */
  framesUp(slots: Int32Array, ports: Int32Array, n: number): void
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
  /** Frames and markers fetched and not yet handled: head and operand, a queue. */
  readonly #queue: Int32Array
  #oldest = 0
  #queued = 0
  /** Frames that are handled as one, and their ports. */
  readonly #slots = new Int32Array(BATCH)
  readonly #ports = new Int32Array(BATCH)
  /** Since when there is no room; -1: there is. */
  #tightSince = -1

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
    // As many records as the ring: all slots and markers that can be on their way.
    this.#queue = new Int32Array(linkRingWords(pool.arena))
  }

  /** Takes records from the ring, a bounded number. True if there was one. */
  fetch(): boolean {
    const words = this.#up.words
    const queue = this.#queue
    let n = 0
    for (; n < FETCH && this.#queued + 2 <= queue.length; n++) {
      const at = this.#up.next()
      if (at < 0) break
      const head = words[at]!
      if ((head & 0xff) === UP_RETURN) {
        this.#back(words[at + 1]!)
        continue
      }
      const to = (this.#oldest + this.#queued) & (queue.length - 1)
      queue[to] = head
      queue[to + 1] = words[at + 1]!
      this.#queued += 2
    }
    if (n > 0) this.#up.release()
    return n > 0
  }

  /** Handles at most BATCH of the frames and markers fetched, of frames no more than `room` gives. True if there was one. */
  run(handler: LinkHandler, room: () => number): boolean {
    const queue = this.#queue
    let n = 0
    let frames = 0
    let left = 0
    for (; n < BATCH && this.#queued > 0; n++) {
      const head = queue[this.#oldest]!
      const operand = queue[this.#oldest + 1]!
      const op = head & 0xff
      const frame = op === UP_FRAME
      if (frames > 0 && (!frame || frames === left)) {
        handler.framesUp(this.#slots, this.#ports, frames)
        frames = 0
      }
      if (frame) {
        if (frames === 0) left = room()
        if (left === 0) break
        this.#slots[frames] = operand
        this.#ports[frames++] = head >>> 8
      } else if (op === UP_FENCE) this.#answerFence()
      else handler.markerUp(this, head >>> 8, operand)
      this.#oldest = (this.#oldest + 2) & (queue.length - 1)
      this.#queued -= 2
    }
    if (frames > 0) handler.framesUp(this.#slots, this.#ports, frames)
    return n > 0
  }

  /** True if `run` has something to do, or will have when there is room. */
  get waiting(): boolean {
    return this.#queued > 0
  }

  /**
   * Frames of whatever size that may go down now in slots of the datapath. Without a limit when there has been no room for STALL_MS: an eswitch that stands still must
   * not hold up everything else; what goes to it is dropped then.
   */
  room(now: number): number {
    const { small, big } = this.#pool.arena
    const n = Math.min(
      Math.floor(small * LINK_SHARE) - this.#lentSmall,
      Math.floor(big * LINK_SHARE) - this.#lentBig,
      // Frames from elsewhere are copied into slots, and a small one takes a big slot when there is no other.
      this.#pool.bigFree,
    )
    if (n > 0) {
      this.#tightSince = -1
      return n
    }
    if (this.#tightSince < 0) this.#tightSince = now
    return now - this.#tightSince < STALL_MS ? 0 : BATCH
  }

  /** True if one more of the datapath's slots may go to this eswitch. */
  mayLend(slot: number): boolean {
    const { small, big } = this.#pool.arena
    return this.#isBig(slot)
      ? this.#lentBig < Math.floor(big * LINK_SHARE)
      : this.#lentSmall < Math.floor(small * LINK_SHARE)
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

  /** `low`, `high`: microflows with late frames (waiting.ts). */
  answerMarker(port: number, seq: number, low: number, high: number): void {
    const at = this.#down.reserve(MARKER_RECORD)
    if (at < 0) throw new Error(`ring to eswitch ${this.owner} has no room for a marker`)
    const words = this.#down.words
    words[at] = DOWN_MARKER | (port << 8)
    words[at + 1] = seq
    words[at + 2] = low
    words[at + 3] = high
    this.#wrote = true
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

  #answerFence(): void {
    if (!this.#write(DOWN_FENCE, 0)) throw new Error(`ring to eswitch ${this.owner} has no room for a fence`)
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
