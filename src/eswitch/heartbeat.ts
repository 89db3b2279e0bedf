/** Watches a worker's heartbeat (port/thread-status.ts) from the main thread. */
import { STATUS_ASLEEP, STATUS_BEAT } from '../port/thread-status.ts'

/**
 * A worker that does not sleep beats with every batch that it reads, so that no amount of work keeps it from beating for more than some 30 ms. One that sleeps is in a wait of
 * the kernel's, where nothing can hang. The limit leaves it some time: as much as a machine with more threads than cores may keep one of them waiting. A false alarm costs a moment without
 * offload and no frame.
 */
export const HANG_MS = 500

export class Heartbeat {
  readonly #hangMs: number
  #beat = 0
  /** Milliseconds without a beat, as far as main has looked on. */
  #silent = 0
  #lookedAt = 0

  constructor(hangMs = HANG_MS) {
    this.#hangMs = hangMs
  }

  /** A new worker. */
  start(): void {
    this.#silent = 0
  }

  /** Looks; called a few times a second, also without a worker. Returns for how long the worker hangs, in milliseconds, 0 while that cannot be said. */
  look(status: Int32Array | undefined, now: number): number {
    // A pause of main, which may be one of the whole machine, says nothing about the worker: it has until the next look to beat.
    const passed = Math.min(now - this.#lookedAt, this.#hangMs / 2)
    this.#lookedAt = now
    if (status === undefined) return 0
    const beat = Atomics.load(status, STATUS_BEAT)
    if (beat !== this.#beat || Atomics.load(status, STATUS_ASLEEP) === 1) {
      this.#beat = beat
      this.#silent = 0
      return 0
    }
    this.#silent += passed
    return this.#silent >= this.#hangMs ? this.#silent : 0
  }
}
