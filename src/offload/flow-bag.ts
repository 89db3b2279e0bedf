/**
 * Flows in no order, of which any may leave: an array, with each one's place in its record. A large Set costs several times as much to fill, and stalls when it grows. A flow lies in one bag
 * of a kind at most. Main thread.
 */
import type { FlowRecord } from './record.ts'

/** The record's field for its place in bags of this kind; -1 there: in none. */
type Place = 'carriedAt' | 'decapAt'

export class FlowBag implements Iterable<FlowRecord> {
  readonly #place: Place
  readonly #flows: FlowRecord[] = []

  constructor(place: Place) {
    this.#place = place
  }

  get size(): number {
    return this.#flows.length
  }

  at(index: number): FlowRecord {
    return this.#flows[index]!
  }

  has(record: FlowRecord): boolean {
    return this.#flows[record[this.#place]] === record
  }

  /** One that is in none of this kind. */
  add(record: FlowRecord): void {
    record[this.#place] = this.#flows.push(record) - 1
  }

  /** True if it was in it. */
  delete(record: FlowRecord): boolean {
    if (!this.has(record)) return false
    const at = record[this.#place]
    const last = this.#flows.pop()!
    if (last !== record) {
      this.#flows[at] = last
      last[this.#place] = at
    }
    record[this.#place] = -1
    return true
  }

  /** Nothing may leave until it has ended, or was left. */
  [Symbol.iterator](): Iterator<FlowRecord> {
    return this.#flows[Symbol.iterator]()
  }
}
