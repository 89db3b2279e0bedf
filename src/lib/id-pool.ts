/** Small numbers to be given out: the one that came back last, else the next that was never used. */
export class IdPool {
  readonly #free: number[] = []
  #next = 0

  /** How many are out. */
  get taken(): number {
    return this.#next - this.#free.length
  }

  take(): number {
    return this.#free.pop() ?? this.#next++
  }

  /** One that was taken, and is nobody's any more. */
  give(id: number): void {
    this.#free.push(id)
  }
}
