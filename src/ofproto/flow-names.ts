/**
 * Finds the id of a cached flow by its name (ufid.ts). An open hash table of ids, in words: in a Map each flow would cost an entry and the text of its name. Main thread.
 */
import { hashEnd, hashWord } from '../flow/hash.ts'
import { grown } from '../lib/words.ts'
import { NAME_WORDS } from './ufid.ts'

/** Of the name that begins at word `at`. */
const hashOf = (names: Int32Array, at: number): number => {
  let sum = 0
  for (let i = 0; i < NAME_WORDS; i++) sum = (sum + hashWord(names[at + i]!, i)) | 0
  return hashEnd(sum)
}

export class FlowNames {
  /** By id. */
  #names: Int32Array
  /**
   * Id + 1; 0 where none is. A flow is at the place that the hash of its name says, or behind it where no place is free in between. At most half of them are taken. Names
   * are known to everybody, the hash to nobody (flow/hash.ts).
   */
  #places: Int32Array
  #count = 0

  /** Room for so many flows; with more it grows, for which everything waits. */
  constructor(flows: number) {
    this.#names = new Int32Array(flows * NAME_WORDS)
    this.#places = new Int32Array(2 ** Math.ceil(Math.log2(flows * 2 + 2)))
  }

  /** -1 when no flow has this name. */
  find(name: Int32Array): number {
    const last = this.#places.length - 1
    for (let at = hashOf(name, 0) & last; ; at = (at + 1) & last) {
      const id = this.#places[at]! - 1
      if (id < 0 || this.#has(id, name)) return id
    }
  }

  /** The name is nobody's yet, and the id has none. */
  add(id: number, name: Int32Array): void {
    if (id * NAME_WORDS >= this.#names.length) this.#names = grown(this.#names, (id + 1) * NAME_WORDS)
    this.#names.set(name, id * NAME_WORDS)
    if (++this.#count * 2 > this.#places.length) this.#spread()
    this.#place(id)
  }

  /** One that was added. */
  delete(id: number): void {
    const last = this.#places.length - 1
    let hole = this.#home(id)
    while (this.#places[hole] !== id + 1) hole = (hole + 1) & last
    // Those behind that the hole would cut off from where they are looked for move up.
    for (let at = (hole + 1) & last; this.#places[at] !== 0; at = (at + 1) & last) {
      const from = (at - this.#home(this.#places[at]! - 1)) & last
      if (from < ((at - hole) & last)) continue
      this.#places[hole] = this.#places[at]!
      hole = at
    }
    this.#places[hole] = 0
    this.#count--
  }

  #has(id: number, name: Int32Array): boolean {
    const names = this.#names
    const n = id * NAME_WORDS
    return names[n] === name[0] && names[n + 1] === name[1] && names[n + 2] === name[2] && names[n + 3] === name[3]
  }

  #home(id: number): number {
    return hashOf(this.#names, id * NAME_WORDS) & (this.#places.length - 1)
  }

  #place(id: number): void {
    const last = this.#places.length - 1
    let at = this.#home(id)
    while (this.#places[at] !== 0) at = (at + 1) & last
    this.#places[at] = id + 1
  }

  #spread(): void {
    const before = this.#places
    this.#places = new Int32Array(before.length * 2)
    for (const place of before) if (place !== 0) this.#place(place - 1)
  }
}
