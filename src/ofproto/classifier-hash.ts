/**
 * Hashing of masked key words, and the two open-addressing tables of a subtable. Typed arrays, linear probing, backward-shift deletion; at most
 * half full, so that a probe is short and always meets a free place.
 */
import type { Rule } from './rule.ts'

const MIN_SIZE = 8

/** Start value of `mix`. */
export const HASH_SEED = 0x2f0b4c47

/** Hash so far and one more word. */
export const mix = (hash: number, word: number): number => {
  const a = Math.imul(word, 0xcc9e2d51)
  const h = hash ^ Math.imul((a << 15) | (a >>> 17), 0x1b873593)
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
}

/** Where probing starts. */
const place = (hash: number, sizeMask: number): number => {
  const h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return (h ^ (h >>> 13)) & sizeMask
}

/**
 * Hash -> positive number, with several entries of the same hash allowed. 0 marks a free place.
 */
class HashSlots {
  hashes = new Int32Array(MIN_SIZE)
  values = new Int32Array(MIN_SIZE)
  sizeMask = MIN_SIZE - 1
  #used = 0

  add(hash: number, value: number): void {
    if ((this.#used + 1) * 2 > this.sizeMask + 1) this.#resize((this.sizeMask + 1) * 2)
    let at = place(hash, this.sizeMask)
    while (this.values[at] !== 0) at = (at + 1) & this.sizeMask
    this.hashes[at] = hash
    this.values[at] = value
    this.#used++
  }

  /** Closes the gap: moves up every later entry of the run that may stand nearer to its place. */
  removeAt(gap: number): void {
    const { hashes, values, sizeMask } = this
    let free = gap
    for (let at = (gap + 1) & sizeMask; values[at] !== 0; at = (at + 1) & sizeMask) {
      const home = place(hashes[at]!, sizeMask)
      if (((at - home) & sizeMask) < ((at - free) & sizeMask)) continue
      hashes[free] = hashes[at]!
      values[free] = values[at]!
      free = at
    }
    values[free] = 0
    this.#used--
    if (this.sizeMask + 1 > MIN_SIZE && this.#used * 8 < this.sizeMask + 1) this.#resize((this.sizeMask + 1) / 2)
  }

  #resize(size: number): void {
    const { hashes, values } = this
    this.hashes = new Int32Array(size)
    this.values = new Int32Array(size)
    this.sizeMask = size - 1
    this.#used = 0
    for (let i = 0; i < values.length; i++) if (values[i] !== 0) this.add(hashes[i]!, values[i]!)
  }
}

/** A multiset of hashes: answers whether any rule has this hash over a subtable's first stages. */
export class HashCounts {
  readonly #slots = new HashSlots()

  #find(hash: number): number {
    const { hashes, values, sizeMask } = this.#slots
    for (let at = place(hash, sizeMask); values[at] !== 0; at = (at + 1) & sizeMask) if (hashes[at] === hash) return at
    return -1
  }

  has(hash: number): boolean {
    return this.#find(hash) >= 0
  }

  add(hash: number): void {
    const at = this.#find(hash)
    if (at < 0) this.#slots.add(hash, 1)
    else this.#slots.values[at]!++
  }

  remove(hash: number): void {
    const at = this.#find(hash)
    if (at < 0) throw new Error('hash is not in the stage index')
    const left = this.#slots.values[at]! - 1
    if (left === 0) this.#slots.removeAt(at)
    else this.#slots.values[at] = left
  }
}

/**
 * Masked key -> the rules of that match, highest priority first (linked by `lower`). The masked words lie in one array, so that a look-up touches a
 * rule only when it has found it.
 */
export class RuleIndex {
  readonly #words: Int32Array
  readonly #masks: Int32Array
  readonly #slots = new HashSlots()
  /** Entry e: masked words from e * #words.length, rules in #heads[e]. Entry numbers are reused. */
  #keys: Int32Array
  readonly #heads: (Rule | null)[] = []
  readonly #free: number[] = []

  constructor(words: Int32Array, masks: Int32Array) {
    this.#words = words
    this.#masks = masks
    this.#keys = new Int32Array(words.length * MIN_SIZE)
  }

  /** Number of different matches. */
  get size(): number {
    return this.#heads.length - this.#free.length
  }

  #find(hash: number, key: Int32Array): number {
    const { hashes, values, sizeMask } = this.#slots
    const words = this.#words
    const masks = this.#masks
    const keys = this.#keys
    const n = words.length
    probe: for (let at = place(hash, sizeMask); values[at] !== 0; at = (at + 1) & sizeMask) {
      if (hashes[at] !== hash) continue
      const base = (values[at]! - 1) * n
      for (let i = 0; i < n; i++) if ((key[words[i]!]! & masks[i]!) !== keys[base + i]!) continue probe
      return at
    }
    return -1
  }

  /** The rule of highest priority whose match is `key` under the mask. */
  find(hash: number, key: Int32Array): Rule | null {
    const at = this.#find(hash, key)
    return at < 0 ? null : this.#heads[this.#slots.values[at]! - 1]!
  }

  /** Puts `rule` in place for its key, whatever was there: the new head of the list; null takes the entry out. */
  setHead(hash: number, key: Int32Array, head: Rule | null): void {
    const at = this.#find(hash, key)
    if (at >= 0) {
      const entry = this.#slots.values[at]! - 1
      this.#heads[entry] = head
      if (head === null) {
        this.#slots.removeAt(at)
        this.#free.push(entry)
      }
    } else if (head !== null) {
      const entry = this.#free.pop() ?? this.#heads.length
      this.#heads[entry] = head
      this.#store(entry, key)
      this.#slots.add(hash, entry + 1)
    }
  }

  #store(entry: number, key: Int32Array): void {
    const n = this.#words.length
    if ((entry + 1) * n > this.#keys.length) {
      const grown = new Int32Array(this.#keys.length * 2)
      grown.set(this.#keys)
      this.#keys = grown
    }
    for (let i = 0; i < n; i++) this.#keys[entry * n + i] = key[this.#words[i]!]! & this.#masks[i]!
  }

  *rules(): Generator<Rule> {
    for (const head of this.#heads) for (let rule = head; rule !== null; rule = rule.lower) yield rule
  }
}
