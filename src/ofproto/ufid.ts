/**
 * Names of datapath flows: a 128-bit hash of the match. The same match has the same name in every run, so that dumps before and after a restart can be
 * compared. Not cryptographic: whoever finds a flow by its name compares the match.
 */
import { K_DP_WORDS, type Match } from '../flow/key.ts'

const SEED0 = 0x9e3779b1 | 0
const SEED1 = 0x85ebca77 | 0
const SEED2 = 0xc2b2ae3d | 0
const SEED3 = 0x27d4eb2f

/** A bijection of 32-bit words in which every input bit reaches every output bit. */
const scramble = (word: number): number => {
  let x = word ^ (word >>> 16)
  x = Math.imul(x, 0x7feb352d)
  x ^= x >>> 15
  x = Math.imul(x, 0x846ca68b)
  return x ^ (x >>> 16)
}

/** Takes in position, mask and value of a word. */
const step = (h: number, seed: number, i: number, bits: number, value: number): number =>
  scramble(Math.imul(scramble(scramble((h + i + seed) | 0) ^ bits), seed) ^ value)

/** Four digits of each number of 16 bits. */
const DIGITS = Array.from({ length: 0x10000 }, (_, n) => n.toString(16).padStart(4, '0'))
const high = (word: number): string => DIGITS[word >>> 16]!
const low = (word: number): string => DIGITS[word & 0xffff]!

/** 8-4-4-4-12 hexadecimal digits. */
export const ufidOf = ({ key, mask }: Match): string => {
  let a: number = SEED0
  let b: number = SEED1
  let c: number = SEED2
  let d: number = SEED3
  for (let i = 0; i < K_DP_WORDS; i++) {
    const bits = mask[i]!
    if (bits === 0) continue
    const value = key[i]! & bits
    a = step(a, SEED0, i, bits, value)
    b = step(b, SEED1, i, bits, value)
    c = step(c, SEED2, i, bits, value)
    d = step(d, SEED3, i, bits, value)
  }
  a = scramble(a)
  b = scramble(b)
  c = scramble(c)
  d = scramble(d)
  return `${high(a)}${low(a)}-${high(b)}-${low(b)}-${high(c)}-${low(c)}${high(d)}${low(d)}`
}
