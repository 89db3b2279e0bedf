/** When deferred work runs, as an argument: tests step it by hand. Main thread. */
export interface Scheduler {
  /** Runs `work` once, after what is due now; never from within the call. */
  soon(work: () => void): void
  /** Runs `work` every `ms` milliseconds until the returned function is called. Does not keep the process alive. */
  every(ms: number, work: () => void): () => void
}

export const systemScheduler: Scheduler = {
  soon(work) {
    setImmediate(work)
  },
  every(ms, work) {
    const timer = setInterval(work, ms)
    timer.unref()
    return () => clearInterval(timer)
  },
}
