/**
 * Arrays that many flows have equal ones of, masks and programs, shared by them: a flow costs less memory then, and what all flows read stays in the processor's cache; who has found
 * something out about a mask knows it by the array. Bounded: what another has pushed out is shared no more, that is all. One thread.
 */

/** A power of two. */
const PLACES = 256

const hashOf = (words: Int32Array, at: number, n: number): number => {
  let h = n
  for (let i = at; i < at + n; i++) {
    h = Math.imul(h ^ words[i]!, 0x9e3779b1)
    h ^= h >>> 15
  }
  return h & (PLACES - 1)
}

const equal = (a: Int32Array, b: Int32Array, at: number, n: number): boolean => {
  if (a.length !== n) return false
  for (let i = 0; i < n; i++) if (a[i] !== b[at + i]) return false
  return true
}

export class SharedWords {
  readonly #known: (Int32Array | undefined)[] = new Array(PLACES)

  /** An array equal to the `n` words from `at` on, which nobody may write to. The argument stays the caller's. */
  share(words: Int32Array, at = 0, n = words.length): Int32Array {
    const place = hashOf(words, at, n)
    const known = this.#known[place]
    if (known !== undefined && equal(known, words, at, n)) return known
    const own = words.slice(at, at + n)
    this.#known[place] = own
    return own
  }
}
