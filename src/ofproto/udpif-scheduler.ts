/** When tier 1's background work runs. Injected, so that tests drive it by hand. Main thread. */
export interface Scheduler {
  /** After what is pending on the event loop now. */
  soon(run: () => void): void
  /** Once, after `ms` milliseconds; returns how to call it off. Does not keep the process alive. */
  after(ms: number, run: () => void): () => void
  /** Milliseconds with fractions, for measuring slices. */
  elapsed(): number
}

export const eventLoopScheduler: Scheduler = {
  soon: (run) => {
    setImmediate(run)
  },
  after: (ms, run) => {
    const timer = setTimeout(run, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
  elapsed: () => performance.now(),
}
