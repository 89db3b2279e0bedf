/** Small numbers in the order in which they came, of which any may leave: what a Set does, as links in words. A large Set costs several times as much to fill, and stalls when it grows. */
import { grown } from './words.ts'

const NONE = -1

export class IdLine {
  /** By id. */
  #next = new Int32Array(64)
  #before = new Int32Array(64)
  #first = NONE
  #last = NONE
  #size = 0

  get size(): number {
    return this.#size
  }

  /** One that does not stand in the line, at its end. */
  add(id: number): void {
    if (id >= this.#next.length) {
      this.#next = grown(this.#next, id + 1)
      this.#before = grown(this.#before, id + 1)
    }
    this.#next[id] = NONE
    this.#before[id] = this.#last
    if (this.#last === NONE) this.#first = id
    else this.#next[this.#last] = id
    this.#last = id
    this.#size++
  }

  /** One that stands in it. */
  delete(id: number): void {
    const next = this.#next[id]!
    const before = this.#before[id]!
    if (before === NONE) this.#first = next
    else this.#next[before] = next
    if (next === NONE) this.#last = before
    else this.#before[next] = before
    this.#size--
  }

  /** From first to last, as they are now. */
  list(): number[] {
    const ids: number[] = []
    for (let id = this.#first; id !== NONE; id = this.#next[id]!) ids.push(id)
    return ids
  }

  /** From first to last. Nothing may change until it has ended, or was left. */
  *values(): Generator<number> {
    for (let id = this.#first; id !== NONE; id = this.#next[id]!) yield id
  }
}
