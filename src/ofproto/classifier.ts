/**
 * The classifier of one OpenFlow table: tuple space search. Rules with the same mask form a subtable; a look-up asks the subtables in the order of their highest
 * priority and ends when none can better what it has.
 *
 * It also reports what it looked at, as few bits as it can (compare ovs-vswitchd's design notes on megaflows): stages end a subtable's look-up early; prefix
 * tries of the IP addresses, one set for each Ethernet type, rule subtables out after as many bits as it takes; a trie of ports does so for the last stage.
 * The search reads nothing of the key but the bits that it reports: every other key with the same bits takes the same way to the same rule.
 *
 * Rules of equal priority that overlap: which one is found is not defined, but it is the same one until rules change.
 */
import { K_DL_TYPE, K_TP, type Match } from '../flow/key.ts'
import { covers, isSubMask, maskId, overlaps } from '../flow/match.ts'
import { HASH_SEED, mix } from './classifier-hash.ts'
import { PREFIX_WORDS, Subtable } from './classifier-subtable.ts'
import { PrefixHits, PrefixTrie, prefixMask } from './classifier-trie.ts'
import type { Rule } from './rule.ts'

/** Ethernet type of a key or of a match that fixes it. */
const etherType = (key: Int32Array): number => key[K_DL_TYPE]! >>> 16

/** Un-wildcards the first `count` of the subtable's words. */
const lookedAt = (wc: Int32Array, subtable: Subtable, count: number): void => {
  const { words, masks } = subtable
  for (let i = 0; i < count; i++) wc[words[i]!] = wc[words[i]!]! | masks[i]!
}

export class Classifier {
  /** By `maskId`. */
  readonly #subtables = new Map<string, Subtable>()
  /** The same by the mask's array, which most rules share with their subtable: saves making the id. */
  readonly #byMask = new Map<Int32Array, Subtable>()
  /** By descending highest priority, unless `#stale`. */
  #order: Subtable[] = []
  #stale = false
  #nextSeq = 0
  #size = 0
  /** For each of PREFIX_WORDS, by Ethernet type. */
  readonly #tries: readonly Map<number, PrefixTrie>[] = PREFIX_WORDS.map(() => new Map())
  /** Answers of the tries, good for the look-up that #asked names. */
  readonly #hits: readonly PrefixHits[] = PREFIX_WORDS.map(() => new PrefixHits())
  readonly #asked = new Float64Array(PREFIX_WORDS.length)
  #lookups = 0

  /** Number of rules. */
  get size(): number {
    return this.#size
  }

  get subtableCount(): number {
    return this.#subtables.size
  }

  #subtable(mask: Int32Array): Subtable | undefined {
    return this.#byMask.get(mask) ?? this.#subtables.get(maskId(mask))
  }

  #addSubtable(mask: Int32Array): Subtable {
    const subtable = new Subtable(mask, this.#nextSeq++)
    this.#subtables.set(maskId(mask), subtable)
    this.#byMask.set(mask, subtable)
    this.#order.push(subtable)
    this.#stale = true
    return subtable
  }

  /** Throws if a rule with its match and priority is there: a caller's mistake. Nobody may write to its match any more. */
  insert(rule: Rule): void {
    const subtable = this.#subtable(rule.match.mask) ?? this.#addSubtable(rule.match.mask)
    const before = subtable.maxPriority
    if (subtable.insert(rule)) this.#indexPrefixes(subtable, rule.match.key, true)
    if (subtable.maxPriority !== before) this.#stale = true
    this.#size++
  }

  /** Throws if it is not there: a caller's mistake. */
  remove(rule: Rule): void {
    const subtable = this.#subtable(rule.match.mask)
    if (subtable === undefined) throw new Error('rule is not in the classifier')
    const before = subtable.maxPriority
    if (subtable.remove(rule)) this.#indexPrefixes(subtable, rule.match.key, false)
    if (subtable.maxPriority !== before) this.#stale = true
    if (subtable.ruleCount === 0) {
      this.#subtables.delete(maskId(subtable.mask))
      this.#byMask.delete(subtable.mask)
      this.#order = this.#order.filter((other) => other !== subtable)
    }
    this.#size--
  }

  /** Puts a rule in the place of another with the same match and priority. */
  replace(rule: Rule, by: Rule): void {
    const subtable = this.#subtable(rule.match.mask)
    if (subtable === undefined) throw new Error('rule is not in the classifier')
    subtable.replace(rule, by)
  }

  #indexPrefixes(subtable: Subtable, key: Int32Array, add: boolean): void {
    for (let f = 0; f < PREFIX_WORDS.length; f++) {
      const length = subtable.prefixes[f]!
      if (length === 0) continue
      const base = PREFIX_WORDS[f]!
      const tries = this.#tries[f]!
      const type = etherType(key)
      const trie = tries.get(type) ?? new PrefixTrie()
      tries.set(type, trie)
      if (add) {
        trie.insert(key[base]!, key[base + 1]!, key[base + 2]!, key[base + 3]!, length)
      } else {
        trie.remove(key[base]!, key[base + 1]!, key[base + 2]!, key[base + 3]!, length)
        if (trie.isEmpty) tries.delete(type)
      }
    }
  }

  /** The order of look-ups, brought up to date. */
  #sorted(): readonly Subtable[] {
    if (this.#stale) {
      this.#order.sort((a, b) => b.maxPriority - a.maxPriority || a.seq - b.seq)
      this.#stale = false
    }
    return this.#order
  }

  /**
   * The matching rule of highest priority. `key` has K_WORDS, with an OpenFlow port in K_IN_PORT. Bits that were looked at are added to `wc` (K_WORDS), if given; the
   * answer does not depend on that.
   */
  lookup(key: Int32Array, wc: Int32Array | null): Rule | null {
    const order = this.#sorted()
    this.#lookups++
    let best: Rule | null = null
    let bestPriority = -1
    for (let i = 0; i < order.length; i++) {
      const subtable = order[i]!
      if (subtable.maxPriority <= bestPriority) break
      const rule = wc === null ? subtable.find(key) : this.#findMasked(subtable, key, wc)
      if (rule !== null && rule.priority > bestPriority) {
        best = rule
        bestPriority = rule.priority
      }
    }
    return best
  }

  #findMasked(subtable: Subtable, key: Int32Array, wc: Int32Array): Rule | null {
    const { words, masks, ends, stages, prefixStage } = subtable
    let hash = HASH_SEED
    let start = 0
    for (let s = 0; s < ends.length; s++) {
      if (s === prefixStage && this.#noPrefix(subtable, key, wc)) {
        lookedAt(wc, subtable, start)
        return null
      }
      const end = ends[s]!
      for (let i = start; i < end; i++) hash = mix(hash, key[words[i]!]! & masks[i]!)
      if (s < stages.length) {
        if (!stages[s]!.has(hash)) {
          lookedAt(wc, subtable, end)
          return null
        }
        start = end
      }
    }
    const rule = subtable.index.find(hash, key)
    if (rule === null && this.#noPorts(subtable, key, wc)) lookedAt(wc, subtable, start)
    else lookedAt(wc, subtable, words.length)
    return rule
  }

  /** True, and un-wildcards the address bits that tell, if no rule of the classifier has a prefix of the subtable's length that the key is under. */
  #noPrefix(subtable: Subtable, key: Int32Array, wc: Int32Array): boolean {
    for (let f = 0; f < PREFIX_WORDS.length; f++) {
      const length = subtable.prefixes[f]!
      if (length === 0) continue
      const hits = this.#prefixHits(f, key)
      if (hits.has(length)) continue
      const bits = hits.bitsFor(length)
      const base = PREFIX_WORDS[f]!
      for (let i = 0; i * 32 < bits; i++) wc[base + i] = wc[base + i]! | prefixMask(bits - i * 32)
      return true
    }
    return false
  }

  #prefixHits(f: number, key: Int32Array): PrefixHits {
    const hits = this.#hits[f]!
    if (this.#asked[f] === this.#lookups) return hits
    this.#asked[f] = this.#lookups
    const base = PREFIX_WORDS[f]!
    const trie = this.#tries[f]!.get(etherType(key))
    if (trie === undefined) hits.clear()
    else trie.lookup(key[base]!, key[base + 1]!, key[base + 2]!, key[base + 3]!, hits)
    return hits
  }

  /** True, and un-wildcards the port bits that tell, if no rule of the subtable has the key's ports. */
  #noPorts(subtable: Subtable, key: Int32Array, wc: Int32Array): boolean {
    if (subtable.ports === null) return false
    const hits = this.#portHits
    subtable.ports.lookup(key[K_TP]! & subtable.portsMask, 0, 0, 0, hits)
    if (hits.has(subtable.portsLength)) return false
    wc[K_TP] = wc[K_TP]! | (subtable.portsMask & prefixMask(hits.bitsFor(subtable.portsLength)))
    return true
  }

  readonly #portHits = new PrefixHits()

  /** The rule with exactly this match (canonical) and priority. */
  findStrict(match: Match, priority: number): Rule | null {
    return this.#subtable(match.mask)?.findStrict(match, priority) ?? null
  }

  /** The mask array that the classifier already holds for an equal one, so that rules share it; else `mask`. */
  internMask(mask: Int32Array): Int32Array {
    return this.#subtable(mask)?.mask ?? mask
  }

  *rules(): Generator<Rule> {
    for (const subtable of this.#subtables.values()) yield* subtable.index.rules()
  }

  /** Rules whose packets `match` all matches: what loose modifications, deletions and dumps mean. The classifier must not change meanwhile. */
  *covered(match: Match): Generator<Rule> {
    for (const subtable of this.#subtables.values()) {
      if (!isSubMask(match.mask, subtable.mask)) continue
      for (const rule of subtable.index.rules()) if (covers(match, rule.match)) yield rule
    }
  }

  /** Some rule of this priority that shares packets with `match`. */
  findOverlap(match: Match, priority: number): Rule | null {
    for (const subtable of this.#subtables.values()) {
      if (!subtable.hasPriority(priority)) continue
      for (const rule of subtable.index.rules()) {
        if (rule.priority === priority && overlaps(match, rule.match)) return rule
      }
    }
    return null
  }
}
