/**
 * What the tunnel layer costs when routes and neighbours change: 10,000 tunnelled flows over some hundred peers, each event touching at least 50 of them. Routes,
 * neighbours and bridges are stand-ins; a translation takes as long as a real one. Run: `node --import ./scripts/typescript.mjs bench/micro/tunnels.ts [--smoke]`
 */
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../../src/lib/clock.ts'
import { eventLoopScheduler } from '../../src/lib/scheduler.ts'
import type { TunnelCause, UnderlayPort } from '../../src/tunnel/contract.ts'
import type { FibChange, FibMember, FibQuery, FibResult } from '../../src/tunnel/fib-contract.ts'
import type { NeighbourAnswer } from '../../src/tunnel/neighbour-source.ts'
import { TunnelPorts } from '../../src/tunnel/tunnel-ports.ts'
import { Tunnels } from '../../src/tunnel/tunnels.ts'

const SMOKE = process.argv.includes('--smoke')
const FLOWS = SMOKE ? 1000 : 10_000
const PEERS = SMOKE ? 40 : 200
const SECONDS = SMOKE ? 1 : 10
const RATE = 1000
/** Milliseconds: what translating an outer packet through a bridge takes. */
const TRANSLATION = 0.03

const line = (name: string, value: string): void => console.log(`${name.padEnd(74)} ${value.padStart(14)}`)
const peerOf = (i: number): Uint8Array => Uint8Array.of(192, 0, 2 + (i >> 8), i & 255)
const LOCAL = Uint8Array.of(10, 0, 0, 1)
const gateway = (last: number): Uint8Array => Uint8Array.of(10, 0, 0, last)

const members: FibMember[] = Array.from({ length: PEERS }, () => ({ oif: 2, weight: 1, via: gateway(2) }))
let listener: (change: FibChange) => void = () => {}
const fib = {
  addresses: new Map([[2, [{ bytes: LOCAL, flags: 0 }]]]),
  lookup: ({ dst }: FibQuery): FibResult => ({
    type: 'found',
    dev: 'br-phy',
    routeType: 'unicast',
    table: 254,
    prefix: { bytes: dst, length: 32 },
    src: LOCAL,
    ...members[((dst[2]! - 2) << 8) | dst[3]!]!,
  }),
  on: (call: (change: FibChange) => void) => {
    listener = call
    return () => {}
  },
}
const lladdr = [2, 3, 4].map((last) => Uint8Array.of(2, 0, 0, 0, 0, last))
let told: (ifindex: number, address: Uint8Array) => void = () => {}
const neighbours = {
  lookup: (_: number, address: Uint8Array): NeighbourAnswer => ({ type: 'found', lladdr: lladdr[address[3]! - 2]! }),
  resolve: () => {},
  keepAlive: () => {},
  onChange: (call: typeof told) => {
    told = call
    return () => {}
  },
}
const port: UnderlayPort = { name: 'br-phy', dpPort: 2, ifindex: 2, mac: lladdr[0]!, mtu: 1600, up: true }
const ports = new TunnelPorts<number>()
ports.setDpPort(4789, 1000)
let translations = 0
/** Work is done by hand, to measure it without the event loop. */
let stepped = true
const due: (() => void)[] = []
const finish = (): void => {
  for (let run = due.shift(); run; run = due.shift()) run()
}
const tunnels = new Tunnels({
  fib,
  neighbours,
  underlayPorts: { byIfindex: () => port, onChange: () => {} },
  translator: {
    translate: (at) => {
      translations++
      if (!stepped) for (const end = performance.now() + TRANSLATION; performance.now() < end; );
      return { actions: [{ type: 'output', port: at.dpPort }], ambiguous: false, vlan: 0, credit: () => {} }
    },
  },
  dpif: { encapPut: () => {}, encapDel: () => {} },
  ports,
  clock: systemClock,
  scheduler: {
    ...eventLoopScheduler,
    soon: (run) => {
      if (stepped) due.push(run)
      else eventLoopScheduler.soon(run)
    },
  },
  log: { warnLimited: (text, data) => console.error(text, data) },
})

/** From event to end of the work on it, in milliseconds. */
let delays: number[] = []
let examined = 0
let moves = 0
tunnels.observe({
  begin: () => {},
  moved: () => {
    moves++
  },
  end: ({ at }: TunnelCause, looked: number) => {
    examined += looked
    delays.push(performance.now() - at)
  },
})

// Half of the flows encapsulate, with VNIs of their own; all count among the watched.
for (let i = 0; i < FLOWS; i++) {
  const peer = peerOf(i % PEERS)
  tunnels.watch(peer, LOCAL)
  tunnels.ingress(peer, LOCAL, 4789)
  if (i % 2 === 0) continue
  const vni = Math.floor(i / PEERS)
  tunnels.hold(tunnels.encap({ peer, vni, dstPort: 4789, tos: 0, ttl: 64, df: true, csum: false }, true))
}
const { entries, ways } = tunnels.counters()
line(`${FLOWS} flows`, `${entries} entries, ${ways} ways`)

/** Moves `count` peers from `i` on to the other gateway. */
const move = (i: number, count: number): void => {
  const first = (i * count) % PEERS
  for (let at = first; at < first + count; at++) {
    const { via } = members[at % PEERS]!
    members[at % PEERS] = { oif: 2, weight: 1, via: gateway(via![3] === 2 ? 3 : 2) }
  }
}
const scenarios: readonly (readonly [string, (i: number) => void])[] = [
  [
    'route of a /32 moves: 1 peer, 50 flows',
    (i) => {
      move(i, 1)
      listener({ kind: 'route', family: 4, bytes: peerOf(i % PEERS), length: 32 })
    },
  ],
  [
    'route of a /30 moves: 4 peers, 200 flows',
    (i) => {
      move(i, 4)
      listener({ kind: 'route', family: 4, bytes: peerOf((i * 4) % PEERS), length: 30 })
    },
  ],
  [
    'a /30 is told of and nothing has moved',
    (i) => listener({ kind: 'route', family: 4, bytes: peerOf((i * 4) % PEERS), length: 30 }),
  ],
  [
    'a route that concerns nobody',
    (i) => listener({ kind: 'route', family: 4, bytes: Uint8Array.of(20, i >> 8, i, 0), length: 24 }),
  ],
  [
    'MAC address of the gateway of all flips',
    (i) => {
      if (i === 0) {
        members.fill({ oif: 2, weight: 1, via: gateway(4) })
        listener({ kind: 'resync' })
      }
      lladdr[2] = Uint8Array.of(2, 0, 0, 0, 1, i & 1)
      told(2, gateway(4))
    },
  ],
  ['rules change: all', () => listener({ kind: 'rules' })],
]

finish()
const ROUNDS = SMOKE ? 20 : 1000
for (const [name, event] of scenarios) {
  let best = Number.POSITIVE_INFINITY
  for (let run = 0, i = 0; run < 5; run++) {
    const start = performance.now()
    for (const end = i + ROUNDS; i < end; i++) {
      event(i)
      finish()
    }
    best = Math.min(best, (performance.now() - start) / ROUNDS)
  }
  line(`${name}, worked off one by one, without translations`, `${(best * 1000).toFixed(1)} us`)
}
members.fill({ oif: 2, weight: 1, via: gateway(2) })
listener({ kind: 'resync' })
finish()
stepped = false

const percentile = (p: number): number => {
  delays.sort((a, b) => a - b)
  return delays[Math.min(delays.length - 1, Math.floor(delays.length * p))] ?? 0
}

for (const [name, event] of scenarios) {
  await tunnels.settled()
  delays = []
  examined = 0
  moves = 0
  const before = translations
  const cpu = process.cpuUsage()
  const start = performance.now()
  let late = 0
  let i = 0
  while (i < RATE * SECONDS) {
    for (const due = Math.floor(((performance.now() - start) * RATE) / 1000); i < due; i++) event(i)
    const asleep = performance.now()
    await delay(1)
    late = Math.max(late, performance.now() - asleep)
  }
  await tunnels.settled()
  const { user, system } = process.cpuUsage(cpu)
  const ms = performance.now() - start
  line(name, `${((i * 1000) / ms).toFixed(0)} events/s`)
  line('  CPU an event', `${((user + system) / i).toFixed(0)} us`)
  line(
    '  peers looked at, moved, translations an event',
    [examined, moves, translations - before].map((n) => (n / i).toFixed(2)).join(' '),
  )
  line(
    '  from event to applied: median, p99, longest',
    `${[0.5, 0.99, 1].map((p) => percentile(p).toFixed(1)).join(' ')} ms`,
  )
  line('  longest wait of the event loop', `${late.toFixed(1)} ms`)
}
line('longest slice', `${tunnels.counters().longest.toFixed(1)} ms`)
tunnels.close()
