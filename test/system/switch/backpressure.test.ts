/** Senders that are faster than the switch: without offload every frame passes both tiers, and none is lost between them. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { iperf } from '../kit/iperf.ts'
import { ping } from '../kit/ping.ts'
import { type Bed, type GuestName, ip4, LINK, NAMES, startBed } from './beds.ts'

let it_: Bed
beforeAll(async () => {
  it_ = await startBed({ offload: false })
})
afterAll(async () => {
  await it_?.bed.close()
})

const ringFull = async (): Promise<Record<string, number>> => {
  const ports = await Promise.all(NAMES.map((name) => it_.daemon.port(LINK[name])))
  return Object.fromEntries(ports.map((port) => [port.name, port.drops['ring-full'] ?? 0]))
}

it.each([
  ['VF to VF of one NIC', 'vm0', 'vm1'],
  ['VF to a TAP of tier 2', 'vm0', 'c0'],
  ['TAP of tier 2 to VF', 'c0', 'vm0'],
  ['VF to another NIC', 'vm0', 'vm2'],
] as [string, GuestName, GuestName][])('%s: no frame is lost between the tiers', async (_, from, to) => {
  const { guests } = it_
  await ping(guests[from], ip4(to), { count: 2 })
  const before = await ringFull()
  const result = await iperf(guests[from], guests[to], ip4(to), { seconds: 2, streams: 4 })
  expect(await ringFull()).toEqual(before)
  expect(result.bytes).toBeGreaterThan(50e6)
  console.log(`${from} to ${to}: ${(result.rate / 1e9).toFixed(1)} Gbit/s, ${result.retransmits} retransmitted`)
})
