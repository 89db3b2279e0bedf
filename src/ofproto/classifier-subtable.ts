/**
 * A subtable: all rules of one classifier with the same mask, found by hash. The mask's words are kept in the order of the look-up's stages (metadata,
 * layer 2, 3, 4); each stage but the last has an index of the hashes so far, so that a look-up that fails early has looked at the first stages only.
 */
import { K_DL_TYPE, K_ETH, K_NW_DST, K_NW_SRC, K_PIPE, K_TP, K_WORDS, type Match } from '../flow/key.ts'
import { HASH_SEED, HashCounts, mix, RuleIndex } from './classifier-hash.ts'
import { PrefixTrie } from './classifier-trie.ts'
import type { Rule } from './rule.ts'

/** First words of the two address fields that have prefix tries. Both IP versions, and ARP, use them. */
export const PREFIX_WORDS: readonly number[] = [K_NW_SRC, K_NW_DST]
const PREFIX_STAGE = 2
const FINAL_STAGE = 3

const stageOf = (word: number): number =>
  word < K_ETH || word >= K_PIPE ? 0 : word < K_NW_SRC ? 1 : word < K_TP ? PREFIX_STAGE : FINAL_STAGE

/** Leading ones of the four mask words from `base`: the prefix that a packet's address must have, whatever else the mask asks. */
const leadingOnes = (mask: Int32Array, base: number): number => {
  for (let i = 0; i < 4; i++) {
    const ones = Math.clz32(~mask[base + i]!)
    if (ones < 32) return i * 32 + ones
  }
  return 128
}

export class Subtable {
  /** Full K_WORDS; shared by the rules' matches. */
  readonly mask: Int32Array
  /** Creation order: decides between subtables of equal priority. */
  readonly seq: number
  /** The mask's non-zero words, by stage. */
  readonly words: Int32Array
  readonly masks: Int32Array
  /** For each stage in use, how many of `words` belong to it and to those before. */
  readonly ends: Int32Array
  /** For each stage in use but the last: the rules' hashes up to there. */
  readonly stages: readonly HashCounts[]
  readonly index: RuleIndex
  /** Position in `ends` of the stage before which the prefix tries are asked; -1 when there is nothing to ask. */
  readonly prefixStage: number
  /** For each of PREFIX_WORDS: length of the prefix that is in a trie, 0 for none. */
  readonly prefixes: readonly number[]
  /** Prefixes of the ports word, masked; null when the mask has no ports. */
  readonly ports: PrefixTrie | null
  readonly portsMask: number
  readonly portsLength: number

  maxPriority = -1
  ruleCount = 0
  /** Priorities in use, ascending, and how many rules have each. */
  readonly #priorities: number[] = []
  readonly #priorityCounts = new Map<number, number>()

  constructor(mask: Int32Array, seq: number) {
    this.mask = mask
    this.seq = seq
    const words: number[] = []
    const ends: number[] = []
    const stagesUsed: number[] = []
    for (let stage = 0; stage <= FINAL_STAGE; stage++) {
      const before = words.length
      for (let w = 0; w < K_WORDS; w++) if (mask[w] !== 0 && stageOf(w) === stage) words.push(w)
      if (words.length === before) continue
      ends.push(words.length)
      stagesUsed.push(stage)
    }
    this.words = Int32Array.from(words)
    this.masks = this.words.map((w) => mask[w]!)
    this.ends = Int32Array.from(ends)
    this.stages = ends.slice(1).map(() => new HashCounts())
    this.index = new RuleIndex(this.words, this.masks)
    // Tries are kept by Ethernet type; a rule that leaves the type open is in none.
    const typed = (mask[K_DL_TYPE]! & 0xffff0000) === (0xffff0000 | 0)
    this.prefixes = PREFIX_WORDS.map((base) => (typed ? leadingOnes(mask, base) : 0))
    this.prefixStage = this.prefixes.some((length) => length > 0) ? stagesUsed.indexOf(PREFIX_STAGE) : -1
    this.portsMask = mask[K_TP]!
    this.portsLength = this.portsMask === 0 ? 0 : 32 - (31 - Math.clz32(this.portsMask & -this.portsMask))
    this.ports = this.portsMask === 0 ? null : new PrefixTrie()
  }

  hash(key: Int32Array): number {
    let hash = HASH_SEED
    for (let i = 0; i < this.words.length; i++) hash = mix(hash, key[this.words[i]!]! & this.masks[i]!)
    return hash
  }

  /** The rule of highest priority that matches the key. */
  find(key: Int32Array): Rule | null {
    return this.index.find(this.hash(key), key)
  }

  findStrict(match: Match, priority: number): Rule | null {
    let rule = this.find(match.key)
    while (rule !== null && rule.priority > priority) rule = rule.lower
    return rule !== null && rule.priority === priority ? rule : null
  }

  /** True if it was the first rule with its match. Throws if match and priority are taken. */
  insert(rule: Rule): boolean {
    const { key } = rule.match
    const hash = this.hash(key)
    const head = this.index.find(hash, key)
    if (head === null || head.priority < rule.priority) {
      rule.lower = head
      this.index.setHead(hash, key, rule)
    } else {
      let above = head
      while (above.lower !== null && above.lower.priority >= rule.priority) above = above.lower
      if (above.priority === rule.priority) throw new Error('a rule with this match and priority is in the table')
      rule.lower = above.lower
      above.lower = rule
    }
    this.#countPriority(rule.priority, 1)
    if (head === null) this.#indexStages(key, true)
    return head === null
  }

  /** True if it was the last rule with its match. Throws if it is not there. */
  remove(rule: Rule): boolean {
    const { key } = rule.match
    const head = this.#replace(rule, rule.lower)
    rule.lower = null
    this.#countPriority(rule.priority, -1)
    if (head === null) this.#indexStages(key, false)
    return head === null
  }

  /** Puts `by` in the place of `rule`; same match and priority. */
  replace(rule: Rule, by: Rule): void {
    const { lower } = rule
    this.#replace(rule, by)
    by.lower = lower
    rule.lower = null
  }

  #replace(rule: Rule, by: Rule | null): Rule | null {
    const { key } = rule.match
    const hash = this.hash(key)
    const head = this.index.find(hash, key)
    if (head === rule) {
      this.index.setHead(hash, key, by)
      return by
    }
    let above = head
    while (above !== null && above.lower !== rule) above = above.lower
    if (above === null) throw new Error('rule is not in the classifier')
    above.lower = by
    return head
  }

  #indexStages(key: Int32Array, add: boolean): void {
    let hash = HASH_SEED
    let i = 0
    for (let s = 0; s < this.stages.length; s++) {
      for (const end = this.ends[s]!; i < end; i++) hash = mix(hash, key[this.words[i]!]! & this.masks[i]!)
      if (add) this.stages[s]!.add(hash)
      else this.stages[s]!.remove(hash)
    }
    if (add) this.ports?.insert(key[K_TP]!, 0, 0, 0, this.portsLength)
    else this.ports?.remove(key[K_TP]!, 0, 0, 0, this.portsLength)
  }

  #countPriority(priority: number, by: 1 | -1): void {
    const count = (this.#priorityCounts.get(priority) ?? 0) + by
    this.ruleCount += by
    if (count === 0) {
      this.#priorityCounts.delete(priority)
      this.#priorities.splice(this.#priorityPlace(priority), 1)
    } else {
      this.#priorityCounts.set(priority, count)
      if (count === 1 && by === 1) this.#priorities.splice(this.#priorityPlace(priority), 0, priority)
    }
    this.maxPriority = this.#priorities.at(-1) ?? -1
  }

  #priorityPlace(priority: number): number {
    let low = 0
    let high = this.#priorities.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#priorities[middle]! < priority) low = middle + 1
      else high = middle
    }
    return low
  }

  hasPriority(priority: number): boolean {
    return this.#priorityCounts.has(priority)
  }
}
