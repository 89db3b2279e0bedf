import { afterEach, beforeEach, expect, it } from 'vitest'
import { PORT_STAT_WORDS, PS_DROPS } from '../../../src/port/contract.ts'
import { DROP_REASONS } from '../../../src/port/drop.ts'
import { STATUS_HANG } from '../../../src/port/thread-status.ts'
import { iperf } from '../kit/iperf.ts'
import { ping } from '../kit/ping.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'
import { RealWorld, until } from './world.ts'

let bed: Testbed
let world: RealWorld
let a: Guest
let b: Guest

beforeEach(async () => {
  bed = new Testbed()
  ;({ a, b } = await bed.guests('a', 'b'))
  world = await RealWorld.open(bed, 'nic0')
})
afterEach(() => bed.close())

const vfs = async (): Promise<void> => {
  await world.tap(1, a, {}, 'nic0')
  await world.tap(2, b, {}, 'nic0')
  world.join(1, 2)
  await a.address('tap1', '10.0.0.1/24')
  await b.address('tap2', '10.0.0.2/24')
}

/** Drop counters of a port of the NIC that are not zero. */
const drops = (no: number): string[] => {
  const stats = world.nics.get('nic0')!.memory.portStats
  return DROP_REASONS.filter((_, i) => stats[no * PORT_STAT_WORDS + PS_DROPS + i]! > 0)
}

it('forwards by the datapath, then by the eswitch alone', async () => {
  await vfs()
  expect((await ping(a, '10.0.0.2', { count: 20 })).loss).toBe(0)
  const slow = await iperf(a, b, '10.0.0.2', { seconds: 2 })
  expect(slow.rate).toBeGreaterThan(1e9)
  await world.offload('nic0', 1)
  await world.offload('nic0', 2)
  expect((await ping(a, '10.0.0.2', { count: 20 })).loss).toBe(0)
  const before = world.frames()
  const fast = await iperf(a, b, '10.0.0.2', { seconds: 2 })
  const udp = await iperf(a, b, '10.0.0.2', { seconds: 1, udp: true, rate: '20M' })
  expect(world.frames()).toBe(before)
  expect(fast.rate).toBeGreaterThan(1e9)
  // A machine that others use loses datagrams in sockets and queues; the switch has not dropped any.
  expect(udp.lost / udp.packets).toBeLessThan(0.5)
  expect(drops(1)).toEqual([])
  expect(drops(2)).toEqual([])
  console.log(`TCP: datapath ${(slow.rate / 1e9).toFixed(1)}, eswitch ${(fast.rate / 1e9).toFixed(1)} Gbit/s`)
  const stats = { packets: 0, bytes: 0, used: 0, tcpFlags: 0 }
  world.nics.get('nic0')!.ruleStats(world.flows.get(1)!, stats)
  expect(stats.bytes).toBeGreaterThan(fast.bytes)
})

it('joins a VF and a TAP of tier 2, and one that takes no offloads', async () => {
  await world.tap(1, a, {}, 'nic0')
  await world.tap(2, b, { offloads: 'none' })
  world.join(1, 2)
  await a.address('tap1', '10.0.0.1/24', 'fd00::1/64')
  await b.address('tap2', '10.0.0.2/24', 'fd00::2/64')
  expect((await ping(a, 'fd00::2', { count: 5, size: 3000 })).loss).toBe(0)
  expect((await iperf(a, b, '10.0.0.2', { seconds: 1 })).rate).toBeGreaterThan(1e8)
  expect((await iperf(a, b, '10.0.0.2', { seconds: 1, reverse: true })).rate).toBeGreaterThan(1e8)
})

const tick = (): (() => void) => {
  const nic = world.nics.get('nic0')!
  const timer = setInterval(() => nic.check(), 100)
  return () => clearInterval(timer)
}

it('keeps the link while the eswitch worker hangs and is replaced', async () => {
  await vfs()
  await world.offload('nic0', 1)
  await world.offload('nic0', 2)
  await ping(a, '10.0.0.2', { count: 2 })
  const nic = world.nics.get('nic0')!
  const states: string[] = []
  nic.onState((state) => states.push(state))
  const stop = tick()
  const pinging = ping(a, '10.0.0.2', { count: 100, interval: 0.05, wait: 5 })
  Atomics.store(nic.status!, STATUS_HANG, 1)
  await until(() => states.includes('running'), 'the eswitch runs again', 10_000)
  const result = await pinging
  stop()
  expect(states).toEqual(['restarting', 'running'])
  // Those sent during the hang wait in the TAP and are answered late; only what the worker had in its hands is lost.
  expect(result.received).toBeGreaterThan(95)
  expect(nic.ruleCount).toBe(0)
  expect((await ping(a, '10.0.0.2', { count: 10 })).loss).toBe(0)
  await world.offload('nic0', 1)
  expect((await ping(a, '10.0.0.2', { count: 10 })).loss).toBe(0)
})

it('reports dead descriptors once and does not spin on them', async () => {
  await vfs()
  await b.must(['ip', 'link', 'del', 'tap2'])
  await until(() => world.dead.includes(2), 'port 2 is reported dead')
  const cpu = process.cpuUsage()
  await new Promise((resolve) => setTimeout(resolve, 500))
  const used = process.cpuUsage(cpu)
  expect((used.user + used.system) / 1000).toBeLessThan(150)
  expect(world.dead).toEqual([2])
})

it('does not spin on an interface that is down, and reads it again when it is up', async () => {
  await vfs()
  await ping(a, '10.0.0.2', { count: 2 })
  await b.must(['ip', 'link', 'set', 'tap2', 'down'])
  await ping(a, '10.0.0.2', { count: 5, wait: 1 })
  const cpu = process.cpuUsage()
  await new Promise((resolve) => setTimeout(resolve, 500))
  const used = process.cpuUsage(cpu)
  expect((used.user + used.system) / 1000).toBeLessThan(150)
  await b.must(['ip', 'link', 'set', 'tap2', 'up'])
  world.nics.get('nic0')!.portUp(2)
  expect((await ping(a, '10.0.0.2', { count: 5 })).loss).toBe(0)
})
