/** Counters of the offload module, as data and as text, for `offload/show`. */
import type { EswitchState } from '../eswitch/contract.ts'
import type { Carrier } from './carrier.ts'
import type { TunnelSummary } from './tunnel-facts.ts'
import { CHECKS, type CheckName } from './verdict.ts'

export interface EswitchSummary {
  readonly name: string
  readonly switchId: string
  readonly profile: string
  readonly state: EswitchState
  readonly rules: number
  readonly capacity: number
  /** Flows that wait for room. */
  readonly waiting: number
  readonly insertions: number
  readonly replacements: number
  readonly evictions: number
  /** Rules that were lost with the worker. */
  readonly losses: number
  /** Decisions since the start. */
  readonly refusals: Readonly<Partial<Record<CheckName, number>>>
}

export interface OffloadSummary {
  readonly enabled: boolean
  /** Flows now. */
  readonly offloaded: number
  readonly refused: Readonly<Partial<Record<CheckName, number>>>
  /** Decisions since the start for which no eswitch was asked. */
  readonly refusals: Readonly<Partial<Record<CheckName, number>>>
  readonly eswitches: readonly EswitchSummary[]
  readonly tunnels: TunnelSummary
}

const pick = (counts: ReadonlyMap<CheckName | 'offloaded', number>): Partial<Record<CheckName, number>> => {
  const out: Partial<Record<CheckName, number>> = {}
  for (const check of CHECKS) {
    const n = counts.get(check)
    if (n) out[check] = n
  }
  return out
}

export const summarise = (
  enabled: boolean,
  now: ReadonlyMap<CheckName | 'offloaded', number>,
  refusals: ReadonlyMap<CheckName, number>,
  carriers: Iterable<Carrier>,
  waiting: (carrier: Carrier) => number,
  tunnels: TunnelSummary,
): OffloadSummary => ({
  enabled,
  tunnels,
  offloaded: now.get('offloaded') ?? 0,
  refused: pick(now),
  refusals: pick(refusals),
  eswitches: [...carriers].map((carrier) => ({
    name: carrier.eswitch.name,
    switchId: carrier.eswitch.switchId,
    profile: carrier.eswitch.profile.name,
    state: carrier.eswitch.state,
    rules: carrier.eswitch.ruleCount,
    capacity: carrier.eswitch.capacity,
    waiting: waiting(carrier),
    insertions: carrier.insertions,
    replacements: carrier.replacements,
    evictions: carrier.evictions,
    losses: carrier.losses,
    refusals: pick(carrier.refusals),
  })),
})

const counts = (of: Readonly<Partial<Record<CheckName, number>>>): string =>
  Object.entries(of)
    .map(([check, n]) => `${check}:${n}`)
    .join(' ') || 'none'

/** Several lines, each ended. */
export const summaryText = (summary: OffloadSummary): string => {
  const lines = [
    `offload: ${summary.enabled ? 'on' : 'off'}`,
    `flows: offloaded:${summary.offloaded} refused: ${counts(summary.refused)}`,
    `refusals without an eswitch: ${counts(summary.refusals)}`,
  ]
  for (const e of summary.eswitches)
    lines.push(
      `eswitch ${e.name}: ${e.state}, switch ID ${e.switchId}, profile ${e.profile}`,
      `  rules:${e.rules}/${e.capacity} waiting:${e.waiting} insertions:${e.insertions} replacements:${e.replacements} evictions:${e.evictions} lost:${e.losses}`,
      `  refusals: ${counts(e.refusals)}`,
    )
  const { tunnels: t } = summary
  if (t.endpoints + t.entries + t.events > 0)
    lines.push(
      `tunnels: endpoints:${t.endpoints} flows: encap:${t.encap} decap:${t.decap} pending:${t.pending} encap entries:${t.entries} in eswitches:${t.held}`,
      `  events:${t.events} of no concern:${t.idle} flows examined:${t.flows} moved:${t.moved} refused:${t.refused} offloaded:${t.offloaded} slowest:${t.slowest} us`,
    )
  return `${lines.join('\n')}\n`
}
