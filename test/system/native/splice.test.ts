import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Capture } from '../kit/capture.ts'
import { iperf } from '../kit/iperf.ts'
import { ping } from '../kit/ping.ts'
import { sendFrames } from '../kit/scapy.ts'
import { Testbed } from '../kit/testbed.ts'
import { attach, S, type Side, Splice, tap } from './splice.ts'

let bed: Testbed
beforeEach(() => {
  bed = new Testbed()
})
afterEach(() => bed.close())

/** iperf3's receiver may end its count before the last bytes of the sender have come. */
const ENOUGH = 0.7

const expectNoDrops = (splice: Splice): void => {
  const drops = [S.MALFORMED, S.ERROR, S.RX_DROPS, S.RX_ERRNO].map((word) => splice.count(word))
  expect(drops).toEqual([0, 0, 0, 0])
}

describe('two TAPs', () => {
  it.each([
    ['best', 'best'],
    ['best', 'none'],
    ['none', 'none'],
  ] as const)('%s and %s: guests ping each other, small and fragmented', async (left, right) => {
    const { a, b } = await bed.guests('a', 'b')
    const one = tap(bed, { name: 't0', netns: a.netns, offloads: left })
    const two = tap(bed, { name: 't0', netns: b.netns, offloads: right })
    await a.address('t0', '10.7.0.1/24', 'fd07::1/64')
    await b.address('t0', '10.7.0.2/24', 'fd07::2/64')
    const splice = await Splice.start(bed, one, two)
    for (const to of ['10.7.0.2', 'fd07::2']) {
      for (const size of [56, 4000]) {
        const answer = await ping(a, to, { size, count: 5 })
        expect([answer.received, answer.duplicates], answer.text).toEqual([5, 0])
      }
    }
    expectNoDrops(splice)
    expect(await splice.stop()).toBe(0)
  })

  it('super-frames cross whole where both ends take them', async () => {
    const { a, b } = await bed.guests('a', 'b')
    const one = tap(bed, { name: 't0', netns: a.netns })
    const two = tap(bed, { name: 't0', netns: b.netns })
    await a.address('t0', '10.7.0.1/24')
    await b.address('t0', '10.7.0.2/24')
    const splice = await Splice.start(bed, one, two)
    const { bytes } = await iperf(a, b, '10.7.0.2', { bytes: '200M' })
    expect(bytes).toBeGreaterThan(ENOUGH * 200_000_000)
    expect(splice.count(S.GSO)).toBeGreaterThan(1000)
    expect(splice.count(S.WRITES)).toBe(splice.count(S.RX) - splice.count(S.FULL))
    expectNoDrops(splice)
  })
})

describe('a TAP and a packet socket', () => {
  it.each([true, false])('carry TCP both ways (virtio-net header: %s)', async (vnetHdr) => {
    const { a, c, host } = await bed.guests('a', 'c', 'host')
    await host.must(['ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v0', 'netns', c.netns])
    await host.must(['ip', 'link', 'set', 'v0', 'up'])
    // Without the header the socket tells nothing of super-frames and partial checksums: the far side must not make any.
    if (!vnetHdr) await c.must(['ethtool', '-K', 'v0', 'tx', 'off', 'tso', 'off', 'gso', 'off'])
    const one = tap(bed, { name: 'v0', netns: a.netns })
    await a.address('v0', '10.8.0.1/24', 'fd08::1/64')
    await c.address('v0', '10.8.0.2/24', 'fd08::2/64')
    const splice = await Splice.start(bed, one, attach(bed, { name: 'v0', netns: host.netns, vnetHdr }))
    for (const to of ['10.8.0.2', 'fd08::2']) {
      const answer = await ping(a, to)
      expect(answer.loss, answer.text).toBe(0)
      for (const reverse of [false, true]) {
        const { bytes } = await iperf(a, c, to, { bytes: '20M', reverse })
        expect(bytes).toBeGreaterThan(ENOUGH * 20_000_000)
      }
    }
    expect(splice.count(S.GSO)).toBeGreaterThan(50)
    expectNoDrops(splice)
  })

  it('carry tagged super-frames, whose tag the kernel takes out and puts back', async () => {
    const { a, b, host } = await bed.guests('a', 'b', 'host')
    await host.must(['ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1'])
    for (const link of ['v0', 'v1']) await host.must(['ip', 'link', 'set', link, 'up', 'mtu', '1504'])
    const trunk = (name: string): Side => ({ ...attach(bed, { name, netns: host.netns }), tag: 0x600a })
    const one = tap(bed, { name: 't0', netns: a.netns })
    const two = tap(bed, { name: 't0', netns: b.netns })
    await a.address('t0', '10.8.0.1/24', 'fd08::1/64')
    await b.address('t0', '10.8.0.2/24', 'fd08::2/64')
    const left = await Splice.start(bed, one, trunk('v0'))
    const right = await Splice.start(bed, two, trunk('v1'))
    for (const to of ['10.8.0.2', 'fd08::2']) {
      const answer = await ping(a, to)
      expect(answer.loss, answer.text).toBe(0)
      const { bytes } = await iperf(a, b, to, { bytes: '50M' })
      expect(bytes).toBeGreaterThan(ENOUGH * 50_000_000)
    }
    for (const splice of [left, right]) {
      expect(splice.count(S.GSO)).toBeGreaterThan(100)
      expectNoDrops(splice)
    }
    // The kernel's own chatter on the bare veth is untagged (IPv6 discovery), nothing else.
    expect(right.count(S.UNTAGGED)).toBeLessThan(20)
  })

  it.each([
    ['one tag', '8100 0064 0800'],
    ['a service tag', '88a8 e0c8 0800'],
    ['two tags', '88a8 0001 8100 0fff 0800'],
    ['a priority tag', '8100 a000 0800'],
  ])('leave a frame with %s as it was sent, both ways', async (_, types) => {
    const { a, c, host } = await bed.guests('a', 'c', 'host')
    for (const guest of [a, c, host]) await guest.sysctl('net.ipv6.conf.default.disable_ipv6', 1)
    await host.must(['ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v0', 'netns', c.netns])
    await host.must(['ip', 'link', 'set', 'v0', 'up'])
    const one = tap(bed, { name: 'v0', netns: a.netns })
    for (const guest of [a, c]) await guest.must(['ip', 'link', 'set', 'v0', 'up'])
    const splice = await Splice.start(bed, one, attach(bed, { name: 'v0', netns: host.netns }))
    const frame = Buffer.from(`020000000001 020000000002 ${types} ${'5a'.repeat(60)}`.replaceAll(' ', ''), 'hex')
    for (const [from, to] of [
      [a, c],
      [c, a],
    ] as const) {
      const capture = await Capture.start(bed, to, 'v0', { direction: 'in' })
      await sendFrames(from, 'v0', [frame, frame])
      await capture.until(2)
      const got = (await capture.stop()).map(({ bytes }) => Buffer.from(bytes).toString('hex'))
      expect(got).toEqual([frame.toString('hex'), frame.toString('hex')])
    }
    expectNoDrops(splice)
  })
})
