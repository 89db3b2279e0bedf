/** What the offload module remembers of one datapath flow. */
import type { DpFlow, FlowStats } from '../datapath/contract.ts'
import { K_IN_PORT } from '../flow/key.ts'
import type { Carrier } from './carrier.ts'
import type { CheckSubject } from './checks/contract.ts'
import { addStats, createStats, type RuleAccount } from './rule-account.ts'
import type { Verdict } from './verdict.ts'

export class FlowRecord implements CheckSubject {
  flow: DpFlow
  verdict: Verdict
  /** The eswitch that has the rule now, and its account. */
  carrier: Carrier | undefined
  account: RuleAccount | undefined
  /** Accounts of rules that are asked to go and have not said goodbye. */
  readonly leaving = new Set<RuleAccount>()
  /** Sum of the rules that are no more. */
  readonly settled: FlowStats = createStats()
  deleted = false
  /** Called after each goodbye of a rule. */
  onSettled: (() => void) | undefined
  /** Index keys under which the record waits (retry-index.ts). */
  readonly waitsFor: string[] = []
  /** Packets per second over all tiers, at the last sample, and what it was computed from. -1: not yet known. */
  rate = -1
  sampledPackets = 0
  sampledAt: number
  /** Clock milliseconds: last packet as of the last sample, or later, when it got its rule. */
  active = 0

  constructor(flow: DpFlow, verdict: Verdict, now: number) {
    this.flow = flow
    this.verdict = verdict
    this.sampledAt = now
  }

  get id(): number {
    return this.flow.id
  }

  get match(): DpFlow['match'] {
    return this.flow.match
  }

  get actions(): DpFlow['actions'] {
    return this.flow.actions
  }

  get inPort(): number {
    return this.flow.match.key[K_IN_PORT]!
  }

  /** Adds what the eswitches have carried, as far as known. */
  addCarried(sum: FlowStats): void {
    addStats(sum, this.settled)
    for (const account of this.leaving) account.addTo(sum)
    this.account?.addTo(sum)
  }

  /** The rule of this account is gone: its sum is final. */
  settle(account: RuleAccount): void {
    this.leaving.delete(account)
    account.addTo(this.settled)
  }
}
