import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checksumState } from '../kit/canonical.ts'
import { Capture } from '../kit/capture.ts'
import { differences, explain } from '../kit/compare.ts'
import { iperf } from '../kit/iperf.ts'
import type { CapturedFrame } from '../kit/pcap.ts'
import { ping } from '../kit/ping.ts'
import { must } from '../kit/process.ts'
import { type Bed, type GuestName, ip4, ip6, LINK, NAMES, startBed } from './beds.ts'

const bytes = (frames: readonly CapturedFrame[]): Uint8Array[] => frames.map((f) => f.bytes)

/** A pair of each kind: within a NIC, to its wire, across NICs, to and from a software port. */
const PAIRS = [
  ['vm0', 'vm1'],
  ['vm0', 'fabric'],
  ['fabric', 'vm1'],
  ['vm0', 'vm2'],
  ['vm2', 'c0'],
  ['c0', 'vm0'],
] as const satisfies readonly (readonly [GuestName, GuestName])[]

describe.each([true, false])('with offload %s, guests with default offloads', (offload) => {
  let it_: Bed
  beforeAll(async () => {
    it_ = await startBed({ offload })
  })
  afterAll(() => it_?.bed.close())

  it('pings every pair, both families, without loss or duplicates', async () => {
    for (const from of NAMES)
      for (const to of NAMES)
        if (from !== to)
          for (const address of [ip4(to), ip6(to)]) {
            const { loss, duplicates } = await ping(it_.guests[from], address, { count: 3, interval: 0.02 })
            const outcome = { from, address, loss, duplicates }
            if (loss > 0) console.log(await it_.daemon.drops(), await it_.daemon.verb('offload/why'))
            expect(outcome).toEqual({ from, address, loss: 0, duplicates: 0 })
          }
  })

  it.each(PAIRS)('carries TCP from %s to %s: the same packets leave as were sent', async (from, to) => {
    const [a, b] = [it_.guests[from], it_.guests[to]]
    const filter = 'ip and tcp'
    const [sent, received, acked, answered] = await Promise.all([
      Capture.start(it_.bed, a, LINK[from], { filter, direction: 'out' }),
      Capture.start(it_.bed, b, LINK[to], { filter, direction: 'in' }),
      Capture.start(it_.bed, b, LINK[to], { filter, direction: 'out' }),
      Capture.start(it_.bed, a, LINK[from], { filter, direction: 'in' }),
    ])
    const result = await iperf(a, b, ip4(to), { bytes: '8M' })
    expect(result.bytes).toBeGreaterThan(1e6)
    const there = [bytes(await sent.stop()), bytes(await received.stop())] as const
    const back = [bytes(await acked.stop()), bytes(await answered.stop())] as const
    expect(Math.max(...there[0].map((f) => f.length))).toBeGreaterThan(1514)
    expect(explain(differences(...there, { mtu: 1500 }), 'sent', 'received')).toBe('')
    expect(explain(differences(...back, { mtu: 1500 }), 'sent back', 'received back')).toBe('')
  })

  it.each(PAIRS)('carries UDP from %s to %s, and 60,000-byte datagrams in fragments', async (from, to) => {
    const [a, b] = [it_.guests[from], it_.guests[to]]
    const before = await it_.daemon.drops()
    // Slow enough for the receiver's socket, which holds some 90 datagrams, while it waits for one of two cores.
    const result = await iperf(a, b, ip4(to), { udp: true, rate: '5M', length: 1000, bytes: '225K' })
    const big = await ping(a, ip6(to), { size: 60_000, count: 3 })
    const outcome = { lost: result.lost, some: result.packets > 200, loss: big.loss }
    const drops = JSON.stringify({ before, after: await it_.daemon.drops() })
    expect(outcome, drops).toEqual({ lost: 0, some: true, loss: 0 })
  })
})

describe('receivers that negotiate no offloads', () => {
  let it_: Bed
  beforeAll(async () => {
    it_ = await startBed({ plain: ['vm1', 'fabric', 'c0'] })
  })
  afterAll(() => it_?.bed.close())

  it.each([
    ['vm0', 'vm1', 4],
    ['vm0', 'fabric', 6],
    ['vm2', 'c0', 4],
  ] as const)(
    'from %s to %s over IPv%i: every frame fits and tcpdump finds every checksum right',
    async (from, to, family) => {
      const [a, b] = [it_.guests[from], it_.guests[to]]
      const [sent, capture] = await Promise.all([
        Capture.start(it_.bed, a, LINK[from], { direction: 'out', filter: 'tcp' }),
        Capture.start(it_.bed, b, LINK[to], { direction: 'in', filter: 'tcp', snaplen: 2048 }),
      ])
      await iperf(a, b, family === 4 ? ip4(to) : ip6(to), { bytes: '4M' })
      const frames = bytes(await capture.stop())
      expect(explain(differences(bytes(await sent.stop()), frames, { mtu: 1500 }), 'sent', 'received')).toBe('')
      expect(Math.max(...frames.map((f) => f.length))).toBeLessThanOrEqual(1514)
      expect(frames.filter((f) => checksumState(f) !== 'right')).toHaveLength(0)
      const words = await must(['tcpdump', '-n', '-vv', '-r', capture.path], { timeout: 60_000 })
      expect(words.match(/cksum 0x[0-9a-f]+ \(correct\)/g)?.length).toBeGreaterThanOrEqual(frames.length)
      expect(words).not.toMatch(/incorrect|bad cksum/)
    },
  )
})
