/**
 * Long work on the main thread, cut into slices: jobs are generators that yield after each small unit; after some units, and some time, the rest waits for the
 * scheduler. Jobs run one after the other, in the order in which they were added.
 */
import type { Scheduler } from '../lib/scheduler.ts'

export type Job = Iterator<void, void>

export class Slices {
  readonly #scheduler: Scheduler
  readonly #units: number
  readonly #ms: number
  readonly #onError: (error: unknown) => void
  readonly #jobs: Job[] = []
  readonly #waiters: (() => void)[] = []
  #scheduled = false

  /** A slice has at least so many units, and goes on for so many milliseconds. `onError` hears of jobs that throw, which end by that; others go on. */
  constructor(scheduler: Scheduler, units: number, ms: number, onError: (error: unknown) => void) {
    this.#scheduler = scheduler
    this.#onError = onError
    this.#units = units
    this.#ms = ms
  }

  add(job: Job): void {
    this.#jobs.push(job)
    this.#schedule()
  }

  get pending(): number {
    return this.#jobs.length
  }

  /** Resolves when no job is left. */
  settled(): Promise<void> {
    if (this.#jobs.length === 0) return Promise.resolve()
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  #schedule(): void {
    if (this.#scheduled || this.#jobs.length === 0) return
    this.#scheduled = true
    this.#scheduler.soon(() => {
      this.#scheduled = false
      this.#run()
    })
  }

  #run(): void {
    const end = this.#scheduler.elapsed() + this.#ms
    try {
      for (let units = 0; this.#jobs.length > 0; units++) {
        if (units >= this.#units && this.#scheduler.elapsed() >= end) break
        this.#unit(this.#jobs[0]!)
      }
    } finally {
      if (this.#jobs.length > 0) this.#schedule()
      else for (const resolve of this.#waiters.splice(0)) resolve()
    }
  }

  #unit(job: Job): void {
    try {
      if (job.next().done) this.#jobs.shift()
    } catch (error) {
      this.#jobs.shift()
      this.#onError(error)
    }
  }
}
