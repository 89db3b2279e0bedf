/** Reads V8's CPU profiles (*.cpuprofile): self time of each function, and of each part of the switch. */

/** What the file holds, as far as it is read here; times in microseconds. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** In the order of the table. */
export const MODULES = [
  'native I/O',
  'extraction',
  'look-up',
  'actions',
  'statistics',
  'rings',
  'tier',
  'waiting',
  'garbage',
  'other',
] as const
export type Module = (typeof MODULES)[number]

/** Functions of the addon and of Node.js that wait. */
const WAITS: ReadonlySet<string> = new Set(['epollWait', 'eventfdWait', 'wait', '(idle)'])

/** The addon's functions that V8 shows by name; others are part of their callers. */
const NATIVE = /^(rxBatch|txBatch|checksum|completeChecksum|segment|eventfd(Signal|Drain)|netlink(Send|Recv))$/

/** First that fits a source's path under dist/. */
const BY_FILE: readonly (readonly [RegExp, Module])[] = [
  [/^port\/(tap|afpacket|intake|outputs)\./, 'native I/O'],
  [/^port\/poller\./, 'waiting'],
  [/^(flow\/extract|packet\/|flow\/microflow)/, 'extraction'],
  [/^(flow\/(cache|hash|hash-cache|megaflow)|eswitch\/rule-table)\./, 'look-up'],
  [/^flow\/(execute|program|encap|odp)/, 'actions'],
  [/^port\/(flow-account|stats)\./, 'statistics'],
  [/^(lib\/(ring|reply-ring|command-writer)|eswitch\/uplink|datapath\/links?)\./, 'rings'],
  [/^(eswitch|datapath|ofproto|offload|tunnel|port\/thread)/, 'tier'],
]

export interface Self {
  readonly name: string
  /** Path under dist/ with line; empty for what is not the switch's. */
  readonly at: string
  readonly module: Module
  us: number
}

export interface ThreadProfile {
  readonly thread: string
  /** Microseconds, of all samples. */
  readonly total: number
  readonly modules: ReadonlyMap<Module, number>
  /** Most first. */
  readonly functions: readonly Self[]
}

const moduleOf = (name: string, file: string): Module => {
  if (WAITS.has(name)) return 'waiting'
  if (name === '(garbage collector)') return 'garbage'
  if (file !== '') return BY_FILE.find(([pattern]) => pattern.test(file))?.[1] ?? 'other'
  return NATIVE.test(name) ? 'native I/O' : 'other'
}

/** Which of a daemon's threads it is, by the sources that ran there. */
const threadOf = (profile: CpuProfile): string => {
  const ran = (file: string): boolean => profile.nodes.some(({ callFrame }) => callFrame.url.endsWith(file))
  if (ran('/dist/eswitch/worker.js')) return 'eswitch'
  return ran('/dist/datapath/worker.js') ? 'datapath' : 'main'
}

export const readProfile = (profile: CpuProfile): ThreadProfile => {
  const self = new Map<string, Self>()
  const byNode = new Map<number, Self>()
  for (const { id, callFrame } of profile.nodes) {
    const path = callFrame.url.split('/dist/')[1] ?? ''
    const file = callFrame.url.startsWith('node:') ? callFrame.url : path
    const at = file === '' ? '' : `${file}:${callFrame.lineNumber + 1}`
    const name = callFrame.functionName || '(anonymous)'
    const key = `${name} ${at}`
    const one = self.get(key) ?? { name, at, module: moduleOf(callFrame.functionName, path), us: 0 }
    self.set(key, one)
    byNode.set(id, one)
  }
  const modules = new Map<Module, number>()
  let total = 0
  profile.samples.forEach((id, i) => {
    const us = Math.max(0, profile.timeDeltas[i] ?? 0)
    const one = byNode.get(id)!
    one.us += us
    total += us
    modules.set(one.module, (modules.get(one.module) ?? 0) + us)
  })
  const functions = [...self.values()].filter(({ us }) => us > 0).sort((a, b) => b.us - a.us)
  return { thread: threadOf(profile), total, modules, functions }
}
