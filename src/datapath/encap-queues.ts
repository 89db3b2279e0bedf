/**
 * Frames that wait for the next hop of their encap entry (flow/encap.ts), by entry in the order they came. Bounded by next hop, which several entries may share, and
 * in time.
 */
import { META_WORDS } from '../packet/slot.ts'
import { U_NEXT, U_SINCE, type Waiting } from './waiting.ts'

/** Frames that may wait for one next hop, and for how long. */
export const NEXT_HOP_FRAMES = 64
export const NEXT_HOP_MS = 1000

interface Queue {
  entry: number
  nextHop: number
  head: number
  tail: number
  n: number
}

export class EncapQueues {
  readonly #meta: Int32Array
  readonly #waiting: Waiting
  /** By entry; those with frames only. */
  readonly #queues = new Map<number, Queue>()
  readonly #spare: Queue[] = []
  /** Frames by next hop. */
  readonly #perHop = new Map<number, number>()
  /** Clock milliseconds that U_SINCE counts from. */
  #start = 0
  /** No frame is due before this. */
  #dueAt = Number.POSITIVE_INFINITY
  /** Frames that wait. */
  frames = 0

  constructor(meta: Int32Array, waiting: Waiting) {
    this.#meta = meta
    this.#waiting = waiting
  }

  mayWait(nextHop: number): boolean {
    return (this.#perHop.get(nextHop) ?? 0) < NEXT_HOP_FRAMES
  }

  /** Frames that wait for the entry. */
  count(entry: number): number {
    return this.#queues.get(entry)?.n ?? 0
  }

  /** The slot (the datapath's own) waits from now on. */
  add(slot: number, entry: number, nextHop: number, now: number): void {
    if (this.frames === 0) this.#start = now
    const m = slot * META_WORDS
    let queue = this.#queues.get(entry)
    if (queue === undefined) {
      queue = this.#spare.pop() ?? { entry, nextHop, head: -1, tail: -1, n: 0 }
      queue.entry = entry
      queue.nextHop = nextHop
      this.#queues.set(entry, queue)
    } else if (queue.nextHop !== nextHop) this.move(entry, nextHop)
    this.#meta[m + U_NEXT] = -1
    this.#meta[m + U_SINCE] = now - this.#start
    if (queue.head < 0) queue.head = slot
    else this.#meta[queue.tail * META_WORDS + U_NEXT] = slot
    queue.tail = slot
    queue.n++
    this.frames++
    this.#countHop(nextHop, 1)
    this.#waiting.hold(slot)
    if (this.frames === 1) this.#dueAt = now + NEXT_HOP_MS
  }

  /** Takes the entry's first frame; -1 when there is none. */
  take(entry: number): number {
    const queue = this.#queues.get(entry)
    if (queue === undefined) return -1
    const slot = queue.head
    queue.head = this.#meta[slot * META_WORDS + U_NEXT]!
    queue.n--
    this.frames--
    this.#countHop(queue.nextHop, -1)
    this.#waiting.unhold(slot)
    if (queue.n === 0) {
      queue.tail = -1
      this.#queues.delete(entry)
      this.#spare.push(queue)
    }
    return slot
  }

  /** The entry has another next hop. What waits goes on waiting, its time running on. */
  move(entry: number, nextHop: number): void {
    const queue = this.#queues.get(entry)
    if (queue === undefined || queue.nextHop === nextHop) return
    this.#countHop(queue.nextHop, -queue.n)
    this.#countHop(nextHop, queue.n)
    queue.nextHop = nextHop
  }

  /** Milliseconds until a frame may be due. */
  patience(now: number): number {
    return this.frames === 0 ? Number.POSITIVE_INFINITY : Math.max(0, this.#dueAt - now)
  }

  /** Takes a frame that has waited too long; -1 when there is none (any more). */
  expired(now: number): number {
    if (this.frames === 0 || now < this.#dueAt) return -1
    let next = Number.POSITIVE_INFINITY
    for (const queue of this.#queues.values()) {
      const due = this.#start + this.#meta[queue.head * META_WORDS + U_SINCE]! + NEXT_HOP_MS
      if (due <= now) return this.take(queue.entry)
      if (due < next) next = due
    }
    this.#dueAt = next
    return -1
  }

  #countHop(nextHop: number, n: number): void {
    const frames = (this.#perHop.get(nextHop) ?? 0) + n
    if (frames === 0) this.#perHop.delete(nextHop)
    else this.#perHop.set(nextHop, frames)
  }
}
