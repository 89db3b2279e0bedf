/** The `limit` best of a stream by a number, without sorting all of it. */
export class Best<T> {
  readonly #limit: number
  readonly #items: { item: T; score: number }[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  offer(item: T, score: number): void {
    const items = this.#items
    if (items.length === this.#limit && score <= items[items.length - 1]!.score) return
    let low = 0
    let high = items.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (items[middle]!.score >= score) low = middle + 1
      else high = middle
    }
    items.splice(low, 0, { item, score })
    if (items.length > this.#limit) items.pop()
  }

  /** Best first; equals in the order in which they were offered. */
  list(): T[] {
    return this.#items.map(({ item }) => item)
  }
}
