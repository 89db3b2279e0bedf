/** What the addon does in a device's place: guests send super-frames, the far TAP has no offload at all, and tcpdump finds every checksum right. */
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { iperf } from '../kit/iperf.ts'
import { needKernel } from '../kit/kernel.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'
import { S, type Side, Splice, tap } from './splice.ts'

let bed: Testbed
beforeEach(() => {
  bed = new Testbed()
})
afterEach(() => bed.close())

interface Link {
  a: Guest
  b: Guest
  left: Side
  splice: Splice
}

const MTU = 1500

/** Guest a on a TAP with all offloads, guest b on one without any. */
const link = async (): Promise<Link> => {
  const { a, b } = await bed.guests('a', 'b')
  const left = tap(bed, { name: 't0', netns: a.netns, offloads: 'best' })
  const right = tap(bed, { name: 't0', netns: b.netns, offloads: 'none' })
  expect([right.vnetHdr, right.offloads]).toEqual([0, 0])
  await a.address('t0', '10.9.0.1/24', 'fd09::1/64')
  await b.address('t0', '10.9.0.2/24', 'fd09::2/64')
  return { a, b, left, splice: await Splice.start(bed, left, right) }
}

interface Verdicts {
  frames: number
  /** Checksums that tcpdump called right and wrong; longest frame. */
  right: number
  wrong: string[]
  longest: number
}

/** Writes the first `count` frames that `guest` receives while `act` runs to a file, then has tcpdump judge them. */
const judge = async (guest: Guest, filter: string, count: number, act: () => Promise<unknown>): Promise<Verdicts> => {
  const file = bed.path('judged.pcap')
  const quiet = ['-n', '-s', '0', '-B', '65536', '-Z', 'root', '--immediate-mode']
  const capture = guest.start(['tcpdump', '-i', 't0', '-Q', 'in', ...quiet, '-c', String(count), '-w', file, filter])
  await capture.until(/listening on/)
  await act()
  const result = await Promise.race([capture.exited, once(AbortSignal.timeout(5000), 'abort')])
  expect(result, `${count} frames expected`).toMatchObject({ code: 0 })
  const lines = (await guest.must(['tcpdump', '-n', '-vv', '-e', '-r', file])).split('\n')
  const text = lines.join('\n')
  return {
    frames: text.match(/^\d\d:\d\d:\d\d\./gm)?.length ?? 0,
    right: text.match(/\(correct\)|udp sum ok|udp cksum.*ok/g)?.length ?? 0,
    wrong: lines.filter((line) => /incorrect|bad .*cksum|bad .*sum|invalid|truncated/.test(line)).slice(0, 5),
    longest: Math.max(...[...text.matchAll(/ethertype [^,]+, length (\d+)/g)].map((match) => Number(match[1]))),
  }
}

const expectNoDrops = (splice: Splice): void => {
  const drops = [S.MALFORMED, S.ERROR, S.RX_DROPS, S.RX_ERRNO].map((word) => splice.count(word))
  expect(drops).toEqual([0, 0, 0, 0])
}

describe('a TAP without offloads', () => {
  it.each([
    ['IPv4', '10.9.0.2'],
    ['IPv6', 'fd09::2'],
  ])('gets TCP over %s in complete segments', async (_, to) => {
    const { a, b, splice } = await link()
    const seen = await judge(b, 'tcp', 10_000, () => iperf(a, b, to, { seconds: 2 }))
    expect(splice.count(S.GSO)).toBeGreaterThan(100)
    expect(splice.count(S.WRITES)).toBeGreaterThan(splice.count(S.RX) * 2)
    expect(seen.frames).toBe(10_000)
    expect(seen.wrong).toEqual([])
    expect(seen.right).toBe(seen.frames)
    expect(seen.longest).toBe(MTU + 14)
    expectNoDrops(splice)
  })

  it.each([
    ['IPv4', 'AF_INET', '10.9.0.2'],
    ['IPv6', 'AF_INET6', 'fd09::2'],
  ])('gets UDP super-frames over %s in datagrams', async (_, family, to) => {
    const { a, b, left, splice } = await link()
    const receiver = b.start([
      ...['/usr/bin/python3', '-u', '-c'],
      `import socket
s = socket.socket(socket.${family}, socket.SOCK_DGRAM)
s.bind(('', 7777))
s.settimeout(10)
print('bound')
print('lengths', [len(s.recv(65536)) for _ in range(21)], 'end')`,
    ])
    await receiver.until(/bound/)
    const seen = await judge(b, 'udp', 21, async () => {
      await a.must([
        ...['/usr/bin/python3', '-c'],
        `import socket
s = socket.socket(socket.${family}, socket.SOCK_DGRAM)
s.setsockopt(17, 103, 1200)
s.sendto(bytes(range(250)) * 100, ('${to}', 7777))`,
      ])
      await receiver.until(/lengths .*end/)
    })
    expect(receiver.stdout).toContain(`lengths [${new Array(20).fill(1200).join(', ')}, 1000] end`)
    if ((left.offloads & 0x60) === 0x60) expect(splice.count(S.UDP_GSO)).toBe(1)
    expect([seen.frames, seen.right, seen.wrong]).toEqual([21, 21, []])
    expectNoDrops(splice)
  })

  it('gets tunnelled super-frames in segments, right outside and inside', async (context) => {
    await needKernel(context, 'vxlan')
    const { a, b, left, splice } = await link()
    for (const [guest, local, remote, inner] of [
      [a, '10.9.0.1', '10.9.0.2', '10.10.0.1/24'],
      [b, '10.9.0.2', '10.9.0.1', '10.10.0.2/24'],
    ] as const) {
      const type = ['type', 'vxlan', 'id', '42', 'dstport', '4789', 'local', local, 'remote', remote, 'udpcsum']
      await guest.must(['ip', 'link', 'add', 'x0', 'mtu', '1450', ...type])
      await guest.address('x0', inner)
    }
    const seen = await judge(b, 'udp port 4789', 10_000, () => iperf(a, b, '10.10.0.2', { seconds: 2 }))
    if ((left.offloads & 0x180) === 0x180) expect(splice.count(S.TUNNEL_GSO)).toBeGreaterThan(100)
    else expect(splice.count(S.GSO)).toBe(0)
    expect(seen.frames).toBe(10_000)
    expect(seen.wrong).toEqual([])
    // One verdict outside and one inside of each; ARP inside has none.
    expect(seen.right).toBeGreaterThan(seen.frames * 1.9)
    expect(seen.longest).toBeLessThanOrEqual(MTU + 14)
    expectNoDrops(splice)
  })
})
