/** Things by small numbers that are used again: what a Map does, for the price of an array's element, and in the order of the numbers. */
export class IdTable<T extends object> {
  readonly #items: (T | undefined)[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  get(id: number): T | undefined {
    return this.#items[id]
  }

  set(id: number, item: T): void {
    if (this.#items[id] === undefined) this.#size++
    this.#items[id] = item
  }

  /** False when there was none. */
  delete(id: number): boolean {
    if (this.#items[id] === undefined) return false
    this.#items[id] = undefined
    this.#size--
    return true
  }

  /** The lowest id from `id` on that has a thing; -1 when there is none. For walks that stop and go on while things come and go. */
  from(id: number): number {
    for (let i = id; i < this.#items.length; i++) if (this.#items[i] !== undefined) return i
    return -1
  }

  *ids(): Generator<number> {
    for (let id = this.from(0); id >= 0; id = this.from(id + 1)) yield id
  }

  *values(): Generator<T> {
    for (let id = this.from(0); id >= 0; id = this.from(id + 1)) yield this.#items[id]!
  }
}
