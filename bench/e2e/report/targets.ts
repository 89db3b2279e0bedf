/** The figures that a run must reach, as ratios of medians in that run. */
import { METRICS, type Metric } from '../metrics.ts'
import type { SetupName } from '../setups/setup.ts'
import { hasRival, type Result, type Rival, ratioOf, type ScenarioName } from './result.ts'

interface Target {
  readonly what: string
  readonly scenarios: readonly ScenarioName[]
  readonly setup: SetupName
  readonly metrics: readonly Metric[]
  /** Absent: the figure itself is judged. */
  readonly rival?: Rival
  readonly atLeast?: number
  readonly atMost?: number
}

const TCP1 = ['tcp1', 'tcp1r'] as const
const TCP4 = ['tcp4', 'tcp4r'] as const
const TCP = [...TCP1, ...TCP4] as const
const PACKETS = ['udpPeak', 'udp64Peak'] as const
const RTT = ['rttMin', 'rttMedian'] as const
const L2 = ['l2'] as const
const WHOLE = ['vxlan4', 'vxlan6'] as const
const CUT = ['vxlan-cut'] as const
const ALL = [...L2, ...WHOLE, ...CUT] as const

const offloaded = (
  what: string,
  scenarios: readonly ScenarioName[],
  metrics: readonly Metric[],
  rival: Rival,
  bound: Pick<Target, 'atLeast' | 'atMost'>,
): Target => ({ what, scenarios, setup: 'offloaded', metrics, rival, ...bound })

export const TARGETS: readonly Target[] = [
  offloaded('L2 TCP', L2, TCP, 'splice', { atLeast: 0.95 }),
  offloaded('L2 TCP, 1 stream', L2, TCP1, 'ovs-best', { atLeast: 1.15 }),
  offloaded('L2 TCP, 4 streams', L2, TCP4, 'ovs-best', { atLeast: 1.05 }),
  offloaded('L2 TCP', L2, TCP, 'ovs', { atLeast: 14 }),
  offloaded('L2 packets/s', L2, PACKETS, 'splice', { atLeast: 0.9 }),
  offloaded('L2 packets/s', L2, PACKETS, 'ovs-best', { atLeast: 1.5 }),
  offloaded('L2 RTT', L2, RTT, 'splice', { atMost: 1.2 }),
  offloaded('L2 RTT', L2, ['rttMin'], 'ovs-best', { atMost: 0.85 }),
  offloaded('L2 RTT', L2, ['rttMedian'], 'ovs-best', { atMost: 1 }),
  offloaded('VXLAN TCP, whole', WHOLE, TCP, 'splice', { atLeast: 0.95 }),
  offloaded('VXLAN TCP, whole', WHOLE, TCP, 'ovs-best', { atLeast: 10 }),
  offloaded('VXLAN TCP, cut, kernel peer', CUT, TCP, 'splice', { atLeast: 0.95 }),
  offloaded('VXLAN TCP, cut, kernel peer', CUT, TCP, 'ovs-best', { atLeast: 2.5 }),
  offloaded('VXLAN packets/s', WHOLE, PACKETS, 'splice', { atLeast: 0.9 }),
  offloaded('VXLAN packets/s', WHOLE, PACKETS, 'ovs-best', { atLeast: 2.7 }),
  offloaded('VXLAN RTT', WHOLE, RTT, 'splice', { atMost: 1.25 }),
  offloaded('VXLAN RTT', WHOLE, RTT, 'ovs-best', { atMost: 0.4 }),
  {
    ...offloaded('software datapath, own TAPs', ALL, [...TCP, ...PACKETS], 'offloaded', { atLeast: 0.85 }),
    setup: 'software',
  },
  {
    ...offloaded('software datapath, own TAPs', ALL, [...TCP, ...PACKETS], 'ovs-best', { atLeast: 1 }),
    setup: 'software',
  },
  { ...offloaded('software datapath, own TAPs', ALL, RTT, 'ovs-best', { atMost: 1 }), setup: 'software' },
  {
    ...offloaded("NIC's ports, offload off", ALL, [...TCP, ...PACKETS], 'offloaded', { atLeast: 0.8 }),
    setup: 'nic-software',
  },
  { ...offloaded("NIC's ports, offload off", ALL, TCP, 'ovs-best', { atLeast: 1 }), setup: 'nic-software' },
  { ...offloaded("NIC's ports, offload off", ALL, PACKETS, 'ovs-best', { atLeast: 0.9 }), setup: 'nic-software' },
  offloaded('new flows/s', ALL, ['newFlows'], 'ovs-best', { atLeast: 0.5 }),
  ...(['offloaded', 'software', 'nic-software'] as const).map((setup) => ({
    what: 'known flows beside new ones',
    scenarios: ALL,
    setup,
    metrics: ['besideLoss'] as const,
    atMost: 1,
  })),
  // Of the two, the median is what the tiers do, and the tail how long anything may keep a frame that is known: some slices of the kernel's scheduler.
  offloaded('known flows beside new ones', ALL, ['besideRtt'], 'ovs-best', { atMost: 1.5 }),
  {
    what: 'known flows beside new ones',
    scenarios: ALL,
    setup: 'offloaded',
    metrics: ['besideRttP99'],
    atMost: 50_000,
  },
  { what: 'idle daemon', scenarios: ALL, setup: 'offloaded', metrics: ['idle'], atMost: 0.3 },
]

/** A figure beside its bound. */
export interface Judgement {
  readonly what: string
  readonly scenario: ScenarioName
  readonly setup: SetupName
  readonly metric: Metric
  readonly rival: Rival | undefined
  /** undefined: one side was not measured. */
  readonly value: number | undefined
  readonly bound: string
  readonly reached: boolean
}

/** Every figure that has a bound, of the set-ups that were run. One that they should have and have not is short. */
export const judge = ({ scenarios }: Pick<Result, 'scenarios'>): Judgement[] =>
  TARGETS.flatMap((target) =>
    target.scenarios.flatMap((scenario) => {
      const stats = scenarios[scenario]
      if (!stats?.[target.setup] || (target.rival && !hasRival(stats, target.rival))) return []
      return target.metrics.map((metric) => {
        const { what, setup, rival, atLeast, atMost } = target
        const value = rival === undefined ? stats[setup]?.[metric]?.median : ratioOf(stats, setup, rival, metric)
        const reached =
          value !== undefined &&
          (atLeast === undefined || value >= atLeast) &&
          (atMost === undefined || value <= atMost)
        const bound = atLeast === undefined ? `<= ${atMost}` : `>= ${atLeast}`
        return { what, scenario, setup, metric, rival, value, bound, reached }
      })
    }),
  )

/** One line of a figure that falls short. */
export const shortLine = ({ what, scenario, setup, metric, rival, value, bound }: Judgement): string => {
  const { title, unit } = METRICS[metric]
  const figure = value === undefined ? 'not measured' : value.toFixed(2)
  const against = rival === undefined ? unit : `of ${rival}`
  return `SHORT ${what}: ${scenario}, ${setup}, ${title}: ${figure} ${against}, ${bound} wanted`
}
