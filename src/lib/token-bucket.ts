/** Rate limits: `rate` events per second, `burst` at once. */
export class TokenBucket {
  readonly #rate: number
  readonly #burst: number
  #tokens: number
  #at: number

  /** Full at `now` (clock milliseconds). */
  constructor(rate: number, burst: number, now: number) {
    this.#rate = rate
    this.#burst = burst
    this.#tokens = burst
    this.#at = now
  }

  /** True if the event may happen; it counts then. */
  take(now: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) / 1000) * this.#rate)
    this.#at = now
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}

/** One bucket for each name, the `most` that were used last, and one for all. */
export class TokenBuckets {
  readonly #each: readonly [rate: number, burst: number]
  readonly #all: TokenBucket
  readonly #most: number
  /** Least recently used first. */
  readonly #buckets = new Map<string, TokenBucket>()

  constructor(
    each: readonly [rate: number, burst: number],
    all: readonly [rate: number, burst: number],
    most: number,
    now: number,
  ) {
    this.#each = each
    this.#all = new TokenBucket(...all, now)
    this.#most = most
  }

  /** One that is over its own limit takes nothing from the others. */
  take(name: string, now: number): boolean {
    const bucket = this.#buckets.get(name) ?? new TokenBucket(...this.#each, now)
    this.#buckets.delete(name)
    this.#buckets.set(name, bucket)
    if (this.#buckets.size > this.#most) {
      const [oldest] = this.#buckets.keys()
      this.#buckets.delete(oldest!)
    }
    return bucket.take(now) && this.#all.take(now)
  }

  get size(): number {
    return this.#buckets.size
  }
}
