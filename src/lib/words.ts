/** Big tables of 32-bit words. Their pages are read at random, so that the processor's translation of addresses, not only its caches, would be missed by most reads. */

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
