/**
 * Names of datapath flows: a 128-bit hash of the match. The same match has the same name in every run, so that dumps before and after a restart can be
 * compared. Not cryptographic: whoever finds a flow by its name compares the match.
 */
import { K_DP_WORDS, type Match } from '../flow/key.ts'

const SEEDS = [0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f] as const

/** A bijection of 32-bit words in which every input bit reaches every output bit. */
const scramble = (word: number): number => {
  let x = word ^ (word >>> 16)
  x = Math.imul(x, 0x7feb352d)
  x ^= x >>> 15
  x = Math.imul(x, 0x846ca68b)
  return x ^ (x >>> 16)
}

/** One quarter: position, mask and value of each word that counts, one after the other. */
const lane = ({ key, mask }: Match, seed: number): number => {
  let h: number = seed
  for (let i = 0; i < K_DP_WORDS; i++) {
    const bits = mask[i]!
    if (bits === 0) continue
    h = scramble(h + i + seed)
    h = scramble(h ^ bits)
    h = scramble(Math.imul(h, seed) ^ (key[i]! & bits))
  }
  return scramble(h) >>> 0
}

/** 8-4-4-4-12 hexadecimal digits. */
export const ufidOf = (match: Match): string => {
  const digits = SEEDS.map((seed) => lane(match, seed).toString(16).padStart(8, '0')).join('')
  return [20, 16, 12, 8].reduce((text, at) => `${text.slice(0, at)}-${text.slice(at)}`, digits)
}
