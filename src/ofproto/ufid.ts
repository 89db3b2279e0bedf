/**
 * Names of datapath flows: a 128-bit hash of the match. The same match has the same name in every run, so that dumps before and after a restart can be
 * compared. Not cryptographic: whoever finds a flow by its name compares the match.
 *
 * Flows come by the thousand and people ask for few names, so the name is four words of 32 bits, and a text only when somebody asks.
 */
import { K_DP_WORDS, type Match } from '../flow/key.ts'

/** Words of a name. */
export const NAME_WORDS = 4

const PRIME0 = 0x9e3779b1 | 0
const PRIME1 = 0x85ebca77 | 0
const PRIME2 = 0xc2b2ae3d | 0
const PRIME3 = 0x27d4eb2f
const PRIMES = [PRIME0, PRIME1, PRIME2, PRIME3]

/** A bijection of 32-bit words in which every input bit reaches every output bit. */
const scramble = (word: number): number => {
  let x = word ^ (word >>> 16)
  x = Math.imul(x, 0x7feb352d)
  x ^= x >>> 15
  x = Math.imul(x, 0x846ca68b)
  return x ^ (x >>> 16)
}

/**
 * Names matches one after the other. Many flows have one mask, known by its array, which nobody may write to (flow/shared-words.ts): what a name owes to the mask is computed when
 * another one comes.
 */
export class Namer {
  #mask: Int32Array | undefined
  /** Of the mask: the words it looks at, and the hash of which and how. */
  readonly #words: number[] = []
  readonly #seed = new Int32Array(NAME_WORDS)

  /** Writes NAME_WORDS words. */
  name({ key, mask }: Match, out: Int32Array): void {
    if (mask !== this.#mask) this.#take(mask)
    let a = this.#seed[0]!
    let b = this.#seed[1]!
    let c = this.#seed[2]!
    let d = this.#seed[3]!
    for (const i of this.#words) {
      const value = key[i]! & mask[i]!
      // Turned by another number of bits in each lane: what a later word makes up for in one, it does not in the others.
      a = Math.imul(((a << 5) | (a >>> 27)) ^ value, PRIME0)
      b = Math.imul(((b << 11) | (b >>> 21)) ^ value, PRIME1)
      c = Math.imul(((c << 17) | (c >>> 15)) ^ value, PRIME2)
      d = Math.imul(((d << 23) | (d >>> 9)) ^ value, PRIME3)
    }
    // Twice around, so that each word of the name has something of every lane.
    for (let round = 0; round < 2; round++) {
      a = scramble((a + d) | 0)
      b = scramble(b ^ a)
      c = scramble((c + b) | 0)
      d = scramble(d ^ c)
    }
    out[0] = a
    out[1] = b
    out[2] = c
    out[3] = d
  }

  #take(mask: Int32Array): void {
    this.#mask = mask
    this.#words.length = 0
    this.#seed.set(PRIMES)
    for (let i = 0; i < K_DP_WORDS; i++) {
      const bits = mask[i]!
      if (bits === 0) continue
      this.#words.push(i)
      for (let lane = 0; lane < NAME_WORDS; lane++)
        this.#seed[lane] = scramble(scramble((this.#seed[lane]! + i + PRIMES[lane]!) | 0) ^ bits)
    }
  }
}

const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, '0')
const halves = (word: number): string => `${hex(word >>> 16).slice(4)}-${hex(word & 0xffff).slice(4)}`

/** 8-4-4-4-12 hexadecimal digits. */
export const ufidOf = (match: Match): string => {
  const name = new Int32Array(NAME_WORDS)
  new Namer().name(match, name)
  return `${hex(name[0]!)}-${halves(name[1]!)}-${halves(name[2]!)}${hex(name[3]!)}`
}
