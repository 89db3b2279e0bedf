/** What the offload module remembers of one datapath flow, and of each rule that it has in an eswitch. */
import type { DpFlow, FlowStats } from '../datapath/contract.ts'
import { K_IN_PORT } from '../flow/key.ts'
import type { Carrier } from './carrier.ts'
import type { CheckSubject } from './checks/contract.ts'
import type { HeldEntries } from './held-entries.ts'
import { isPop, pushedEntries } from './pushes.ts'
import { addStats, createStats, RuleAccount } from './rule-account.ts'
import type { Endpoint } from './tunneled-flows.ts'
import type { Verdict } from './verdict.ts'

/** One rule of a flow. */
export class PlacedRule {
  readonly id: number
  /** The port by which its frames enter; the flow's own, unless that is a tunnel's. */
  readonly inPort: number
  readonly account = new RuleAccount()
  /** Where encap entries are held for it, and which. */
  readonly held: HeldEntries
  entries: readonly number[]

  constructor(id: number, inPort: number, held: HeldEntries, entries: readonly number[]) {
    this.id = id
    this.inPort = inPort
    this.held = held
    this.entries = entries
  }
}

/** What a flow's rate was, and what it was computed from. */
export interface RateSample {
  /** Packets per second since the sample before. */
  readonly rate: number
  readonly packets: number
  /** Clock milliseconds. */
  readonly at: number
}

export const NO_RULES: readonly PlacedRule[] = []

const NOTHING: readonly never[] = []
/** Of flows that no tunnel has to do with. */
export const NOWHERE: readonly Endpoint[] = []

export class FlowRecord implements CheckSubject {
  verdict: Verdict
  /** The eswitch that has the rules now. One for each port by which frames enter it; none without a carrier. */
  carrier: Carrier | undefined
  rules: readonly PlacedRule[] = NO_RULES
  /** Rules that are asked to go and have not said goodbye. */
  leaving: readonly PlacedRule[] = NO_RULES
  /** Sum of the rules that are no more; made with the first. */
  #settled: FlowStats | undefined
  deleted = false
  /** Called after each goodbye of a rule. */
  onSettled: (() => void) | undefined
  /** Index keys under which the record waits (retry-index.ts). */
  waitsFor: readonly string[] = NOTHING
  /** Rules that it needs at once, as of the last decision that found an eswitch. */
  places = 1
  /** Undefined until the flow competes for room, as most never do. */
  sampled: RateSample | undefined
  /** Clock milliseconds: when it became known. */
  readonly since: number
  /** Clock milliseconds: last packet as of the last sample, or later, when it got its rule. */
  active = 0
  /** Encap entries that the actions name. */
  entries: readonly number[] = NOTHING
  /** Kept by flow-bag.ts. */
  carriedAt = -1
  decapAt = -1
  /** Kept by tunneled-flows.ts: where it is filed. */
  endpoints = NOWHERE
  /** The flow takes outer headers off. */
  pops = false
  #flow: DpFlow

  constructor(flow: DpFlow, verdict: Verdict, now: number) {
    this.#flow = flow
    this.flow = flow
    this.verdict = verdict
    this.since = now
  }

  get flow(): DpFlow {
    return this.#flow
  }

  set flow(flow: DpFlow) {
    this.#flow = flow
    this.entries = pushedEntries(flow.actions)
    this.pops = isPop(flow.actions)
  }

  get id(): number {
    return this.#flow.id
  }

  get match(): DpFlow['match'] {
    return this.#flow.match
  }

  get actions(): DpFlow['actions'] {
    return this.#flow.actions
  }

  get inPort(): number {
    return this.#flow.match.key[K_IN_PORT]!
  }

  /** Packets per second over all tiers, at the last sample; -1: not yet known. */
  get rate(): number {
    return this.sampled === undefined ? -1 : this.sampled.rate
  }

  /** Adds what the eswitches have carried, as far as known. */
  addCarried(sum: FlowStats): void {
    if (this.#settled) addStats(sum, this.#settled)
    for (const { account } of this.leaving) account.addTo(sum)
    for (const { account } of this.rules) account.addTo(sum)
  }

  /** The rule is asked to go. */
  leave(rule: PlacedRule): void {
    this.leaving = [...this.leaving, rule]
  }

  /** The rule is gone: its sum is final. */
  settle(rule: PlacedRule): void {
    if (this.leaving.length > 0) this.leaving = this.leaving.filter((other) => other !== rule)
    this.#settled ??= createStats()
    rule.account.addTo(this.#settled)
  }
}
