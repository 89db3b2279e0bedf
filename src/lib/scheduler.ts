/**
 * When deferred work of the main thread runs, as an argument, so that tests step it by hand. Of one shape for all: tier 1's background work, the tunnel
 * layer's slices, retries and time limits.
 */
export interface Scheduler {
  /** Runs `run` once, after what is pending on the event loop now; never from within the call. */
  soon(run: () => void): void
  /** Runs `run` once after `ms` milliseconds; returns how to call it off. Does not keep the process alive. */
  after(ms: number, run: () => void): () => void
  /** Milliseconds with fractions of a monotonic clock (performance.now()): for measuring slices, and for stamps that people compare. */
  elapsed(): number
}

export const eventLoopScheduler: Scheduler = {
  soon(run) {
    setImmediate(run)
  },
  after(ms, run) {
    const timer = setTimeout(run, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
  elapsed: () => performance.now(),
}

interface Due {
  readonly at: number
  readonly run: () => void
}

/** Stands still until told. Time passes by `advance` alone, unless a test makes work cost some (`spend`). */
export class ManualScheduler implements Scheduler {
  #now = 1
  readonly #soon: (() => void)[] = []
  readonly #timers = new Set<Due>()

  soon(run: () => void): void {
    this.#soon.push(run)
  }

  after(ms: number, run: () => void): () => void {
    const due = { at: this.#now + ms, run }
    this.#timers.add(due)
    return () => this.#timers.delete(due)
  }

  elapsed(): number {
    return this.#now
  }

  /** Lets time pass without running anything, as work does. */
  spend(ms: number): void {
    this.#now += ms
  }

  /** Works off what is due soon, and what that puts there. Returns how many pieces ran. Throws when there is no end of it. */
  run(limit = 100_000): number {
    let pieces = 0
    for (let run = this.#soon.shift(); run; run = this.#soon.shift()) {
      if (++pieces > limit) throw new Error(`${limit} pieces of work, and more to come`)
      run()
    }
    return pieces
  }

  /** One piece of work, if there is one. */
  step(): boolean {
    const run = this.#soon.shift()
    run?.()
    return run !== undefined
  }

  /** Lets `ms` pass, with all that falls due meanwhile, in its order. */
  advance(ms: number): void {
    const end = this.#now + ms
    this.run()
    for (;;) {
      let next: Due | undefined
      for (const due of this.#timers) if (due.at <= end && (!next || due.at < next.at)) next = due
      if (!next) break
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.run()
      this.run()
    }
    this.#now = end
  }

  get timers(): number {
    return this.#timers.size
  }
}
