/** Who has which verdict since when, who waits for what, and how often it came to that. Main thread. */
import type { DpFlow } from '../datapath/contract.ts'
import type { Clock } from '../lib/clock.ts'
import { IdTable } from '../lib/id-table.ts'
import type { Carrier } from './carrier.ts'
import { FlowRecord } from './record.ts'
import { RetryIndex } from './retry-index.ts'
import type { CheckName, Refusal, Refused, Verdict } from './verdict.ts'

export const refused = (refusal: Refusal, eswitch: string | undefined, since: number): Refused => ({
  state: 'refused',
  ...(eswitch === undefined ? {} : { eswitch }),
  ...refusal,
  since,
})

/** Of every flow until its first decision, which is made before anybody can ask. */
const UNDECIDED = refused({ check: 'policy', what: 'new', detail: 'not yet decided', retryOn: [] }, undefined, 0)

export class Ledger {
  readonly #clock: Clock
  readonly #records = new IdTable<FlowRecord>()
  readonly #retry = new RetryIndex()
  #lastRefusal: Refusal | undefined
  #last = UNDECIDED
  /** Flows by verdict now: a check's name, or 'offloaded'. */
  readonly now = new Map<CheckName | 'offloaded', number>()
  /** Decisions against flows for which no eswitch was asked, since the start. */
  readonly refusals = new Map<CheckName, number>()
  /** Told of every new verdict. */
  onVerdict: (record: FlowRecord) => void = () => {}

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get(id: number): FlowRecord | undefined {
    return this.#records.get(id)
  }

  records(): Iterable<FlowRecord> {
    return this.#records.values()
  }

  /** The flow's record, made if need be. */
  enter(flow: DpFlow): FlowRecord {
    const known = this.#records.get(flow.id)
    if (known) {
      known.flow = flow
      return known
    }
    const record = new FlowRecord(flow, UNDECIDED, this.#clock.now())
    this.#records.set(flow.id, record)
    this.#count(record.verdict, 1)
    return record
  }

  strike(record: FlowRecord): void {
    this.#records.delete(record.id)
    this.#retry.remove(record)
    this.#count(record.verdict, -1)
    record.deleted = true
  }

  /** Flows that wait under a key of retry-index.ts now, oldest first. */
  waiting(key: string): FlowRecord[] {
    return this.#retry
      .waiting(key)
      .list()
      .map((id) => this.#records.get(id)!)
  }

  /** The oldest of them that fits. */
  firstWaiting(key: string, fits: (record: FlowRecord) => boolean): FlowRecord | undefined {
    for (const id of this.#retry.waiting(key).values()) {
      const record = this.#records.get(id)!
      if (fits(record)) return record
    }
    return undefined
  }

  waitingCount(key: string): number {
    return this.#retry.waiting(key).size
  }

  /** Its rules are in place. One that moves within an eswitch stays offloaded. */
  offloaded(record: FlowRecord, carrier: Carrier): void {
    const { name } = carrier.eswitch
    const [rule, ...more] = record.rules.map(({ id }) => id)
    const old = record.verdict
    const stays = old.state === 'offloaded' && old.eswitch === name
    this.#set(record, {
      state: 'offloaded',
      eswitch: name,
      rule: rule!,
      ...(more.length > 0 ? { rules: [rule!, ...more] } : {}),
      since: stays ? old.since : this.#clock.now(),
    })
  }

  /** `carrier`: whose eswitch was asked. The same refusal again keeps its time and its place in the line. */
  refuse(record: FlowRecord, refusal: Refusal, carrier?: Carrier): void {
    if (carrier) carrier.countRefusal(refusal.check)
    else this.refusals.set(refusal.check, (this.refusals.get(refusal.check) ?? 0) + 1)
    const eswitch = carrier?.eswitch.name
    const old = record.verdict
    const same =
      old.state === 'refused' &&
      old.check === refusal.check &&
      old.what === refusal.what &&
      old.eswitch === eswitch &&
      old.detail === refusal.detail
    if (!same) this.#set(record, this.#refused(refusal, eswitch, this.#clock.now()))
  }

  /** Flows that are refused for one reason at one time have one verdict. */
  #refused(refusal: Refusal, eswitch: string | undefined, since: number): Refused {
    const last = this.#last
    if (refusal !== this.#lastRefusal || last.eswitch !== eswitch || last.since !== since) {
      this.#lastRefusal = refusal
      this.#last = refused(refusal, eswitch, since)
    }
    return this.#last
  }

  #set(record: FlowRecord, verdict: Verdict): void {
    this.#count(record.verdict, -1)
    this.#count(verdict, 1)
    this.#retry.remove(record)
    record.verdict = verdict
    if (verdict.state === 'refused') this.#retry.add(record, verdict)
    this.onVerdict(record)
  }

  #count(verdict: Verdict, by: number): void {
    const name = verdict.state === 'offloaded' ? 'offloaded' : verdict.check
    this.now.set(name, (this.now.get(name) ?? 0) + by)
  }
}
