/** One OpenFlow table (0..254): its rules, found by packet, by match and priority, or by what they cover. */
import type { Match } from '../flow/key.ts'
import { Classifier } from './classifier.ts'
import type { Rule } from './rule.ts'

/** Highest number of a table; 255 stands for all of them. */
export const MAX_TABLE = 254
export const ALL_TABLES = 255

export class Table {
  readonly id: number
  readonly #classifier = new Classifier()
  #generation = 0

  constructor(id: number) {
    this.id = id
  }

  /** Number of rules. */
  get size(): number {
    return this.#classifier.size
  }

  /** Different masks among the rules. */
  get subtables(): number {
    return this.#classifier.subtableCount
  }

  /** Bumped on every change of a rule. */
  get generation(): number {
    return this.#generation
  }

  /** See Classifier.lookup. */
  lookup(key: Int32Array, wc: Int32Array | null): Rule | null {
    return this.#classifier.lookup(key, wc)
  }

  /** Throws if a rule with the same match and priority is there. */
  insert(rule: Rule): void {
    this.#classifier.insert(rule)
    rule.live = true
    this.#generation++
  }

  remove(rule: Rule): void {
    this.#classifier.remove(rule)
    rule.live = false
    this.#generation++
  }

  /** Puts a rule in the place of another with the same match and priority. */
  replace(rule: Rule, by: Rule): void {
    this.#classifier.replace(rule, by)
    rule.live = false
    by.live = true
    this.#generation++
  }

  find(match: Match, priority: number): Rule | null {
    return this.#classifier.findStrict(match, priority)
  }

  /** Rules that `match` covers, collected: the caller may change the table then. */
  covered(match: Match): Rule[] {
    return [...this.#classifier.covered(match)]
  }

  findOverlap(match: Match, priority: number): Rule | null {
    return this.#classifier.findOverlap(match, priority)
  }

  /** The match as a rule of this table should hold it: its own key, the mask shared with the rules that have an equal one. */
  ownMatch(match: Match): Match {
    const mask = this.#classifier.internMask(match.mask)
    return { key: match.key.map((word, i) => word & mask[i]!), mask: mask === match.mask ? mask.slice() : mask }
  }
}
