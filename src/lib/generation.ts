/**
 * How a lower layer tells a higher one that something changed, without calling it: the owner bumps, whoever depends on it compares. One instance for each thing
 * that can change on its own (a bridge's rules, the routes, a port list); it belongs to one thread.
 */
export class Generation {
  #value = 0
  readonly #listeners = new Set<() => void>()

  /** Counts changes since the start. Compare for inequality only. */
  get value(): number {
    return this.#value
  }

  bump(): void {
    this.#value++
    for (const listener of this.#listeners) listener()
  }

  /** Has `listener` called at every bump, from within it: it may only note that there is something to do. Returns how to end that. */
  onBump(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** A view for one reader; it starts as unchanged. */
  watch(): GenerationWatch {
    return new GenerationWatch(this)
  }
}

/** Remembers up to where one reader has seen a generation. */
export class GenerationWatch {
  readonly #of: Generation
  #seen: number

  constructor(of: Generation) {
    this.#of = of
    this.#seen = of.value
  }

  /** True if it was bumped since the last call that said so. Marks it as seen: call it before looking at what may have changed. */
  changed(): boolean {
    if (this.#seen === this.#of.value) return false
    this.#seen = this.#of.value
    return true
  }
}
