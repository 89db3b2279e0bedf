/**
 * Decides about one flow and makes its verdict and its rules agree: offers, replaces, evicts, takes away, and keeps the rules' accounts. Main thread.
 *
 * Rules have ids of their own, not used again before the rule is gone: so one that is still on its way out never stands in the way of the flow's next one. A flow of decapsulated
 * packets has a rule for each uplink by which they may enter, all in one eswitch, all or none.
 */
import type { Dpif, FlowStats } from '../datapath/contract.ts'
import type { Eswitch } from '../eswitch/contract.ts'
import type { Clock } from '../lib/clock.ts'
import { IdPool } from '../lib/id-pool.ts'
import type { Carrier } from './carrier.ts'
import type { CheckView, Entrance } from './checks/contract.ts'
import { runChecks } from './checks/index.ts'
import { worker } from './checks/worker.ts'
import { HeldEntries } from './held-entries.ts'
import type { Ledger } from './ledger.ts'
import { findVictim, type RebalanceOptions } from './rebalance.ts'
import { type FlowRecord, NO_RULES, PlacedRule } from './record.ts'
import { createStats } from './rule-account.ts'
import type { Refusal } from './verdict.ts'

export interface PlacementContext {
  readonly dpif: Dpif
  readonly clock: Clock
  readonly ledger: Ledger
  readonly view: CheckView
  readonly rebalance: RebalanceOptions
  carrier(eswitch: Eswitch): Carrier
  /** A rule has said goodbye: its place in the table is free. */
  ruleGone(carrier: Carrier): void
}

type Answer = ReturnType<Eswitch['rulePut']>

export class Placement {
  readonly #c: PlacementContext
  readonly #scratch = createStats()
  readonly #ids = new IdPool()

  constructor(context: PlacementContext) {
    this.#c = context
  }

  /** `changed`: match or actions may differ from those of the rules. */
  decide(record: FlowRecord, changed: boolean): void {
    const result = runChecks(record, this.#c.view)
    if ('refusal' in result) {
      this.retire(record)
      this.#c.ledger.refuse(record, result.refusal, result.asked && this.#c.carrier(result.asked))
      return
    }
    const carrier = this.#c.carrier(result.eswitch)
    if (record.carrier !== carrier) this.retire(record)
    this.#offer(record, carrier, result.entrances, changed)
  }

  /** Asks the eswitch to drop the flow's rules, if it has any. The caller gives the flow its new verdict. */
  retire(record: FlowRecord): void {
    const { carrier, rules } = record
    if (!carrier) return
    record.rules = NO_RULES
    for (const rule of rules) this.#retireRule(record, carrier, rule)
    record.carrier = undefined
    carrier.carried.delete(record)
  }

  /** Gives `by` the place of `victim`, as soon as that is free. */
  swap(victim: FlowRecord, by: FlowRecord): void {
    const carrier = victim.carrier!
    this.#evict(victim, by)
    carrier.successors.add(by)
    this.decide(by, false)
  }

  /** The worker and its rules are gone: their last statistics are taken over, nothing is asked of it. */
  lose(carrier: Carrier, waiting: Iterable<FlowRecord>): void {
    carrier.entries.lose()
    carrier.entries = new HeldEntries(carrier.eswitch)
    const lost = [...carrier.carried]
    carrier.successors.clear()
    for (const record of lost) {
      carrier.carried.delete(record)
      const { rules } = record
      record.rules = NO_RULES
      for (const rule of rules) {
        this.#readRule(carrier, rule)
        record.settle(rule)
        this.#ids.give(rule.id)
        carrier.losses++
      }
      record.carrier = undefined
    }
    const all = [...lost, ...waiting]
    if (all.length === 0) return
    // It tells of the worker, and so is one for all.
    const refusal = this.#workerGone(all[0]!, carrier, [])
    for (const record of all) this.#c.ledger.refuse(record, refusal, carrier)
  }

  /** Of the datapath and of every rule that carries or carried the flow. False when the datapath does not know it. */
  stats(record: FlowRecord, out: FlowStats): boolean {
    if (!this.#c.dpif.flowStats(record.id, out)) return false
    if (record.carrier) for (const rule of record.rules) this.#readRule(record.carrier, rule)
    record.addCarried(out)
    return true
  }

  /** Brings the flow's rate up to date, if enough time has passed. */
  sample(record: FlowRecord): void {
    const now = this.#c.clock.now()
    const { sampled } = record
    const ms = now - (sampled === undefined ? record.since : sampled.at)
    if (ms < this.#c.rebalance.minSampleMs) return
    const stats = createStats()
    this.stats(record, stats)
    const { packets } = stats
    record.active = Math.max(record.active, stats.used)
    const rate = ((packets - (sampled === undefined ? 0 : sampled.packets)) * 1000) / ms
    record.sampled = { rate, packets, at: now }
  }

  #offer(record: FlowRecord, carrier: Carrier, entrances: readonly Entrance[], changed: boolean): void {
    const { rules } = record
    // A new flow, of which there are many.
    const none = rules.length === 0
    const stale = none ? NO_RULES : rules.filter(({ inPort }) => !entrances.some(({ port }) => port === inPort))
    const missing = none ? entrances : entrances.filter(({ port }) => !rules.some(({ inPort }) => port === inPort))
    if (!changed && stale.length === 0 && missing.length === 0) return
    record.places = entrances.length
    let answer = changed ? this.#replaceAll(record, carrier, stale) : 'ok'
    if (answer === 'ok' && missing.length > 0) {
      if (carrier.room >= missing.length || this.#makeRoom(record, carrier, stale, missing.length))
        answer = this.#putAll(record, carrier, missing)
      else answer = carrier.eswitch.state === 'running' ? 'full' : 'down'
    }
    if (answer === 'ok') {
      this.#drop(record, carrier, stale)
      this.#c.ledger.offloaded(record, carrier)
      return
    }
    this.retire(record)
    const refusal = answer === 'full' ? carrier.tableFull : this.#workerGone(record, carrier, entrances)
    this.#c.ledger.refuse(record, refusal, carrier)
  }

  /** New actions for the rules that stay. */
  #replaceAll(record: FlowRecord, carrier: Carrier, stale: readonly PlacedRule[]): Answer {
    for (const rule of record.rules) {
      if (stale.includes(rule)) continue
      this.#readRule(carrier, rule)
      const before = rule.entries
      if (!this.#hold(record, rule.held)) return 'down'
      rule.entries = record.entries
      const answer = this.#rulePut(record, carrier, rule)
      rule.held.release(before)
      if (answer !== 'ok') return answer
      rule.account.replaced()
      carrier.replacements++
    }
    return 'ok'
  }

  /** All or none. */
  #putAll(record: FlowRecord, carrier: Carrier, entrances: readonly Entrance[]): Answer {
    const first = !record.carrier
    for (const { port } of entrances) {
      if (!this.#hold(record, carrier.entries)) return 'down'
      const rule = new PlacedRule(this.#ids.take(), port, carrier.entries, record.entries)
      const answer = this.#rulePut(record, carrier, rule)
      if (answer !== 'ok') {
        rule.held.release(rule.entries)
        this.#ids.give(rule.id)
        return answer
      }
      // No room to grow: most flows have one.
      record.rules = [...record.rules, rule]
      record.carrier = carrier
      carrier.insertions++
    }
    if (first) {
      record.active = this.#c.clock.now()
      carrier.carried.add(record)
      carrier.successors.delete(record)
    }
    return 'ok'
  }

  #rulePut(record: FlowRecord, carrier: Carrier, { id, inPort }: PlacedRule): Answer {
    return carrier.eswitch.rulePut({ id, match: record.match, inPort, actions: record.actions })
  }

  #hold(record: FlowRecord, held: HeldEntries): boolean {
    if (record.entries.length === 0) return true
    return held.take(record.entries.map((id) => this.#c.view.encap(id)!))
  }

  #drop(record: FlowRecord, carrier: Carrier, rules: readonly PlacedRule[]): void {
    for (const rule of rules) {
      if (!record.rules.includes(rule)) continue
      record.rules = record.rules.filter((other) => other !== rule)
      this.#retireRule(record, carrier, rule)
    }
  }

  #retireRule(record: FlowRecord, carrier: Carrier, rule: PlacedRule): void {
    this.#readRule(carrier, rule)
    record.leave(rule)
    carrier.eswitch.ruleDel(rule.id, (final) => {
      rule.account.read(final)
      record.settle(rule)
      this.#ids.give(rule.id)
      rule.held.release(rule.entries)
      this.#c.ruleGone(carrier)
      record.onSettled?.()
    })
  }

  /**
   * For `n` more rules: the flow's own that are not needed any more go first, then those of others. Nobody is evicted for who is first in line already. True if there is room
   * now; else the flow is first in line when there may be soon.
   */
  #makeRoom(record: FlowRecord, carrier: Carrier, stale: readonly PlacedRule[], n: number): boolean {
    if (carrier.eswitch.state !== 'running') return false
    let promised = carrier.room + stale.length
    this.#drop(record, carrier, stale)
    const { clock, rebalance } = this.#c
    while (promised < n && !carrier.successors.has(record)) {
      const victim = findVictim(carrier, record, clock.now(), rebalance, (other) => this.sample(other))
      if (!victim || victim === record) break
      promised += victim.rules.length
      this.#evict(victim, record)
    }
    if (carrier.room >= n) return true
    if (promised >= n) carrier.successors.add(record)
    return false
  }

  #evict(victim: FlowRecord, by: FlowRecord): void {
    const carrier = victim.carrier!
    carrier.evictions++
    this.retire(victim)
    this.#c.ledger.refuse(victim, evicted(carrier, by), carrier)
  }

  #readRule(carrier: Carrier, rule: PlacedRule): void {
    if (carrier.eswitch.ruleStats(rule.id, this.#scratch)) rule.account.read(this.#scratch)
  }

  /** Also for a worker that says it is down before its state has changed. */
  #workerGone(record: FlowRecord, { eswitch }: Carrier, entrances: readonly Entrance[]): Refusal {
    const refusal = worker(record, { eswitch, entrances }, this.#c.view)
    const detail = `the worker of eswitch ${eswitch.name} does not take rules`
    return refusal ?? { check: 'worker-gone', what: 'down', detail, retryOn: ['eswitch-up'] }
  }
}

const evicted = ({ eswitch }: Carrier, by: FlowRecord): Refusal => ({
  check: 'table-full',
  what: 'evicted',
  detail: `its rule was evicted in favour of flow ${by.id}: the table of eswitch ${eswitch.name} is full, and of the rules looked at this was the least used`,
  retryOn: ['table-space'],
})
