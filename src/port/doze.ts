/**
 * When a worker that has nothing to do dozes: it wakes every millisecond and goes through the motions of a frame, so that caches and address translation keep what the
 * next one needs. Where frames come some milliseconds apart that takes a third off their round trip, for a percent or two of a core while it lasts.
 * A frame now and then (ARP, say) keeps nobody awake: only what comes at a pace is waited for. Any thread; time is an argument, in milliseconds.
 */

/** The longest gap of a pace; so long after its last frame a worker dozes. */
export const DOZE_MS = 50
/** Frames closer than this are one event: a request and its answer are no pace. */
const APART_MS = 2
/** Gaps that make a pace. */
const GAPS = 2

export class Doze {
  #lastAt = Number.NEGATIVE_INFINITY
  #gaps = 0

  /** There was work. */
  worked(now: number): void {
    const gap = now - this.#lastAt
    if (gap < APART_MS) return
    this.#gaps = gap <= DOZE_MS ? Math.min(this.#gaps + 1, GAPS) : 0
    this.#lastAt = now
  }

  wanted(now: number): boolean {
    return this.#gaps === GAPS && now - this.#lastAt <= DOZE_MS
  }
}
