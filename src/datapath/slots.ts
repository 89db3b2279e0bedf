/** What becomes of slots in the datapath: copies of its own, drops that are counted, and the way back to the owner. */
import type { ReplyRing } from '../lib/reply-ring.ts'
import { type Arena, HEADROOM, M_LEN, M_OWNER, M_PORT, META_WORDS, SlotPool, SMALL_SIZE } from '../packet/slot.ts'
import { dropIndex } from '../port/drop.ts'
import { countDrop } from '../port/stats.ts'
import type { EswitchLinks } from './links.ts'
import { REPLY_RETURN } from './records.ts'
import { OWNER_DATAPATH, OWNER_MAIN } from './shared.ts'

const COPY_NO_SLOT = dropIndex('copy-no-slot')
/** Slots of each class that frames which wait must leave for others. */
const KEEP_FREE = 0.25

export class Slots {
  readonly pool: SlotPool
  readonly #arena: Arena
  readonly #meta: Int32Array
  readonly #stats: Float64Array
  readonly #links: EswitchLinks
  readonly #replies: ReplyRing

  constructor(arena: Arena, stats: Float64Array, links: EswitchLinks, replies: ReplyRing) {
    this.pool = new SlotPool(arena, OWNER_DATAPATH)
    this.#arena = arena
    this.#meta = arena.meta
    this.#stats = stats
    this.#links = links
    this.#replies = replies
  }

  /** The slot itself, or a copy in a slot of this thread. -1 when there was none; the frame is dropped then. */
  toOwn(slot: number): number {
    if (this.#meta[slot * META_WORDS + M_OWNER] === OWNER_DATAPATH) return slot
    const copy = this.pool.copy(slot)
    if (copy < 0) this.drop(slot, COPY_NO_SLOT)
    else this.dispose(slot)
    return copy
  }

  /** False when so few slots are left that a frame of the slot's size may not wait. */
  roomToWait(slot: number): boolean {
    const { small, big } = this.#arena
    const wide = this.#meta[slot * META_WORDS + M_LEN]! > SMALL_SIZE - HEADROOM
    return wide ? this.pool.bigFree > big * KEEP_FREE : this.pool.smallFree > small * KEEP_FREE
  }

  drop(slot: number, reason: number): void {
    this.dropAt(slot, this.#meta[slot * META_WORDS + M_PORT]!, reason)
  }

  /** A drop that is the fault of port `no`. */
  dropAt(slot: number, no: number, reason: number): void {
    countDrop(this.#stats, no, reason)
    this.dispose(slot)
  }

  dispose(slot: number): void {
    const owner = this.#meta[slot * META_WORDS + M_OWNER]!
    if (owner === OWNER_DATAPATH) this.pool.give(slot)
    else if (owner === OWNER_MAIN) this.#replies.push(REPLY_RETURN, slot)
    // An eswitch that is gone takes its whole partition back when it starts again.
    else this.#links.byOwner(owner)?.giveBack(slot)
  }
}
