/**
 * Decides about one flow and makes its verdict and its rule agree: offers, replaces, evicts, takes away, and keeps the rules' accounts. Main thread.
 */
import type { Dpif, FlowStats } from '../datapath/contract.ts'
import type { Eswitch } from '../eswitch/contract.ts'
import type { Clock } from '../lib/clock.ts'
import type { Carrier } from './carrier.ts'
import type { CheckView } from './checks/contract.ts'
import { runChecks } from './checks/index.ts'
import { worker } from './checks/worker.ts'
import type { Ledger } from './ledger.ts'
import { findVictim, type RebalanceOptions } from './rebalance.ts'
import type { FlowRecord } from './record.ts'
import { createStats, RuleAccount } from './rule-account.ts'
import type { Refusal } from './verdict.ts'

export interface PlacementContext {
  readonly dpif: Dpif
  readonly clock: Clock
  readonly ledger: Ledger
  readonly view: CheckView
  readonly rebalance: RebalanceOptions
  carrier(eswitch: Eswitch): Carrier
  /** A rule has said goodbye: its id, and its place in the table, are free. */
  ruleGone(carrier: Carrier, id: number): void
}

export class Placement {
  readonly #c: PlacementContext
  readonly #scratch = createStats()

  constructor(context: PlacementContext) {
    this.#c = context
  }

  /** `changed`: match or actions may differ from those of the rule. */
  decide(record: FlowRecord, changed: boolean): void {
    const result = runChecks(record, this.#c.view)
    if ('refusal' in result) {
      if (record.carrier) this.retire(record)
      this.#c.ledger.refuse(record, result.refusal, result.asked && this.#c.carrier(result.asked))
      return
    }
    const carrier = this.#c.carrier(result.eswitch)
    if (record.carrier === carrier && !changed) return
    if (record.carrier && record.carrier !== carrier) this.retire(record)
    this.#offer(record, carrier)
  }

  /** Asks the eswitch to drop the flow's rule. The caller gives the flow its new verdict. */
  retire(record: FlowRecord): void {
    const carrier = record.carrier!
    const account = record.account!
    const { id } = record
    this.#readRule(record)
    record.carrier = undefined
    record.account = undefined
    record.leaving.add(account)
    carrier.carried.delete(record)
    carrier.retiring.add(id)
    carrier.eswitch.ruleDel(id, (final) => {
      account.read(final)
      record.settle(account)
      carrier.retiring.delete(id)
      this.#c.ruleGone(carrier, id)
      record.onSettled?.()
    })
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
    for (const record of carrier.carried) {
      this.#readRule(record)
      record.settle(record.account!)
      record.carrier = undefined
      record.account = undefined
      carrier.losses++
      this.#c.ledger.refuse(record, this.#workerGone(record, carrier), carrier)
    }
    carrier.carried.clear()
    carrier.successors.clear()
    for (const record of [...waiting]) this.#c.ledger.refuse(record, this.#workerGone(record, carrier), carrier)
  }

  /** Of the datapath and of every rule that carries or carried the flow. False when the datapath does not know it. */
  stats(record: FlowRecord, out: FlowStats): boolean {
    if (!this.#c.dpif.flowStats(record.id, out)) return false
    this.#readRule(record)
    record.addCarried(out)
    return true
  }

  /** Brings the flow's rate up to date, if enough time has passed. */
  sample(record: FlowRecord): void {
    const now = this.#c.clock.now()
    const ms = now - record.sampledAt
    if (ms < this.#c.rebalance.minSampleMs) return
    const stats = createStats()
    this.stats(record, stats)
    record.active = Math.max(record.active, stats.used)
    record.rate = ((stats.packets - record.sampledPackets) * 1000) / ms
    record.sampledPackets = stats.packets
    record.sampledAt = now
  }

  #offer(record: FlowRecord, carrier: Carrier): void {
    let answer = this.#rulePut(record, carrier)
    if (answer === 'full' && this.#mayEvict(record, carrier)) {
      const { clock, rebalance } = this.#c
      const victim = findVictim(carrier, record, clock.now(), rebalance, (other) => this.sample(other))
      if (victim) {
        this.#evict(victim, record)
        answer = this.#rulePut(record, carrier)
        if (answer === 'full') carrier.successors.add(record)
      }
    }
    if (answer === 'ok') return
    if (record.carrier) this.retire(record)
    this.#c.ledger.refuse(record, answer === 'full' ? tableFull(carrier) : this.#workerGone(record, carrier), carrier)
  }

  /** Nobody is evicted for a rule that is only replaced, for who is first in line already, or when the eswitch is short of something else. */
  #mayEvict(record: FlowRecord, carrier: Carrier): boolean {
    return !record.carrier && !carrier.hasRoom && !carrier.successors.has(record)
  }

  #rulePut(record: FlowRecord, carrier: Carrier): ReturnType<Eswitch['rulePut']> {
    const { id, match, actions } = record
    const replaces = record.carrier === carrier
    if (replaces) this.#readRule(record)
    const answer = carrier.eswitch.rulePut({ id, match, actions })
    if (answer !== 'ok') return answer
    if (replaces) {
      record.account!.replaced()
      carrier.replacements++
      return answer
    }
    record.carrier = carrier
    record.account = new RuleAccount()
    record.active = this.#c.clock.now()
    carrier.carried.add(record)
    carrier.successors.delete(record)
    carrier.insertions++
    this.#c.ledger.offloaded(record, carrier)
    return answer
  }

  #evict(victim: FlowRecord, by: FlowRecord): void {
    const carrier = victim.carrier!
    carrier.evictions++
    this.retire(victim)
    this.#c.ledger.refuse(victim, evicted(carrier, by), carrier)
  }

  #readRule(record: FlowRecord): void {
    if (record.carrier?.eswitch.ruleStats(record.id, this.#scratch)) record.account!.read(this.#scratch)
  }

  /** Also for a worker that says it is down before its state has changed. */
  #workerGone(record: FlowRecord, { eswitch }: Carrier): Refusal {
    const refusal = worker(record, eswitch, this.#c.view)
    const detail = `the worker of eswitch ${eswitch.name} does not take rules`
    return refusal ?? { check: 'worker-gone', what: 'down', detail, retryOn: ['eswitch-up'] }
  }
}

export const tableFull = ({ eswitch }: Carrier): Refusal => ({
  check: 'table-full',
  what: String(eswitch.capacity),
  detail: `all ${eswitch.capacity} rules of eswitch ${eswitch.name} are in use and none of those looked at is idle or colder`,
  retryOn: ['table-space'],
})

const evicted = ({ eswitch }: Carrier, by: FlowRecord): Refusal => ({
  check: 'table-full',
  what: 'evicted',
  detail: `its rule was evicted in favour of flow ${by.id}: the table of eswitch ${eswitch.name} is full, and of the rules looked at this was the least used`,
  retryOn: ['table-space'],
})
