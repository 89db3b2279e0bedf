import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Capture } from '../kit/capture.ts'
import { needKernel } from '../kit/kernel.ts'
import { ping } from '../kit/ping.ts'
import { makeFrames, sendFrames } from '../kit/scapy.ts'
import { Stream, WHOLE } from '../kit/stream.ts'
import { fields } from '../kit/tshark.ts'
import { ipBatch } from '../kit/underlay.ts'
import { flowsBetween, untilBoth, verdictOf } from './flows.ts'
import { A, B, PEER_MAC, type Single, startSingle } from './single.ts'

let it_: Single
beforeAll(async () => {
  it_ = await startSingle()
  // The kernel asks ten times a second, and gives up after one.
  await it_.guests.hv1.sysctl('net.ipv4.neigh.br-phy.retrans_time_ms', 100)
  await it_.guests.hv1.sysctl('net.ipv4.neigh.br-phy.mcast_solicit', 10)
  await it_.guests.peer.sysctl('net.ipv4.conf.p0.arp_notify', 1)
})
afterAll(() => it_?.bed.close())

/** The peer answers no ARP any more, and hv1 has forgotten it; or it answers again. */
const silence = async (): Promise<void> => {
  await ipBatch(it_.guests.peer, ['link set p0 arp off'])
  await ipBatch(it_.guests.hv1, ['neigh flush dev br-phy'])
}
const speech = (): Promise<string> => ipBatch(it_.guests.peer, ['link set p0 arp on'])

/** Numbered packets to b's MAC, for an address that b does not have and keeps quiet about. */
const numbered = (count: number): Promise<Uint8Array[]> =>
  makeFrames(`
frames = [Ether(src="${A.mac}", dst="${B.mac}")/IP(src="${A.ip}", dst="10.1.0.77")/UDP(sport=7, dport=9)/(b"%06d" % n) for n in range(${count})]`)
const numberIn = (frame: Uint8Array): number => Number(Buffer.from(frame.subarray(42, 48)).toString())

const drops = async (): Promise<Record<string, number>> => {
  const total: Record<string, number> = {}
  for (const port of Object.values(await it_.daemon.drops()))
    for (const [reason, n] of Object.entries(port)) total[reason] = (total[reason] ?? 0) + n
  return total
}

describe('a flow that starts before its next hop is known', () => {
  it('loses none of its first 64 packets, counts the others, and is offloaded then', async (context) => {
    await needKernel(context, 'vxlan', 'bridge', 'veth')
    const { bed, daemon, guests } = it_
    const frames = await numbered(100)
    const capture = await Capture.start(bed, guests.b, 'eth0', {
      direction: 'in',
      filter: 'udp and dst host 10.1.0.77',
    })
    await silence()
    const before = await drops()
    // The first one alone, for its flow's sake; the others wait for the next hop only.
    await sendFrames(guests.a, 'vf0', frames.slice(0, 1))
    await daemon.until(
      'the flow is there',
      () => flowsBetween(daemon, A.mac, B.mac),
      ([flow]) => flow !== undefined && verdictOf(flow) === 'neighbour-pending',
    )
    await sendFrames(guests.a, 'vf0', frames.slice(1), { burst: 100 })
    await daemon.until('36 packets are too many', drops, (now) => (now['neighbour-queue-full'] ?? 0) >= 36)
    await speech()
    await capture.until(64)
    const got = (await capture.stop()).map(({ bytes }) => numberIn(bytes))
    expect(got).toEqual(Array.from({ length: 64 }, (_, n) => n))
    const after = await drops()
    expect((after['neighbour-queue-full'] ?? 0) - (before['neighbour-queue-full'] ?? 0)).toBe(36)
    expect(after['neighbour-timeout']).toBe(before['neighbour-timeout'])
    await daemon.until(
      'the flow is offloaded',
      () => flowsBetween(daemon, A.mac, B.mac),
      ([flow]) => flow?.offloaded === true,
    )
  })

  it('loses what has waited for a second, counted', async (context) => {
    await needKernel(context, 'vxlan', 'bridge', 'veth')
    const { daemon, guests } = it_
    const frames = await numbered(10)
    await silence()
    const before = await drops()
    await sendFrames(guests.a, 'vf0', frames)
    const lost = (now: Record<string, number>): number =>
      ['neighbour-timeout', 'neighbour-failed'].reduce((n, why) => n + (now[why] ?? 0) - (before[why] ?? 0), 0)
    await daemon.until('all ten are counted', drops, (now) => lost(now) === 10)
    await speech()
  })
})

it('a change of the next hop’s MAC is followed within 100 ms, and the flow stays offloaded', async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  const { bed, daemon, guests } = it_
  const changed = '02:00:00:00:73:99'
  expect((await ping(guests.a, B.ip)).received).toBeGreaterThan(0)
  const stream = await Stream.start(guests.a, A.ip, guests.b, B.ip, { rate: 1000 })
  await untilBoth(daemon, A.mac, B.mac, 'offloaded')
  const capture = await Capture.start(bed, guests.peer, 'p0')
  const { misses } = (await daemon.counters()).dpif
  await guests.peer.must(['ip', 'link', 'set', 'p0', 'address', changed])
  await daemon.until(
    'the kernel knows',
    () => guests.hv1.must(['ip', 'neigh', 'show', 'dev', 'br-phy']),
    (text) => text.includes(changed),
  )
  await delay(100)
  for (const flow of [...(await flowsBetween(daemon, A.mac, B.mac)), ...(await flowsBetween(daemon, B.mac, A.mac))])
    expect(verdictOf(flow)).toBe('offloaded')
  // The announcement itself may be asked about, the stream may not.
  expect((await daemon.counters()).dpif.misses - misses).toBeLessThanOrEqual(4)
  await stream.stop()
  await capture.stop()
  const rows = (await fields(capture.path, 'frame.time_epoch', 'eth.src', 'eth.dst', 'vxlan.vni')).map(
    ([time, src, dst, vni]) => ({ time: Number(time![0]), src: src![0], dst: dst![0], tunnelled: vni!.length > 0 }),
  )
  const told = rows.find(({ src }) => src === changed)!.time
  const followed = rows.find(({ dst, tunnelled }) => tunnelled && dst === changed)!.time
  expect(followed - told).toBeLessThanOrEqual(0.1)
  const late = rows.filter(({ dst, tunnelled, time }) => tunnelled && dst === PEER_MAC && time > followed)
  expect(late).toEqual([])
  await guests.peer.must(['ip', 'link', 'set', 'p0', 'address', PEER_MAC])
})

it('a next hop that does not answer any more takes the flow to the slow path, and it is offloaded again when it does', async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  const { daemon, guests } = it_
  expect((await ping(guests.a, B.ip, { count: 3, wait: 4 })).received).toBeGreaterThan(0)
  await untilBoth(daemon, A.mac, B.mac, 'offloaded')
  await silence()
  const until = (what: string): Promise<unknown> =>
    daemon.until(
      `a -> b: ${what}`,
      async () => {
        await ping(guests.a, B.ip, { count: 1, wait: 0 })
        return (await flowsBetween(daemon, A.mac, B.mac)).map(verdictOf)
      },
      (verdicts) => verdicts[0] === what,
    )
  await until('neighbour-failed')
  await speech()
  await until('offloaded')
  expect(await ping(guests.a, B.ip)).toMatchObject({ loss: 0 })
})

it('a next hop that only offloaded packets use is kept alive for as long as they do: none is lost, none meets the datapath', async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  const { daemon, guests } = it_
  // The kernel has doubts after 0.4 to 1.2 s, and asks.
  for (const [key, value] of [
    ['base_reachable_time_ms', 800],
    ['delay_first_probe_time', 1],
  ] as const)
    await guests.hv1.sysctl(`net.ipv4.neigh.br-phy.${key}`, value)
  await ipBatch(guests.hv1, ['neigh flush dev br-phy'])
  const stream = await Stream.start(guests.a, A.ip, guests.b, B.ip, { rate: 1000 })
  await untilBoth(daemon, A.mac, B.mac, 'offloaded')
  const monitor = guests.hv1.start(['ip', 'monitor', 'neigh', 'dev', 'br-phy'])
  const { frames } = (await daemon.counters()).dpif
  const confirmed = (): number => monitor.stdout.match(/ REACHABLE/g)?.length ?? 0
  await daemon.until(
    'it was confirmed three times',
    async () => confirmed(),
    (n) => n >= 3,
    15_000,
  )
  const handled = (await daemon.counters()).dpif.frames - frames
  const ends = await stream.stop()
  await monitor.stop()
  for (const end of ends) expect(end).toMatchObject(WHOLE)
  expect(ends[0].sent).toBeGreaterThan(1500)
  // Questions and answers of ARP.
  expect(handled).toBeLessThanOrEqual(30)
  expect(monitor.stdout).not.toMatch(/FAILED|INCOMPLETE/)
})
