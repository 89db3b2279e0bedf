/** A run's outcome as it is kept in JSON: for each scenario, set-up and metric the median of the rounds with least and most; and ratios. */
import { type Figures, METRIC_NAMES, METRICS, type Metric } from '../metrics.ts'
import type { Scenario } from '../scenario.ts'
import type { SetupName } from '../setups/setup.ts'

export interface Stat {
  readonly median: number
  readonly min: number
  readonly max: number
}

export type SetupStats = Partial<Record<Metric, Stat>>
export type ScenarioName = Scenario['name']
export type ScenarioStats = Partial<Record<SetupName, SetupStats>>

export interface Machine {
  readonly commit: string
  /** The tree had changes that were not committed. */
  readonly changed: boolean
  readonly kernel: string
  readonly cpu: string
  readonly cores: number
  readonly node: string
  readonly ovs: string
  readonly date: string
  /** Share of the CPU that others used just before, 0..1. */
  readonly foreign: number
}

/** Whom ours is compared with. `splice` and `ovs-best`: for each metric the best that there is. */
export type Rival = 'splice' | 'ovs' | 'ovs-best' | 'kernel' | 'offloaded'

export interface Ratio {
  readonly scenario: ScenarioName
  readonly setup: SetupName
  readonly metric: Metric
  readonly rival: Rival
  readonly ratio: number
}

export interface Result {
  readonly machine: Machine
  readonly rounds: number
  readonly seconds: number
  readonly scenarios: Partial<Record<ScenarioName, ScenarioStats>>
  readonly ratios: readonly Ratio[]
}

export const OURS: readonly SetupName[] = ['offloaded', 'software', 'nic-software']
export const RIVALS: readonly Rival[] = ['splice', 'ovs', 'ovs-best', 'kernel']

export const medianOf = (numbers: readonly number[]): number => {
  const sorted = numbers.toSorted((x, y) => x - y)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Four significant digits: what the file keeps. */
const rounded = (value: number): number => Number(value.toPrecision(4))

export const statsOf = (rounds: readonly Figures[]): SetupStats => {
  const stats: SetupStats = {}
  for (const metric of METRIC_NAMES) {
    const values = rounds.flatMap((figures) => figures[metric] ?? [])
    if (values.length === 0) continue
    stats[metric] = {
      median: rounded(medianOf(values)),
      min: rounded(Math.min(...values)),
      max: rounded(Math.max(...values)),
    }
  }
  return stats
}

const isRival = (name: SetupName, rival: Rival): boolean => {
  if (rival === 'splice') return name.startsWith('splice-')
  if (rival === 'ovs-best') return name === 'ovs' || name === 'ovs-tso'
  return name === rival
}

export const hasRival = (stats: ScenarioStats, rival: Rival): boolean =>
  (Object.keys(stats) as SetupName[]).some((name) => isRival(name, rival))

/** The rival's median; undefined when it was not measured, or carried nothing. */
export const rivalMedian = (stats: ScenarioStats, rival: Rival, metric: Metric): number | undefined => {
  const values = (Object.keys(stats) as SetupName[])
    .filter((name) => isRival(name, rival))
    .flatMap((name) => stats[name]?.[metric]?.median ?? [])
    .filter((value) => value > 0)
  if (values.length === 0) return undefined
  return METRICS[metric].higher ? Math.max(...values) : Math.min(...values)
}

export const ratioOf = (stats: ScenarioStats, setup: SetupName, rival: Rival, metric: Metric): number | undefined => {
  const own = stats[setup]?.[metric]?.median
  const other = rivalMedian(stats, rival, metric)
  return own === undefined || other === undefined ? undefined : own / other
}

export const ratiosOf = (scenarios: Result['scenarios']): Ratio[] =>
  (Object.entries(scenarios) as [ScenarioName, ScenarioStats][]).flatMap(([scenario, stats]) =>
    OURS.flatMap((setup) =>
      METRIC_NAMES.flatMap((metric) =>
        RIVALS.flatMap((rival) => {
          const ratio = ratioOf(stats, setup, rival, metric)
          return ratio === undefined ? [] : [{ scenario, setup, metric, rival, ratio: rounded(ratio) }]
        }),
      ),
    ),
  )
