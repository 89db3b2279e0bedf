/** Tables of 32-bit words. The pages of big ones are read at random, so that the processor's translation of addresses, not only its caches, would be missed by most reads. */

/** Asks for big pages behind an array, if the kernel gives such. */
export type Advise = (words: Int32Array) => void

/** From so many bytes on it is worth it: smaller ones would only keep more memory than they use. */
export const BIG_BYTES = 4 << 20

export const adviseBig = (words: Int32Array, advise: Advise | undefined): void => {
  if (words.byteLength >= BIG_BYTES) advise?.(words)
}

/** `n` words, zero. */
export const createWords = (n: number, advise: Advise | undefined): Int32Array => {
  const words = new Int32Array(n)
  adviseBig(words, advise)
  return words
}

/** The same words and then zeros: at least `n` in all, and so many that a table that grows one by one is copied rarely. */
export const grown = (words: Int32Array, n: number): Int32Array<ArrayBuffer> => {
  const more = new Int32Array(Math.max(words.length * 2, n))
  more.set(words)
  return more
}
