/**
 * Arrays that many flows have equal ones of, masks and programs, shared by them: a flow costs less memory then, and what all flows read stays in the processor's cache; who has found
 * something out about a mask knows it by the array. Bounded: what another has pushed out is shared no more, that is all. One thread.
 */

/** A power of two. */
const PLACES = 256

const hashOf = (words: Int32Array): number => {
  let h = words.length
  for (let i = 0; i < words.length; i++) {
    h = Math.imul(h ^ words[i]!, 0x9e3779b1)
    h ^= h >>> 15
  }
  return h & (PLACES - 1)
}

const equal = (a: Int32Array, b: Int32Array): boolean => {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

export class SharedWords {
  readonly #known: (Int32Array | undefined)[] = new Array(PLACES)

  /** An array equal to `words`, which nobody may write to. The argument stays the caller's. */
  share(words: Int32Array): Int32Array {
    const place = hashOf(words)
    const known = this.#known[place]
    if (known !== undefined && equal(known, words)) return known
    const own = words.slice()
    this.#known[place] = own
    return own
  }
}
