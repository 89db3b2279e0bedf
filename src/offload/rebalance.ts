/**
 * Full tables: whose rule goes for whom. Rates are packets per second over all tiers, so that a flow's rate does not depend on which tier carries it.
 *
 * A new flow has no rate yet. It gets in only over an idle rule; a flow with a history also over a clearly colder one. Of a large table only a part
 * is looked at for one flow, another part for the next. The slow and thorough comparison is made every few seconds, in slices.
 */
import { Best } from './best.ts'
import type { Carrier } from './carrier.ts'
import type { FlowRecord } from './record.ts'
import type { Job } from './slices.ts'

export interface RebalanceOptions {
  readonly everyMs: number
  /** A rule that carried nothing for so long gives way to any flow. */
  readonly idleMs: number
  /** Rates are taken over at least this time. */
  readonly minSampleMs: number
  /** A flow replaces a rule only if it is hotter by this factor: two flows of about one rate must not take turns. */
  readonly hotter: number
  /** Rules looked at for one new flow. */
  readonly lookAt: number
  /** After a search in vain: none for so long. */
  readonly restMs: number
  /** Swaps in one rebalancing of one eswitch. */
  readonly swaps: number
}

export const DEFAULT_REBALANCE: RebalanceOptions = {
  everyMs: 3000,
  idleMs: 5000,
  minSampleMs: 500,
  hotter: 1.25,
  lookAt: 64,
  restMs: 250,
  swaps: 64,
}

const isHotter = (hot: FlowRecord, cold: FlowRecord, options: RebalanceOptions): boolean =>
  hot.rate > 0 && hot.rate > cold.rate * options.hotter

/** The least used of some rules, if the flow may take its place. Only flows whose rate has just been sampled are compared. */
export const findVictim = (
  carrier: Carrier,
  flow: FlowRecord,
  now: number,
  options: RebalanceOptions,
  sample: (record: FlowRecord) => void,
): FlowRecord | undefined => {
  if (now < carrier.searchAfter) return undefined
  const idle = (record: FlowRecord): boolean => now - record.active >= options.idleMs
  let victim: FlowRecord | undefined
  let heat = 0
  for (const record of carrier.nextCarried(options.lookAt)) {
    sample(record)
    if (record.rate < 0) continue
    const rate = idle(record) ? 0 : record.rate
    if (victim && (rate > heat || (rate === heat && record.active >= victim.active))) continue
    victim = record
    heat = rate
  }
  if (victim) {
    sample(flow)
    if (idle(victim) || isHotter(flow, victim, options)) return victim
  }
  carrier.searchAfter = now + options.restMs
  return undefined
}

export interface RebalanceHooks {
  sample(record: FlowRecord): void
  /** True while the flow still waits for room in this table. */
  waits(record: FlowRecord): boolean
  /** Puts `hot` in the place of `cold`. */
  swap(cold: FlowRecord, hot: FlowRecord): void
}

/** One pass over one eswitch: the hottest of those who wait against the coldest of those who are in. One flow a step. */
export function* rebalance(
  carrier: Carrier,
  waiting: readonly FlowRecord[],
  options: RebalanceOptions,
  hooks: RebalanceHooks,
): Job {
  const hottest = new Best<FlowRecord>(options.swaps)
  const coldest = new Best<FlowRecord>(options.swaps)
  for (const record of waiting) {
    if (hooks.waits(record)) {
      hooks.sample(record)
      hottest.offer(record, record.rate)
    }
    yield
  }
  for (const record of [...carrier.carried]) {
    if (record.carrier === carrier) {
      hooks.sample(record)
      if (record.rate >= 0) coldest.offer(record, -record.rate)
    }
    yield
  }
  const cold = coldest.list()
  for (const [i, hot] of hottest.list().entries()) {
    const victim = cold[i]
    if (!victim || carrier.hasRoom || !isHotter(hot, victim, options)) break
    if (hooks.waits(hot) && victim.carrier === carrier && !victim.deleted) hooks.swap(victim, hot)
    yield
  }
  carrier.rebalancing = false
}
