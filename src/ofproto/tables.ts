/**
 * The rules of one bridge: 255 tables, and the commands that change them, as OpenFlow and ovs-ofctl have them. Main thread.
 *
 * Whoever caches what a look-up gave watches `generation`.
 */

import { type FlowSpec, OFPP_NONE, type OfpAction } from '../flow/ofp.ts'
import type { Clock } from '../lib/clock.ts'
import { Generation } from '../lib/generation.ts'
import { Expiry, type ExpiryReason } from './expiry.ts'
import { checkGoto, checkSelector, checkSpec, FlowModError } from './flow-mod.ts'
import { Rule } from './rule.ts'
import { type Aggregate, aggregate, RuleStats } from './rule-stats.ts'
import { ALL_TABLES, Table } from './table.ts'

export type RemovedReason = ExpiryReason | 'delete'

/** Where versions of OpenFlow differ. */
export interface FlowModSemantics {
  /** A modification that finds no rule adds one, unless it selects by cookie. */
  readonly modifyAdds: boolean
  /** A modification that does not select by cookie sets the rules' cookie to its own, be it 0. */
  readonly modifyCookie: boolean
  /** Replacing a rule by `add` sets its statistics to zero, also without `reset_counts`. */
  readonly addResets: boolean
}

/** OpenFlow 1.0 and 1.1, and so ovs-ofctl when it is not told otherwise. The default. */
export const OF10: FlowModSemantics = { modifyAdds: true, modifyCookie: true, addResets: true }
/** OpenFlow 1.2 and later. */
export const OF13: FlowModSemantics = { modifyAdds: false, modifyCookie: false, addResets: false }

/** Rules of one bridge, if nothing else is said: about 200 MB at worst. */
export const DEFAULT_MAX_RULES = 200_000

export interface FlowTablesOptions {
  readonly clock: Clock
  readonly maxRules?: number
  readonly semantics?: FlowModSemantics
  /** Called after a rule has timed out or was deleted (not when another took its place); the tables may be changed from there. */
  readonly onRemoved?: (rule: Rule, reason: RemovedReason) => void
}

/** True if one of the actions, nested ones included, is an output to that port. */
const outputsTo = (actions: readonly OfpAction[], port: number): boolean =>
  actions.some((action) => {
    if (action.type === 'output') return action.port === port
    return (action.type === 'clone' || action.type === 'write_actions') && outputsTo(action.actions, port)
  })

export class FlowTables {
  /** Bumped once by every command, or tick, that changed a rule. */
  readonly generation = new Generation()
  readonly maxRules: number
  readonly #clock: Clock
  readonly #semantics: FlowModSemantics
  readonly #onRemoved: (rule: Rule, reason: RemovedReason) => void
  /** Sparse: a table is made with its first rule, and stays. */
  readonly #tables: (Table | undefined)[] = []
  readonly #expiry = new Expiry()
  #size = 0

  constructor(options: FlowTablesOptions) {
    this.#clock = options.clock
    this.maxRules = options.maxRules ?? DEFAULT_MAX_RULES
    this.#semantics = options.semantics ?? OF10
    this.#onRemoved = options.onRemoved ?? (() => {})
  }

  /** Rules in all tables. */
  get size(): number {
    return this.#size
  }

  /** Tables that have, or had, rules; ascending. */
  tables(): Table[] {
    return this.#tables.filter((table) => table !== undefined)
  }

  table(id: number): Table | undefined {
    return this.#tables[id]
  }

  /** See Classifier.lookup. A table without rules looks at nothing. */
  lookup(table: number, key: Int32Array, wc: Int32Array | null): Rule | null {
    return this.#tables[table]?.lookup(key, wc) ?? null
  }

  /** Adds a rule, or replaces the one with the same table, match and priority; its times start anew then. Throws FlowModError; nothing is changed then. */
  add(spec: FlowSpec, semantics = this.#semantics): Rule {
    const wrong = checkSpec(spec)
    if (wrong) throw wrong
    const now = this.#clock.now()
    const table = this.#table(spec.table)
    const match = table.ownMatch(spec.match)
    const { priority } = spec
    const old = table.find(match, priority)
    if (old !== null) {
      const keep = !(semantics.addResets || spec.resetCounts)
      const rule = new Rule({ ...spec, match: old.match }, now, now, keep ? old.stats : new RuleStats(now))
      rule.credit(0, 0, now)
      this.#replace(table, old, rule)
      this.generation.bump()
      return rule
    }
    if (this.#size >= this.maxRules) {
      const problem = `bridge holds ${this.#size} rules already: expected at most ${this.maxRules}`
      throw new FlowModError('OFPFMFC_TABLE_FULL', problem)
    }
    if (spec.checkOverlap && table.findOverlap(match, priority) !== null) {
      const problem = `another rule of priority ${priority} in table ${spec.table} matches some of the same packets`
      throw new FlowModError('OFPFMFC_OVERLAP', problem)
    }
    const rule = new Rule({ ...spec, match }, now)
    table.insert(rule)
    this.#expiry.add(rule)
    this.#size++
    this.generation.bump()
    return rule
  }

  /**
   * Gives new actions to rules: strictly to the one with this match and priority, or loosely to all that the match covers; table 255 means all tables. Timeouts and
   * creation times stay, the hard timeout starts anew; for the cookie see FlowModSemantics. Throws FlowModError; nothing is changed then.
   */
  modify(spec: FlowSpec, strict: boolean, semantics = this.#semantics): { modified: number; added: number } {
    const wrong = checkSpec(spec, true)
    if (wrong) throw wrong
    const rules = this.#select(spec, strict)
    if (rules.length === 0) {
      if (!semantics.modifyAdds || spec.cookieMask !== 0n) return { modified: 0, added: 0 }
      this.add(spec.table === ALL_TABLES ? { ...spec, table: 0 } : spec, semantics)
      return { modified: 0, added: 1 }
    }
    for (const { table } of rules) {
      const backwards = checkGoto(spec.actions, table)
      if (backwards) throw backwards
    }
    const now = this.#clock.now()
    const newCookie = semantics.modifyCookie && spec.cookieMask === 0n
    for (const old of rules) {
      const parts = { ...old, actions: spec.actions, cookie: newCookie ? spec.cookie : old.cookie }
      const rule = new Rule(parts, old.created, now, spec.resetCounts ? new RuleStats(old.used) : old.stats)
      this.#replace(this.#table(old.table), old, rule)
    }
    this.generation.bump()
    return { modified: rules.length, added: 0 }
  }

  /** Deletes rules (strictly or loosely, by cookie and output); gives their number. Throws FlowModError for a bad selection. */
  delete(spec: FlowSpec, strict: boolean): number {
    const wrong = checkSelector(spec)
    if (wrong) throw wrong
    const rules = this.#select(spec, strict)
    this.#removeAll(rules, 'delete')
    return rules.length
  }

  /** Rules that a deletion with this spec would delete; by table, then highest priority first. Throws FlowModError for a bad selection. */
  dump(spec: FlowSpec, strict = false): Rule[] {
    const wrong = checkSelector(spec)
    if (wrong) throw wrong
    return this.#select(spec, strict).sort((a, b) => a.table - b.table || b.priority - a.priority)
  }

  aggregate(spec: FlowSpec, strict = false): Aggregate {
    return aggregate(this.dump(spec, strict))
  }

  /** Clock milliseconds at which `expire` has something to do; Infinity when never. May be early, never late. */
  get nextExpiry(): number {
    return this.#expiry.next
  }

  /** Removes what has timed out by now; gives the number. To be called after the lower tiers' statistics have been credited. */
  expire(): number {
    const now = this.#clock.now()
    let expired = 0
    for (let due = this.#expiry.take(now); due !== null; due = this.#expiry.take(now)) {
      expired++
      this.#removeAll([due.rule], due.why)
    }
    return expired
  }

  #table(id: number): Table {
    const table = this.#tables[id] ?? new Table(id)
    this.#tables[id] = table
    return table
  }

  #replace(table: Table, old: Rule, by: Rule): void {
    table.replace(old, by)
    this.#expiry.remove(old)
    this.#expiry.add(by)
  }

  #removeAll(rules: readonly Rule[], reason: RemovedReason): void {
    if (rules.length === 0) return
    for (const rule of rules) {
      this.#table(rule.table).remove(rule)
      this.#expiry.remove(rule)
      this.#size--
    }
    this.generation.bump()
    for (const rule of rules) this.#onRemoved(rule, reason)
  }

  #select(spec: FlowSpec, strict: boolean): Rule[] {
    const found: Rule[] = []
    const cookie = spec.cookie & spec.cookieMask
    for (const table of spec.table === ALL_TABLES ? this.tables() : [this.#tables[spec.table]]) {
      if (table === undefined) continue
      const one = strict ? table.find(spec.match, spec.priority) : null
      for (const rule of strict ? (one === null ? [] : [one]) : table.covered(spec.match)) {
        if ((rule.cookie & spec.cookieMask) !== cookie) continue
        if (spec.outPort !== OFPP_NONE && !outputsTo(rule.actions, spec.outPort)) continue
        found.push(rule)
      }
    }
    return found
  }
}
