/**
 * Names of datapath flows: a 128-bit hash of the match. The same match has the same name in every run, so that dumps before and after a restart can be
 * compared. Not cryptographic; matches are compared in full where it matters.
 */
import { K_DP_WORDS, type Match } from '../flow/key.ts'

const LANES = [0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f] as const

const scramble = (h: number): number => {
  let x = h ^ (h >>> 16)
  x = Math.imul(x, 0x7feb352d)
  x ^= x >>> 15
  x = Math.imul(x, 0x846ca68b)
  return (x ^ (x >>> 16)) >>> 0
}

/** 8-4-4-4-12 hexadecimal digits. */
export const ufidOf = (match: Match): string => {
  let digits = ''
  let carry = 0
  for (const seed of LANES) {
    let h = seed ^ carry
    for (let i = 0; i < K_DP_WORDS; i++) {
      const mask = match.mask[i]!
      if (mask === 0) continue
      h = Math.imul((h ^ (match.key[i]! & mask)) + i, seed)
      h = Math.imul(((h << 13) | (h >>> 19)) ^ mask, 0x165667b1)
    }
    carry = scramble(h)
    digits += carry.toString(16).padStart(8, '0')
  }
  return [8, 12, 16, 20].reduceRight((text, at) => `${text.slice(0, at)}-${text.slice(at)}`, digits)
}
