/**
 * A flow as words of a ring: `[mask bitmap (2 words), program length, (mask, key) per word in the bitmap, program]`. Installing a flow in another
 * thread costs neither a message nor a clone.
 */

import type { Match } from './key.ts'
import { K_DP_WORDS, K_IN_PORT } from './key.ts'
import type { SharedWords } from './shared-words.ts'

/** Words that `writeFlowRecord` will write. */
export const flowRecordWords = (match: Match, program: Int32Array): number => {
  let active = 0
  for (let w = 0; w < K_DP_WORDS; w++) if (match.mask[w] !== 0) active++
  return 3 + 2 * active + program.length
}

/** `inPort`: instead of the match's, which is exact. */
export const writeFlowRecord = (
  words: Int32Array,
  at: number,
  match: Match,
  program: Int32Array,
  inPort = match.key[K_IN_PORT]!,
): void => {
  let i = at + 3
  words[at] = 0
  words[at + 1] = 0
  words[at + 2] = program.length
  for (let w = 0; w < K_DP_WORDS; w++) {
    if (match.mask[w] === 0) continue
    words[at + (w >>> 5)] = words[at + (w >>> 5)]! | (1 << (w & 31))
    words[i] = match.mask[w]!
    words[i + 1] = w === K_IN_PORT ? inPort & match.mask[w]! : match.key[w]! & match.mask[w]!
    i += 2
  }
  words.set(program, i)
}

/** Fills mask and key (K_DP_WORDS words); returns the program, one of `programs`. */
export const readFlowRecord = (
  words: Int32Array,
  at: number,
  mask: Int32Array,
  key: Int32Array,
  programs: SharedWords,
): Int32Array => {
  let i = at + 3
  for (let w = 0; w < K_DP_WORDS; w++) {
    const active = (words[at + (w >>> 5)]! & (1 << (w & 31))) !== 0
    mask[w] = active ? words[i]! : 0
    key[w] = active ? words[i + 1]! : 0
    if (active) i += 2
  }
  return programs.share(words, i, words[at + 2]!)
}
