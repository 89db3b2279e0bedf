/**
 * The hash of keys in tiers 2 and 3: a sum of words, each folded and multiplied by an odd number of its place, then mixed. The words' multiplications do not wait for each other, which
 * a chain of them, as good otherwise, would.
 *
 * The numbers are drawn anew by each thread. Flows are made of what guests send, and who knew the numbers could send flows that all fall on one place of a table, where each look-up
 * would go through all of them.
 */
import { K_DP_WORDS } from './key.ts'

/** An odd number for each place. */
const MULTIPLIERS = Int32Array.from(crypto.getRandomValues(new Int32Array(K_DP_WORDS)), (x) => x | 1)

/** What word `word` at place `place` adds. The upper half counts in the lower one too: a product's lower bits know nothing of a factor's upper ones. */
export const hashWord = (word: number, place: number): number => Math.imul(word ^ (word >>> 16), MULTIPLIERS[place]!)

/** From the sum to the hash: every bit counts in the low ones. */
export const hashEnd = (sum: number): number => {
  const x = Math.imul(sum ^ (sum >>> 16), 0x7feb352d)
  return x ^ (x >>> 15)
}
