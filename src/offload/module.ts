/**
 * The offload module: a datapath to whoever is above, and the one that asks the eswitches below. Main thread.
 *
 * Each flow that is put goes to the datapath first and is then offered to the eswitch of its ingress port, if the checks (checks/) allow; it has a
 * verdict at all times. The datapath keeps an offloaded flow too, so a rule can be taken away at any moment and nothing is lost but speed. Order: a
 * new or changed flow reaches the datapath first; a flow that goes leaves the eswitch first.
 *
 * Statistics of a flow are those of the datapath plus those of every rule that ever carried it. Refused flows are offered again by the events that their
 * verdicts name (retry-index.ts), in slices; a full table is rebalanced by rates every few seconds (rebalance.ts).
 */

import type { DpFlow, Dpif, FlowStats } from '../datapath/contract.ts'
import type { Eswitch, EswitchState } from '../eswitch/contract.ts'
import { K_IN_PORT, type Match } from '../flow/key.ts'
import type { OdpAction } from '../flow/odp.ts'
import type { Clock } from '../lib/clock.ts'
import { Carrier } from './carrier.ts'
import type { CheckView } from './checks/contract.ts'
import { runChecks } from './checks/index.ts'
import { outputPorts } from './checks/outputs.ts'
import { worker } from './checks/worker.ts'
import { DpifDecorator } from './decorator.ts'
import { DEFAULT_REBALANCE, findVictim, type RebalanceOptions, rebalance } from './rebalance.ts'
import { FlowRecord } from './record.ts'
import { RetryIndex, retryKey } from './retry-index.ts'
import { createStats, RuleAccount } from './rule-account.ts'
import type { Scheduler } from './scheduler.ts'
import { type OffloadSummary, summarise } from './show.ts'
import { type Job, Slices } from './slices.ts'
import type { CheckName, Refusal, Refused, RetryEvent, Verdict } from './verdict.ts'

export interface OffloadOptions {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly eswitches?: readonly Eswitch[]
  /** Offload as a whole; on unless false. */
  readonly enabled?: boolean
  readonly rebalance?: Partial<RebalanceOptions>
  /** Flows looked at in one slice of deferred work. */
  readonly slice?: number
}

export interface FlowVerdict {
  readonly flow: DpFlow
  readonly verdict: Verdict
}

const UNDECIDED: Refusal = { check: 'policy', what: 'new', detail: 'not yet decided', retryOn: [] }

export class OffloadModule extends DpifDecorator {
  readonly #clock: Clock
  readonly #slices: Slices
  readonly #rebalance: RebalanceOptions
  readonly #records = new Map<number, FlowRecord>()
  readonly #carriers = new Map<string, Carrier>()
  readonly #retry = new RetryIndex()
  readonly #portsOff = new Set<number>()
  /** Flows by verdict now: a check's name, or 'offloaded'. */
  readonly #now = new Map<CheckName | 'offloaded', number>()
  /** Decisions against flows for which no eswitch was asked, since the start. */
  readonly #refusals = new Map<CheckName, number>()
  readonly #scratch = createStats()
  readonly #view: CheckView
  readonly #stopTimer: () => void
  #enabled: boolean

  constructor(inner: Dpif, options: OffloadOptions) {
    super(inner)
    this.#clock = options.clock
    this.#enabled = options.enabled ?? true
    this.#slices = new Slices(options.scheduler, options.slice ?? 128)
    this.#rebalance = { ...DEFAULT_REBALANCE, ...options.rebalance }
    const self = this
    this.#view = {
      get enabled() {
        return self.#enabled
      },
      portEnabled: (no) => !this.#portsOff.has(no),
      port: (no) => inner.port(no),
      eswitchOf: (no) => this.#carrierOf(no)?.eswitch,
      retiring: (eswitch, id) => this.#carriers.get(eswitch.name)?.retiring.has(id) ?? false,
    }
    this.#stopTimer = options.scheduler.every(this.#rebalance.everyMs, () => this.#rebalanceAll())
    for (const eswitch of options.eswitches ?? []) this.addEswitch(eswitch)
  }

  /** Ends the timer. Rules stay where they are. */
  close(): void {
    this.#stopTimer()
  }

  // The datapath's contract, where it is more than handed on.

  override flowPut(flow: DpFlow): void {
    this.inner.flowPut(flow)
    let record = this.#records.get(flow.id)
    if (record) record.flow = flow
    else {
      const now = this.#clock.now()
      record = new FlowRecord(flow, { state: 'refused', since: now, ...UNDECIDED }, now)
      this.#records.set(flow.id, record)
      this.#count(record.verdict, 1)
    }
    this.#decide(record, true)
  }

  override flowDel(id: number, gone?: (final: FlowStats) => void): void {
    const record = this.#records.get(id)
    if (!record) {
      this.inner.flowDel(id, gone)
      return
    }
    this.#records.delete(id)
    this.#retry.remove(record)
    this.#count(record.verdict, -1)
    record.deleted = true
    for (const { successors } of this.#carriers.values()) successors.delete(record)
    let final: FlowStats | undefined
    const finish = (): void => {
      if (!final || record.leaving.size > 0) return
      record.addCarried(final)
      gone?.(final)
    }
    record.onSettled = finish
    if (record.carrier) this.#retire(record)
    this.inner.flowDel(id, (stats) => {
      final = { ...stats }
      finish()
    })
  }

  /** Of the datapath and of every rule that carries or carried the flow. */
  override flowStats(id: number, out: FlowStats): boolean {
    const record = this.#records.get(id)
    if (!record || !this.inner.flowStats(id, out)) return false
    this.#readRule(record)
    record.addCarried(out)
    return true
  }

  /** Also waits for offers that are still to be made. */
  override async barrier(): Promise<void> {
    await this.#slices.settled()
    await this.inner.barrier()
  }

  // Events from the wiring.

  /** Flows that enter by its ports are offered to it from now on, those that are there already in slices. */
  addEswitch(eswitch: Eswitch): void {
    if (this.#carriers.has(eswitch.name)) throw new Error(`eswitch ${eswitch.name} is already known to offload`)
    const carrier = new Carrier(eswitch)
    this.#carriers.set(eswitch.name, carrier)
    eswitch.onState((state) => {
      if (this.#carriers.get(eswitch.name) === carrier) this.#stateChanged(carrier, state)
    })
    this.raise('port-change')
  }

  /** Takes all its rules away; its flows get verdict no-eswitch. */
  removeEswitch(name: string): void {
    const carrier = this.#carriers.get(name)
    if (!carrier) return
    this.#carriers.delete(name)
    for (const record of [...this.#records.values()])
      if (record.carrier === carrier || record.verdict.eswitch === name) this.#decide(record, false)
  }

  /** A port was added, is about to be removed, or is now on another eswitch. */
  portChanged(no: number): void {
    this.raise('port-change')
    const touched: FlowRecord[] = []
    for (const { carried } of this.#carriers.values())
      for (const record of carried)
        if (record.inPort === no || outputPorts(record.actions).includes(no)) touched.push(record)
    this.#slices.add(this.#again(touched))
  }

  /** Something happened outside that verdicts may wait for; offers again exactly the flows that do. Events of one eswitch need its name. */
  raise(event: RetryEvent, eswitch?: string): void {
    this.#raiseKey(retryKey(event, eswitch))
  }

  /** Turning off takes all rules away, in slices; the datapath has every flow. */
  setPolicy(policy: { readonly enabled: boolean }): void {
    if (this.#enabled === policy.enabled) return
    this.#enabled = policy.enabled
    this.#policyChanged(this.#enabled, () => true)
  }

  /** The same for the flows that enter by one port. */
  setPortPolicy(no: number, policy: { readonly enabled: boolean }): void {
    if (this.#portsOff.has(no) !== policy.enabled) return
    if (policy.enabled) this.#portsOff.delete(no)
    else this.#portsOff.add(no)
    this.#policyChanged(policy.enabled, (record) => record.inPort === no)
  }

  get enabled(): boolean {
    return this.#enabled
  }

  // Introspection.

  verdict(flowId: number): Verdict | undefined {
    return this.#records.get(flowId)?.verdict
  }

  /** True when the flow's rule has been armed and frames leave by it. */
  active(flowId: number): boolean {
    return this.#records.get(flowId)?.carrier?.eswitch.ruleActive(flowId) ?? false
  }

  *list(): Generator<FlowVerdict> {
    for (const { flow, verdict } of this.#records.values()) yield { flow, verdict }
  }

  summary(): OffloadSummary {
    return summarise(this.#enabled, this.#now, this.#refusals, this.#carriers.values(), (carrier) =>
      this.#retry.count(retryKey('table-space', carrier.eswitch.name)),
    )
  }

  /** What the verdict of such a flow would be now. Changes nothing. */
  wouldOffload(match: Match, actions: readonly OdpAction[]): Verdict {
    const since = this.#clock.now()
    const result = runChecks({ id: -1, match, actions, inPort: match.key[K_IN_PORT]! }, this.#view)
    if ('refusal' in result) return refused(result.refusal, result.asked?.name, since)
    const carrier = this.#carriers.get(result.eswitch.name)!
    if (!carrier.hasRoom) return refused(tableFull(carrier), result.eswitch.name, since)
    return { state: 'offloaded', eswitch: result.eswitch.name, rule: -1, since }
  }

  // Decisions.

  #carrierOf(no: number): Carrier | undefined {
    for (const carrier of this.#carriers.values()) if (carrier.eswitch.hasPort(no)) return carrier
    return undefined
  }

  /** Makes verdict and rule agree. `changed`: match or actions may differ from those of the rule. */
  #decide(record: FlowRecord, changed: boolean): void {
    const result = runChecks(record, this.#view)
    if ('refusal' in result) {
      if (record.carrier) this.#retire(record)
      this.#refuse(record, result.refusal, result.asked?.name)
      return
    }
    const carrier = this.#carriers.get(result.eswitch.name)!
    if (record.carrier === carrier && !changed) return
    if (record.carrier && record.carrier !== carrier) this.#retire(record)
    this.#offer(record, carrier)
  }

  #offer(record: FlowRecord, carrier: Carrier): void {
    let answer = this.#rulePut(record, carrier)
    if (answer === 'full' && !record.carrier && !carrier.hasRoom && !carrier.successors.has(record)) {
      const victim = findVictim(carrier, record, this.#clock.now(), this.#rebalance, (r) => this.#sample(r))
      if (victim) {
        this.#evict(victim, record)
        answer = this.#rulePut(record, carrier)
        if (answer === 'full') carrier.successors.add(record)
      }
    }
    if (answer === 'ok') return
    if (record.carrier) this.#retire(record)
    if (answer === 'full') this.#refuse(record, tableFull(carrier), carrier.eswitch.name)
    else this.#refuse(record, workerGone(record, carrier, this.#view), carrier.eswitch.name)
  }

  #rulePut(record: FlowRecord, carrier: Carrier): ReturnType<Eswitch['rulePut']> {
    const { id, match, actions } = record
    if (record.carrier === carrier) {
      this.#readRule(record)
      const answer = carrier.eswitch.rulePut({ id, match, actions })
      if (answer === 'ok') {
        record.account!.replaced()
        carrier.replacements++
      }
      return answer
    }
    const answer = carrier.eswitch.rulePut({ id, match, actions })
    if (answer !== 'ok') return answer
    record.carrier = carrier
    record.account = new RuleAccount()
    record.active = this.#clock.now()
    carrier.carried.add(record)
    carrier.successors.delete(record)
    carrier.insertions++
    this.#setVerdict(record, { state: 'offloaded', eswitch: carrier.eswitch.name, rule: id, since: this.#clock.now() })
    return answer
  }

  /** Asks the eswitch to drop the flow's rule. The caller gives the flow its new verdict. */
  #retire(record: FlowRecord): void {
    const carrier = record.carrier!
    const account = record.account!
    this.#readRule(record)
    record.carrier = undefined
    record.account = undefined
    record.leaving.add(account)
    carrier.carried.delete(record)
    carrier.retiring.add(record.id)
    const { id } = record
    carrier.eswitch.ruleDel(id, (final) => {
      account.read(final)
      record.settle(account)
      carrier.retiring.delete(id)
      this.#raiseKey(retryKey('rule-gone', carrier.eswitch.name, id))
      this.#fill(carrier)
      record.onSettled?.()
    })
  }

  #evict(victim: FlowRecord, by: FlowRecord): void {
    const carrier = victim.carrier!
    carrier.evictions++
    this.#retire(victim)
    const detail = `its rule was evicted in favour of flow ${by.id}: the table of eswitch ${carrier.eswitch.name} is full and this was the least used of those looked at`
    this.#refuse(
      victim,
      { check: 'table-full', what: 'evicted', detail, retryOn: ['table-space'] },
      carrier.eswitch.name,
    )
  }

  #refuse(record: FlowRecord, refusal: Refusal, eswitch: string | undefined): void {
    const carrier = eswitch === undefined ? undefined : this.#carriers.get(eswitch)
    if (carrier) carrier.countRefusal(refusal.check)
    else this.#refusals.set(refusal.check, (this.#refusals.get(refusal.check) ?? 0) + 1)
    const old = record.verdict
    const same =
      old.state === 'refused' &&
      old.check === refusal.check &&
      old.what === refusal.what &&
      old.eswitch === eswitch &&
      old.detail === refusal.detail
    if (!same) this.#setVerdict(record, refused(refusal, eswitch, this.#clock.now()))
  }

  #setVerdict(record: FlowRecord, verdict: Verdict): void {
    this.#count(record.verdict, -1)
    this.#count(verdict, 1)
    this.#retry.remove(record)
    record.verdict = verdict
    if (verdict.state === 'refused') this.#retry.add(record, verdict)
  }

  #count(verdict: Verdict, by: number): void {
    const name = verdict.state === 'offloaded' ? 'offloaded' : verdict.check
    this.#now.set(name, (this.#now.get(name) ?? 0) + by)
  }

  // Deferred work.

  *#again(records: Iterable<FlowRecord>, stillWaits?: string): Job {
    for (const record of records) {
      if (!record.deleted && (stillWaits === undefined || record.waitsFor.includes(stillWaits)))
        this.#decide(record, false)
      yield
    }
  }

  #raiseKey(key: string): void {
    const waiting = [...this.#retry.waiting(key)]
    if (waiting.length > 0) this.#slices.add(this.#again(waiting, key))
  }

  #policyChanged(enabled: boolean, concerned: (record: FlowRecord) => boolean): void {
    if (enabled) this.raise('policy')
    else this.#slices.add(this.#again([...this.#records.values()].filter(concerned)))
  }

  /** Gives free places to those who wait, oldest first. */
  #fill(carrier: Carrier): void {
    const key = retryKey('table-space', carrier.eswitch.name)
    if (carrier.filling || this.#retry.count(key) === 0) return
    carrier.filling = true
    this.#slices.add(this.#fillJob(carrier, key))
  }

  *#fillJob(carrier: Carrier, key: string): Job {
    while (carrier.hasRoom) {
      const record = first(carrier.successors) ?? first(this.#retry.waiting(key))
      if (!record) break
      carrier.successors.delete(record)
      if (!record.deleted && record.waitsFor.includes(key)) {
        this.#decide(record, false)
        if (record.waitsFor.includes(key)) break
      }
      yield
    }
    carrier.filling = false
  }

  #rebalanceAll(): void {
    for (const carrier of this.#carriers.values()) {
      const key = retryKey('table-space', carrier.eswitch.name)
      if (carrier.hasRoom) this.#fill(carrier)
      else if (!carrier.rebalancing && this.#retry.count(key) > 0) {
        carrier.rebalancing = true
        this.#slices.add(
          rebalance(carrier, [...this.#retry.waiting(key)], this.#rebalance, {
            sample: (record) => this.#sample(record),
            waits: (record) => !record.deleted && record.waitsFor.includes(key),
            swap: (cold, hot) => {
              this.#evict(cold, hot)
              carrier.successors.add(hot)
              this.#decide(hot, false)
            },
          }),
        )
      }
    }
  }

  /** When the worker is lost its rules are gone already: their last statistics are taken over, nothing is asked of it. */
  #stateChanged(carrier: Carrier, state: EswitchState): void {
    const { name } = carrier.eswitch
    if (state === 'running') {
      this.raise('eswitch-up', name)
      return
    }
    for (const record of carrier.carried) {
      this.#readRule(record)
      record.settle(record.account!)
      record.carrier = undefined
      record.account = undefined
      carrier.losses++
      this.#refuse(record, workerGone(record, carrier, this.#view), name)
    }
    carrier.carried.clear()
    carrier.successors.clear()
    for (const record of [...this.#retry.waiting(retryKey('table-space', name))])
      this.#refuse(record, workerGone(record, carrier, this.#view), name)
  }

  // Statistics.

  #readRule(record: FlowRecord): void {
    if (record.carrier?.eswitch.ruleStats(record.id, this.#scratch)) record.account!.read(this.#scratch)
  }

  /** Brings the flow's rate up to date. */
  #sample(record: FlowRecord): void {
    const now = this.#clock.now()
    const ms = now - record.sampledAt
    if (ms < this.#rebalance.minSampleMs) return
    const stats = createStats()
    this.flowStats(record.id, stats)
    record.active = Math.max(record.active, stats.used)
    record.rate = ((stats.packets - record.sampledPackets) * 1000) / ms
    record.sampledPackets = stats.packets
    record.sampledAt = now
  }
}

const refused = (refusal: Refusal, eswitch: string | undefined, since: number): Refused => ({
  state: 'refused',
  ...(eswitch === undefined ? {} : { eswitch }),
  ...refusal,
  since,
})

const tableFull = ({ eswitch }: Carrier): Refusal => ({
  check: 'table-full',
  what: String(eswitch.capacity),
  detail: `all ${eswitch.capacity} rules of eswitch ${eswitch.name} are in use and none of those looked at is idle or colder`,
  retryOn: ['table-space'],
})

/** Also for a worker that says it is down before its state has changed. */
const workerGone = (record: FlowRecord, { eswitch }: Carrier, view: CheckView): Refusal =>
  worker(record, eswitch, view) ?? {
    check: 'worker-gone',
    what: 'down',
    detail: `the worker of eswitch ${eswitch.name} does not take rules`,
    retryOn: ['eswitch-up'],
  }

const first = <T>(items: Iterable<T>): T | undefined => {
  for (const item of items) return item
  return undefined
}
