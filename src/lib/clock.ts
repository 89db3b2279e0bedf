/** Time as an argument: everything that ages or waits takes a Clock, so that tests drive it by hand. */
export interface Clock {
  /** Monotonic milliseconds since an arbitrary start, never 0. */
  now(): number
}

export const systemClock: Clock = { now: () => Math.floor(performance.timeOrigin + performance.now()) }

/** Stands still until told. */
export class ManualClock implements Clock {
  #now: number

  constructor(start = 1_000_000) {
    this.#now = start
  }

  now(): number {
    return this.#now
  }

  advance(ms: number): void {
    if (ms < 0) throw new RangeError(`clock cannot go back by ${-ms} ms`)
    this.#now += ms
  }
}
