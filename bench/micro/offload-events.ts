/**
 * A storm of events over tunnelled flows: 10,000 flows, 1,000 events a second, each of which concerns 50 of them (one peer's: 25 that encapsulate, 25 that are
 * decapsulated). The peer moves to the other uplink of the NIC, to another NIC, and back, in turn. The offload module is real, what it asks is played. Prints the time from event to applied, how
 * long the event loop was held, and the memory. Run:
 * `node --expose-gc --import ./scripts/typescript.mjs bench/micro/offload-events.ts [--smoke]`
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { addressText } from '../../src/flow/address.ts'
import type { EncapEntry } from '../../src/flow/encap.ts'
import { eventLoopScheduler } from '../../src/lib/scheduler.ts'
import type { OffloadEvent } from '../../src/offload/events.ts'
import type { FakeEswitch } from '../../test/unit/offload/fakes.ts'
import { matchOf, output } from '../../test/unit/offload/fakes.ts'
import {
  createTunnelRig,
  entryOf,
  innerMatch,
  outerMatch,
  P0,
  P1,
  P2,
  POP,
  push,
} from '../../test/unit/offload/tunnel-rig.ts'

const SECONDS = process.argv.includes('--smoke') ? 1 : 10
/** Not counted: code is being compiled. */
const WARM_UP = 1
const RATE = 1000
const PEERS = 200
const FLOWS = 25

const rig = createTunnelRig({ tableSize: 20_000, offload: { scheduler: eventLoopScheduler, sliceMs: 2 } })
const { module, view, dpif, nic0, nic1, put } = rig
// The fakes' books are for tests: they would be what is measured.
rig.log.push = () => 0
for (const nic of [nic0, nic1] as FakeEswitch[]) nic.encapDel = (id) => void nic.encaps.delete(id)
dpif.barrier = () => new Promise((resolve) => setImmediate(resolve))

const peerOf = (i: number): string => `10.0.${i >> 7}.${1 + (i & 127)}`
for (const port of [P0, P1, P2]) put(outerMatch(port), [POP])
for (let peer = 0; peer < PEERS; peer++) {
  view.ways.set(peerOf(peer), [P0])
  module.encapPut(entryOf(peer, peerOf(peer)))
  for (let flow = 0; flow < FLOWS; flow++) {
    put(matchOf(1, peer * FLOWS + flow), [push(peer)])
    put(innerMatch(peerOf(peer), flow), [output(1)])
  }
}

const WAYS = [P1, P2, P0, P1, P0, P2]
let causes = 0
const event = (): void => {
  const peer = causes % PEERS
  const way = WAYS[Math.floor(causes / PEERS) % WAYS.length]!
  const entry: EncapEntry = entryOf(peer, peerOf(peer), { actions: [output(way)] })
  view.event(
    `${addressText(entry.peer)}/32 ${causes++}`,
    () => {
      module.encapPut(entry)
      view.move(peerOf(peer), [way])
    },
    1,
    performance.now(),
  )
}

const seen = new Set<OffloadEvent>()
const micros: number[] = []
let counted = Number.POSITIVE_INFINITY
const collect = (): void => {
  for (const e of module.events(256))
    if (e.micros !== undefined && !seen.has(e)) {
      seen.add(e)
      if (e.at >= counted) micros.push(e.micros)
      if (seen.size > 1000) for (const old of seen) if (seen.size > 512) seen.delete(old)
    }
}

const collectGarbage = (): void => (globalThis as { gc?: () => void }).gc?.()
const heap = (): number => {
  collectGarbage()
  return process.memoryUsage().heapUsed / 2 ** 20
}

/** Paced by the clock, whatever timers do. */
const storm = async (seconds: number): Promise<void> => {
  const start = performance.now()
  const first = causes
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const due = Math.min(seconds * RATE, Math.floor(((performance.now() - start) * RATE) / 1000))
      while (causes - first < due) event()
      collect()
      if (due < seconds * RATE) return
      clearInterval(timer)
      resolve()
    }, 1)
  })
}
await storm(WARM_UP)
await module.barrier()
const before = heap()
const examined = module.summary().tunnels.flows
counted = performance.now()
const delay = monitorEventLoopDelay({ resolution: 1 })
const cpu = process.cpuUsage()
delay.enable()
await storm(SECONDS)
delay.disable()
const used = process.cpuUsage(cpu)
const wall = performance.now() - counted
await module.barrier()
await new Promise((resolve) => setTimeout(resolve, 50))
collect()
const after = heap()
micros.sort((a, b) => a - b)
const at = (share: number): string =>
  `${(micros[Math.min(micros.length - 1, Math.floor(micros.length * share))]! / 1000).toFixed(2)} ms`
const { tunnels } = module.summary()
process.stdout.write(
  `${PEERS * FLOWS * 2} flows, ${SECONDS * RATE} events of ${FLOWS * 2} flows in ${(wall / 1000).toFixed(1)} s\n` +
    `event to applied: median ${at(0.5)}, p99 ${at(0.99)}, slowest ${at(1)} (${micros.length} events)\n` +
    `flows: examined ${tunnels.flows - examined} in that time; since the start moved ${tunnels.moved}, refused ${tunnels.refused}, offloaded ${tunnels.offloaded}, still pending ${tunnels.pending}\n` +
    `main thread: ${(((used.user + used.system) / 1000 / wall) * 100).toFixed(0)} % busy, event loop held for ${(delay.percentile(99) / 1e6).toFixed(1)} ms (p99), ${(delay.max / 1e6).toFixed(1)} ms at most\n` +
    `heap: ${before.toFixed(1)} MiB before, ${after.toFixed(1)} MiB after\n`,
)
module.close()
