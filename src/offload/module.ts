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
import type { EncapEntry } from '../flow/encap.ts'
import { K_IN_PORT, type Match } from '../flow/key.ts'
import type { OdpAction } from '../flow/odp.ts'
import type { Clock } from '../lib/clock.ts'
import type { Scheduler } from '../lib/scheduler.ts'
import { Carrier } from './carrier.ts'
import type { CheckView } from './checks/contract.ts'
import { runChecks } from './checks/index.ts'
import { MatchJudge } from './checks/match.ts'
import { DpifDecorator } from './decorator.ts'
import type { OffloadEvent } from './events.ts'
import { Ledger, refused } from './ledger.ts'
import { Placement } from './placement.ts'
import { isPop, pushedEntries } from './pushes.ts'
import { DEFAULT_REBALANCE, type RebalanceOptions, rebalance } from './rebalance.ts'
import type { FlowRecord } from './record.ts'
import { retryKey } from './retry-index.ts'
import { type OffloadSummary, summarise } from './show.ts'
import { type Job, Slices } from './slices.ts'
import { type TunnelFact, tunnelFacts } from './tunnel-facts.ts'
import type { Endpoint } from './tunneled-flows.ts'
import { type TunnelParts, Tunnels } from './tunnels.ts'
import type { RetryEvent, Verdict } from './verdict.ts'

export interface OffloadOptions {
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly eswitches?: readonly Eswitch[]
  /** Offload as a whole; on unless false. */
  readonly enabled?: boolean
  readonly rebalance?: Partial<RebalanceOptions>
  /** Flows looked at in one slice of deferred work, at least, and milliseconds for which it goes on if there is more. */
  readonly slice?: number
  readonly sliceMs?: number
  /** Causes that `events` remembers. */
  readonly events?: number
  /** Hears of deferred work that failed; thrown unless given. */
  readonly onError?: (error: unknown) => void
}

export interface FlowVerdict {
  readonly flow: DpFlow
  readonly verdict: Verdict
}

const DEFAULT_EVENTS = 1024

const rethrow = (error: unknown): never => {
  throw error
}

const spaceKey = (carrier: Carrier): string => retryKey('table-space', carrier.eswitch.name)

export class OffloadModule extends DpifDecorator {
  readonly #clock: Clock
  readonly #slices: Slices
  readonly #rebalance: RebalanceOptions
  readonly #ledger: Ledger
  readonly #placement: Placement
  readonly #view: CheckView
  readonly #tunnels: Tunnels
  readonly #carriers = new Map<string, Carrier>()
  readonly #portsOff = new Set<number>()
  readonly #scheduler: Scheduler
  #stopTimer: () => void = () => {}
  #enabled: boolean

  constructor(inner: Dpif, options: OffloadOptions) {
    super(inner)
    this.#clock = options.clock
    this.#scheduler = options.scheduler
    this.#enabled = options.enabled ?? true
    const onError = options.onError ?? rethrow
    this.#slices = new Slices(options.scheduler, options.slice ?? 128, options.sliceMs ?? 2, onError)
    this.#rebalance = { ...DEFAULT_REBALANCE, ...options.rebalance }
    this.#ledger = new Ledger(options.clock)
    const self = this
    const judge = new MatchJudge()
    this.#view = {
      get enabled() {
        return self.#enabled
      },
      portEnabled: (no) => !this.#portsOff.has(no),
      port: (no) => inner.port(no),
      eswitchOf: (no) => this.#carrierOf(no)?.eswitch,
      mtu: (no) => this.#tunnels.mtu(no),
      encap: (id) => this.#tunnels.entries.get(id),
      wayIn: (flow) => this.#tunnels.wayIn(flow),
      unmatchable: (match, profile) => judge.refusal(match, profile),
      outerVerdict: (key) => this.#tunnels.outerVerdict(key),
    }
    this.#placement = new Placement({
      dpif: inner,
      clock: options.clock,
      ledger: this.#ledger,
      view: this.#view,
      rebalance: this.#rebalance,
      carrier: (eswitch) => this.#carriers.get(eswitch.name)!,
      ruleGone: (carrier) => this.#fill(carrier),
    })
    this.#tunnels = new Tunnels({
      slices: this.#slices,
      onError,
      view: this.#view,
      elapsed: () => options.scheduler.elapsed(),
      events: options.events ?? DEFAULT_EVENTS,
      barrier: () => inner.barrier(),
      port: (no) => inner.port(no),
      carriers: () => this.#carriers.values(),
      decide: (record) => this.#placement.decide(record, false),
    })
    this.#ledger.onVerdict = (record) => this.#tunnels.verdictChanged(record)
    this.#planRebalance()
    for (const eswitch of options.eswitches ?? []) this.addEswitch(eswitch)
  }

  /** Ends the timer. Rules stay where they are. */
  close(): void {
    this.#stopTimer()
  }

  // The datapath's contract, where it is more than handed on.

  override flowPut(flow: DpFlow): void {
    this.inner.flowPut(flow)
    const known = this.#ledger.get(flow.id)
    if (known && namesTheSame(known, flow)) known.flow = flow
    else {
      if (known) this.#tunnels.leave(known)
      this.#tunnels.enter(this.#ledger.enter(flow))
    }
    this.#placement.decide(this.#ledger.get(flow.id)!, true)
  }

  override flowDel(id: number, gone?: (final: FlowStats) => void): void {
    const record = this.#ledger.get(id)
    if (!record) {
      this.inner.flowDel(id, gone)
      return
    }
    this.#ledger.strike(record)
    this.#tunnels.leave(record)
    for (const { successors } of this.#carriers.values()) successors.delete(record)
    let final: FlowStats | undefined
    const finish = (): void => {
      if (!final || record.leaving.length > 0) return
      record.addCarried(final)
      gone?.(final)
    }
    record.onSettled = finish
    this.#placement.retire(record)
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

  override encapPut(entry: EncapEntry): void {
    this.inner.encapPut(entry)
    this.#tunnels.entryPut(entry)
  }

  override encapDel(id: number): void {
    this.#tunnels.entryDel(id)
    this.inner.encapDel(id)
  }

  /** Also waits for offers that are still to be made, those included that wait for the datapath. */
  override async barrier(): Promise<void> {
    await this.#slices.settled()
    await this.inner.barrier()
    if (this.#slices.pending === 0) return
    await this.#slices.settled()
    await this.inner.barrier()
  }

  // Events from the wiring.

  /** Tells what is needed to offload tunnelled flows. Once. */
  attachTunnels(parts: TunnelParts): void {
    this.#tunnels.attach(parts, this.#ledger.records())
  }

  /** The interface behind a datapath port has another MTU. */
  mtuChanged(no: number): void {
    this.#tunnels.mtuChanged(no, this.#ledger.waiting(retryKey('mtu-change')))
  }

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
    this.#tunnels.portsChanged()
    this.raise('port-change')
    const touched: FlowRecord[] = []
    for (const { carried } of this.#carriers.values())
      for (const record of carried) if (record.inPort === no || this.#tunnels.uses(record, no)) touched.push(record)
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

  /** True when all of the flow's rules are more than armed: frames leave by them. */
  active(flowId: number): boolean {
    const record = this.#ledger.get(flowId)
    return record?.carrier !== undefined && record.rules.every(({ id }) => record.carrier!.eswitch.ruleActive(id))
  }

  /** Of a tunnelled flow: peer, way and state. Empty for others. */
  tunnelFacts(flowId: number): TunnelFact[] {
    const record = this.#ledger.get(flowId)
    return record ? tunnelFacts(record, this.#tunnels) : []
  }

  /** Peers, with their flows, whose addresses lie under a prefix; in their order. */
  endpoints(prefix: Uint8Array, length: number): Iterable<Endpoint> {
    return this.#tunnels.flows.under(prefix, length)
  }

  /** The last `n` causes that concerned tunnelled flows, oldest first. */
  events(n: number): readonly OffloadEvent[] {
    return this.#tunnels.events.last(n)
  }

  *list(): Generator<FlowVerdict> {
    for (const { flow, verdict } of this.#ledger.records()) yield { flow, verdict }
  }

  summary(): OffloadSummary {
    const { now, refusals } = this.#ledger
    return summarise(
      this.#enabled,
      now,
      refusals,
      this.#carriers.values(),
      (carrier) => this.#ledger.waitingCount(spaceKey(carrier)),
      this.#tunnels.summary(),
    )
  }

  /** What the verdict of such a flow would be now. Changes nothing. */
  wouldOffload(match: Match, actions: readonly OdpAction[]): Verdict {
    const since = this.#clock.now()
    const result = runChecks({ match, actions, inPort: match.key[K_IN_PORT]! }, this.#view)
    if ('refusal' in result) return refused(result.refusal, result.asked?.name, since)
    const { name } = result.eswitch
    const carrier = this.#carriers.get(name)!
    if (carrier.room < result.entrances.length) return refused(carrier.tableFull, name, since)
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
    const waiting = this.#ledger.waiting(key)
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
      const fits = (record: FlowRecord): boolean => record.places <= carrier.room
      const record = first(carrier.successors, fits) ?? this.#ledger.firstWaiting(key, fits)
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

  #planRebalance(): void {
    this.#stopTimer = this.#scheduler.after(this.#rebalance.everyMs, () => {
      this.#planRebalance()
      this.#rebalanceAll()
    })
  }

  #rebalanceAll(): void {
    for (const carrier of this.#carriers.values()) {
      const key = spaceKey(carrier)
      if (carrier.hasRoom) this.#fill(carrier)
      else if (!carrier.rebalancing && this.#ledger.waitingCount(key) > 0) {
        carrier.rebalancing = true
        this.#slices.add(
          rebalance(carrier, this.#ledger.waiting(key), this.#rebalance, {
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

const first = <T>(items: Iterable<T>, fits: (item: T) => boolean): T | undefined => {
  for (const item of items) if (fits(item)) return item
  return undefined
}

/** True if the flow's new actions have to do with the same tunnels. */
const namesTheSame = (record: FlowRecord, { actions }: DpFlow): boolean => {
  const entries = pushedEntries(actions)
  return (
    record.pops === isPop(actions) &&
    entries.length === record.entries.length &&
    entries.every((id, i) => id === record.entries[i])
  )
}
