/** One eswitch as the offload module sees it: which flows it carries, who waits for room, and counters. */
import type { Eswitch } from '../eswitch/contract.ts'
import { FlowBag } from './flow-bag.ts'
import { HeldEntries } from './held-entries.ts'
import type { FlowRecord } from './record.ts'
import type { CheckName, Refusal } from './verdict.ts'

export class Carrier {
  readonly eswitch: Eswitch
  readonly carried = new FlowBag('carriedAt')
  /** Of the worker that runs now. */
  entries: HeldEntries
  /** Flows for which a rule was evicted, should its place not be free at once. First in line. */
  readonly successors = new Set<FlowRecord>()
  /** Walks over `carried` in search of victims. */
  #hand = 0
  /** No search for victims before this time (Clock milliseconds): the last one found none. */
  searchAfter = 0
  /** A job that fills free places is queued. */
  filling = false
  /** A job that compares rates is queued. */
  rebalancing = false

  /** Of flows for which there is no room: one for all of them. */
  readonly tableFull: Refusal

  insertions = 0
  replacements = 0
  evictions = 0
  /** Rules that were lost with the worker. */
  losses = 0
  /** Decisions against a flow, by check, since the start. */
  readonly refusals = new Map<CheckName, number>()

  constructor(eswitch: Eswitch) {
    this.eswitch = eswitch
    this.entries = new HeldEntries(eswitch)
    this.tableFull = {
      check: 'table-full',
      what: String(eswitch.capacity),
      detail: `all ${eswitch.capacity} rules of eswitch ${eswitch.name} are in use and none of those looked at is idle or colder`,
      retryOn: ['table-space'],
    }
  }

  /** Rules that fit. */
  get room(): number {
    return this.eswitch.state === 'running' ? this.eswitch.capacity - this.eswitch.ruleCount : 0
  }

  get hasRoom(): boolean {
    return this.room > 0
  }

  countRefusal(check: CheckName): void {
    this.refusals.set(check, (this.refusals.get(check) ?? 0) + 1)
  }

  /** Up to `n` carried flows, another part each time, all of them in turn. */
  *nextCarried(n: number): Generator<FlowRecord> {
    for (let left = Math.min(n, this.carried.size); left > 0 && this.carried.size > 0; left--) {
      if (this.#hand >= this.carried.size) this.#hand = 0
      yield this.carried.at(this.#hand++)
    }
  }
}
