/**
 * Which rules time out, and when: a heap of the times at which a rule must be looked at again. Packets do not move a rule in it; when its time comes and it
 * was used meanwhile, it is put back, so that a tick costs what is due, not what is there.
 */
import type { Rule } from './rule.ts'

export type ExpiryReason = 'idle' | 'hard'

/** Clock milliseconds from which the rule is timed out; Infinity when it never is. */
const hardDeadline = (rule: Rule): number =>
  rule.hardTimeout === 0 ? Infinity : rule.modified + rule.hardTimeout * 1000
const idleDeadline = (rule: Rule): number => (rule.idleTimeout === 0 ? Infinity : rule.used + rule.idleTimeout * 1000)

export const deadline = (rule: Rule): number => Math.min(hardDeadline(rule), idleDeadline(rule))

export class Expiry {
  readonly #heap: Rule[] = []

  /** Rules that have a timeout. */
  get size(): number {
    return this.#heap.length
  }

  /** When `take` should be called next; Infinity when no rule has a timeout. May be early, never late. */
  get next(): number {
    return this.#heap[0]?.heapTime ?? Infinity
  }

  /** Starts to watch a rule. Does nothing if it has no timeout. */
  add(rule: Rule): void {
    const time = deadline(rule)
    if (time === Infinity) return
    rule.heapTime = time
    this.#heap.push(rule)
    this.#up(rule, this.#heap.length - 1)
  }

  /** Stops watching. Does nothing if it was not watched. */
  remove(rule: Rule): void {
    const at = rule.heapAt
    if (at < 0) return
    rule.heapAt = -1
    const last = this.#heap.pop()!
    if (last === rule) return
    this.#up(last, at)
    this.#down(last, last.heapAt)
  }

  /**
   * The next rule that is timed out at `now`, and is watched no more; null when there is none left. Statistics of the lower tiers must have been
   * credited up to now. `why` tells which timeout: a rule that has met both is 'hard'.
   */
  take(now: number): { readonly rule: Rule; readonly why: ExpiryReason } | null {
    for (;;) {
      const rule = this.#heap[0]
      if (rule === undefined || rule.heapTime > now) return null
      if (hardDeadline(rule) <= now) {
        this.remove(rule)
        return { rule, why: 'hard' }
      }
      if (idleDeadline(rule) <= now) {
        this.remove(rule)
        return { rule, why: 'idle' }
      }
      rule.heapTime = deadline(rule)
      this.#down(rule, 0)
    }
  }

  #up(rule: Rule, from: number): void {
    let at = from
    while (at > 0) {
      const above = (at - 1) >> 1
      const other = this.#heap[above]!
      if (other.heapTime <= rule.heapTime) break
      this.#put(other, at)
      at = above
    }
    this.#put(rule, at)
  }

  #down(rule: Rule, from: number): void {
    let at = from
    for (;;) {
      let below = 2 * at + 1
      if (below >= this.#heap.length) break
      if (below + 1 < this.#heap.length && this.#heap[below + 1]!.heapTime < this.#heap[below]!.heapTime) below++
      if (this.#heap[below]!.heapTime >= rule.heapTime) break
      this.#put(this.#heap[below]!, at)
      at = below
    }
    this.#put(rule, at)
  }

  #put(rule: Rule, at: number): void {
    this.#heap[at] = rule
    rule.heapAt = at
  }
}
