/**
 * The offload module: a datapath to whoever is above, and the one that asks the eswitches below. Main thread.
 *
 * Each flow that is put goes to the datapath first and is then offered to the eswitch of its ingress port, if the checks (checks/) allow; it has a
 * verdict at all times. The datapath keeps an offloaded flow too, so a rule can be taken away at any moment and nothing is lost but speed. Order: a
 * new or changed flow reaches the datapath first; a flow that goes leaves the eswitch first.
 *
 * Statistics of a flow are those of the datapath plus those of every rule that ever carried it. Refused flows are offered again by the events that their
 * verdicts name (retry-index.ts), in slices; a full table is rebalanced by rates every few seconds (rebalance.ts). placement.ts decides about one flow,
 * ledger.ts keeps the verdicts; here is what happens when.
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
import { DpifDecorator } from './decorator.ts'
import { Ledger, refused } from './ledger.ts'
import { Placement, tableFull } from './placement.ts'
import { DEFAULT_REBALANCE, type RebalanceOptions, rebalance } from './rebalance.ts'
import type { FlowRecord } from './record.ts'
import { retryKey } from './retry-index.ts'
import type { Scheduler } from './scheduler.ts'
import { type OffloadSummary, summarise } from './show.ts'
import { type Job, Slices } from './slices.ts'
import type { RetryEvent, Verdict } from './verdict.ts'

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

const spaceKey = (carrier: Carrier): string => retryKey('table-space', carrier.eswitch.name)

export class OffloadModule extends DpifDecorator {
  readonly #clock: Clock
  readonly #slices: Slices
  readonly #rebalance: RebalanceOptions
  readonly #ledger: Ledger
  readonly #placement: Placement
  readonly #view: CheckView
  readonly #carriers = new Map<string, Carrier>()
  readonly #portsOff = new Set<number>()
  readonly #stopTimer: () => void
  #enabled: boolean

  constructor(inner: Dpif, options: OffloadOptions) {
    super(inner)
    this.#clock = options.clock
    this.#enabled = options.enabled ?? true
    this.#slices = new Slices(options.scheduler, options.slice ?? 128)
    this.#rebalance = { ...DEFAULT_REBALANCE, ...options.rebalance }
    this.#ledger = new Ledger(options.clock)
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
    this.#placement = new Placement({
      dpif: inner,
      clock: options.clock,
      ledger: this.#ledger,
      view: this.#view,
      rebalance: this.#rebalance,
      carrier: (eswitch) => this.#carriers.get(eswitch.name)!,
      ruleGone: (carrier, id) => {
        this.#raiseKey(retryKey('rule-gone', carrier.eswitch.name, id))
        this.#fill(carrier)
      },
    })
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
    this.#placement.decide(this.#ledger.enter(flow), true)
  }

  override flowDel(id: number, gone?: (final: FlowStats) => void): void {
    const record = this.#ledger.get(id)
    if (!record) {
      this.inner.flowDel(id, gone)
      return
    }
    this.#ledger.strike(record)
    for (const { successors } of this.#carriers.values()) successors.delete(record)
    let final: FlowStats | undefined
    const finish = (): void => {
      if (!final || record.leaving.size > 0) return
      record.addCarried(final)
      gone?.(final)
    }
    record.onSettled = finish
    if (record.carrier) this.#placement.retire(record)
    this.inner.flowDel(id, (stats) => {
      final = { ...stats }
      finish()
    })
  }

  /** Of the datapath and of every rule that carries or carried the flow. */
  override flowStats(id: number, out: FlowStats): boolean {
    const record = this.#ledger.get(id)
    return record !== undefined && this.#placement.stats(record, out)
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
    for (const record of [...this.#ledger.records()])
      if (record.carrier === carrier || record.verdict.eswitch === name) this.#placement.decide(record, false)
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
    this.#policyChanged(policy.enabled, () => true)
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
    return this.#ledger.get(flowId)?.verdict
  }

  /** True when the flow's rule is more than armed: frames leave by it. */
  active(flowId: number): boolean {
    return this.#ledger.get(flowId)?.carrier?.eswitch.ruleActive(flowId) ?? false
  }

  *list(): Generator<FlowVerdict> {
    for (const { flow, verdict } of this.#ledger.records()) yield { flow, verdict }
  }

  summary(): OffloadSummary {
    const { now, refusals } = this.#ledger
    return summarise(this.#enabled, now, refusals, this.#carriers.values(), (carrier) =>
      this.#ledger.waitingCount(spaceKey(carrier)),
    )
  }

  /** What the verdict of such a flow would be now. Changes nothing. */
  wouldOffload(match: Match, actions: readonly OdpAction[]): Verdict {
    const since = this.#clock.now()
    const result = runChecks({ id: -1, match, actions, inPort: match.key[K_IN_PORT]! }, this.#view)
    if ('refusal' in result) return refused(result.refusal, result.asked?.name, since)
    const { name } = result.eswitch
    const carrier = this.#carriers.get(name)!
    if (!carrier.hasRoom) return refused(tableFull(carrier), name, since)
    return { state: 'offloaded', eswitch: name, rule: -1, since }
  }

  // Deferred work.

  *#again(records: Iterable<FlowRecord>, stillWaits?: string): Job {
    for (const record of records) {
      if (!record.deleted && (stillWaits === undefined || record.waitsFor.includes(stillWaits)))
        this.#placement.decide(record, false)
      yield
    }
  }

  #raiseKey(key: string): void {
    const waiting = [...this.#ledger.waiting(key)]
    if (waiting.length > 0) this.#slices.add(this.#again(waiting, key))
  }

  #policyChanged(enabled: boolean, concerned: (record: FlowRecord) => boolean): void {
    if (enabled) this.raise('policy')
    else this.#slices.add(this.#again([...this.#ledger.records()].filter(concerned)))
  }

  /** Gives free places to those who wait, oldest first. */
  #fill(carrier: Carrier): void {
    const key = spaceKey(carrier)
    if (carrier.filling || this.#ledger.waitingCount(key) === 0) return
    carrier.filling = true
    this.#slices.add(this.#fillJob(carrier, key))
  }

  *#fillJob(carrier: Carrier, key: string): Job {
    while (carrier.hasRoom) {
      const record = first(carrier.successors) ?? first(this.#ledger.waiting(key))
      if (!record) break
      carrier.successors.delete(record)
      if (!record.deleted && record.waitsFor.includes(key)) {
        this.#placement.decide(record, false)
        if (record.waitsFor.includes(key)) break
      }
      yield
    }
    carrier.filling = false
  }

  #rebalanceAll(): void {
    for (const carrier of this.#carriers.values()) {
      const key = spaceKey(carrier)
      if (carrier.hasRoom) this.#fill(carrier)
      else if (!carrier.rebalancing && this.#ledger.waitingCount(key) > 0) {
        carrier.rebalancing = true
        this.#slices.add(
          rebalance(carrier, [...this.#ledger.waiting(key)], this.#rebalance, {
            sample: (record) => this.#placement.sample(record),
            waits: (record) => !record.deleted && record.waitsFor.includes(key),
            swap: (cold, hot) => this.#placement.swap(cold, hot),
          }),
        )
      }
    }
  }

  #stateChanged(carrier: Carrier, state: EswitchState): void {
    if (state === 'running') this.raise('eswitch-up', carrier.eswitch.name)
    else this.#placement.lose(carrier, this.#ledger.waiting(spaceKey(carrier)))
  }

  #carrierOf(no: number): Carrier | undefined {
    for (const carrier of this.#carriers.values()) if (carrier.eswitch.hasPort(no)) return carrier
    return undefined
  }
}

const first = <T>(items: Iterable<T>): T | undefined => {
  for (const item of items) return item
  return undefined
}
