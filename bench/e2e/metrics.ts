/** The figures of one set-up in one scenario: names, units, which way is better. */

interface MetricShape {
  readonly title: string
  readonly unit: string
  /** true: more is better. */
  readonly higher: boolean
  readonly digits: number
}

export const METRICS = {
  tcp1: { title: 'TCP 1', unit: 'Gbit/s', higher: true, digits: 2 },
  tcp1r: { title: 'TCP 1 back', unit: 'Gbit/s', higher: true, digits: 2 },
  tcp4: { title: 'TCP 4', unit: 'Gbit/s', higher: true, digits: 2 },
  tcp4r: { title: 'TCP 4 back', unit: 'Gbit/s', higher: true, digits: 2 },
  cpu: { title: 'CPU', unit: 'ms/Gbit', higher: false, digits: 1 },
  cpuSwitch: { title: 'of the switch', unit: 'ms/Gbit', higher: false, digits: 1 },
  udpPeak: { title: '64 B peak', unit: 'kpps', higher: true, digits: 0 },
  udpClean: { title: '64 B, loss < 1 %', unit: 'kpps', higher: true, digits: 0 },
  udp64Peak: { title: '64 B peak, 64 flows', unit: 'kpps', higher: true, digits: 0 },
  udp64Clean: { title: '64 B, loss < 1 %, 64 flows', unit: 'kpps', higher: true, digits: 0 },
  rttMin: { title: 'RTT min', unit: 'us', higher: false, digits: 0 },
  rttMedian: { title: 'RTT median', unit: 'us', higher: false, digits: 0 },
  rttP99: { title: 'RTT p99', unit: 'us', higher: false, digits: 0 },
  newFlows: { title: 'new flows', unit: 'k/s', higher: true, digits: 1 },
  besideLoss: { title: 'lost beside new flows', unit: '%', higher: false, digits: 2 },
  besideRtt: { title: 'RTT beside new flows', unit: 'us', higher: false, digits: 0 },
  besideRttP99: { title: 'its p99', unit: 'us', higher: false, digits: 0 },
  idle: { title: 'idle', unit: '% of a core', higher: false, digits: 2 },
  residentIdle: { title: 'resident, idle', unit: 'MiB', higher: false, digits: 0 },
  residentLoaded: { title: 'resident, loaded', unit: 'MiB', higher: false, digits: 0 },
} as const satisfies Record<string, MetricShape>

export type Metric = keyof typeof METRICS
export const METRIC_NAMES = Object.keys(METRICS) as Metric[]
/** One measurement; what a set-up does not have (a CPU figure of the kernel's switch) is absent. */
export type Figures = Partial<Record<Metric, number>>
