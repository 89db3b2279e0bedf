import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { agrees, differences } from './fib-agrees.ts'
import {
  askKernel,
  batch,
  bytesOf,
  caughtUp,
  createUnderlay,
  inWords,
  openMirror,
  queryOf,
  snapshot,
} from './fib-kernel.ts'
import { rounds } from './fib-random.ts'

const history = (seed: number): string[][] => fc.sample(rounds, { numRuns: 1, seed })[0]!
/** A new one each time; a failure names it. */
const RANDOM = Math.trunc(Math.random() * 0x7fffffff)

describe('the mirror of the FIB', () => {
  // As many more by hand: the project `fuzz`.
  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, RANDOM])(
    'history %i: look-ups, kept answers and state are those of the kernel',
    (seed) => agrees(history(seed)),
  )

  test('an overrun ends in the state of a fresh mirror', async () => {
    const netns = await createUnderlay()
    const mirror = await openMirror(netns, 4096)
    const lines: string[] = []
    for (let i = 0; i < 3000; i++) lines.push(`route add 172.${16 + (i >> 8)}.${i & 255}.0/24 via 10.0.${i % 3}.9`)
    for (let i = 0; i < 3000; i += 2) lines.push(`route del 172.${16 + (i >> 8)}.${i & 255}.0/24`)
    lines.push('rule add pref 77 to 172.16.0.0/16 table 100', 'link set v2 down')
    const told: string[] = []
    mirror.fib.on(({ kind }) => told.push(kind))
    batch(netns, lines)
    // Even an answer has no room before the news have been read.
    await expect.poll(() => mirror.fib.counters.resyncs, { interval: 20 }).toBeGreaterThan(0)
    await caughtUp(mirror)
    const fresh = await openMirror(netns)
    expect(snapshot(mirror.fib)).toEqual(snapshot(fresh.fib))
    expect(mirror.fib.size).toBeGreaterThan(900)
    expect(told).toContain('resync')
    expect(differences(mirror)).toEqual([])
  })

  test('what the kernel removes silently is gone, and told, before any dump', async () => {
    const netns = await createUnderlay()
    batch(netns, [
      'nexthop add id 1 via 10.0.2.9 dev v2',
      'route add 172.16.0.0/16 via 10.0.0.9',
      'route add 172.17.0.0/16 dev v1 src 10.0.2.7',
      'route add 172.18.0.0/16 nhid 1',
      'route add 172.19.0.0/16 nexthop via 10.0.0.9 nexthop via 10.0.1.9',
    ])
    const mirror = await openMirror(netns)
    const { fib, namespace } = mirror
    const ask = (dst: string): string[] => inWords(mirror, fib.lookup(queryOf(mirror, { dst })))
    expect(['172.16.0.1', '172.17.0.1', '172.18.0.1', '172.19.0.1'].map((dst) => ask(dst).length)).toEqual([1, 1, 1, 2])
    const atOnce: unknown[] = []
    fib.on((change) => {
      if (change.kind === 'route' && change.bytes[0] === 172) atOnce.push([change.bytes[1], fib.dumps])
    })
    for (const [line, dst, ways] of [
      ['link set v0 down', '172.16.0.1', ['none']],
      ['addr del 10.0.2.7/24 dev v2', '172.17.0.1', ['none']],
      ['nexthop del id 1', '172.18.0.1', ['none']],
    ] as const) {
      await caughtUp(mirror)
      const { dumps } = fib
      batch(netns, [line])
      await namespace.getLink('lo')
      expect(ask(dst)).toEqual(ways)
      expect(atOnce).toContainEqual([bytesOf(dst)[1], dumps])
    }
    expect(ask('172.19.0.1')).toHaveLength(1)
    const { dumps } = fib
    await caughtUp(mirror)
    expect(fib.dumps).toBeGreaterThan(dumps)
    const fresh = await openMirror(netns)
    expect(snapshot(fib)).toEqual(snapshot(fresh.fib))
  })

  test('IPv6 routes for some sources are those of the kernel', async () => {
    const netns = await createUnderlay()
    batch(netns, [
      '-6 route add ::/0 via 2001:db8:0::9 dev v0',
      '-6 route add ::/0 from 2001:db8:1::/48 via 2001:db8:1::9 dev v1',
      '-6 route add fd00::/8 dev v0',
      '-6 route add fd00:1::/32 dev v1',
      '-6 route add fd00:1::/32 from 2001:db8:2::/48 dev v2',
      '-6 route add fd00:1::/32 from 2001:db8::/32 via 2001:db8:2::9 dev v2',
      '-6 route add fd00:1:1::/48 dev v0',
    ])
    const mirror = await openMirror(netns)
    const all = ['fd00:1:1::1', 'fd00:1:2::1', 'fd00:2::1', '2001:4860::1'].flatMap((dst) =>
      [undefined, '2001:db8:0::1', '2001:db8:1::1', '2001:db8:2::1'].flatMap((src) =>
        [undefined, 'v0', 'v1'].map((oif) => ({ dst, ...(src ? { src } : {}), ...(oif ? { oif } : {}) })),
      ),
    )
    const ours = all.map((ask) => inWords(mirror, mirror.fib.lookup(queryOf(mirror, ask))))
    expect(ours).toEqual(askKernel(netns, all).map((one) => [one]))
  })

  test('rules for a link that packets come in by decide for those alone', async () => {
    const netns = await createUnderlay()
    batch(netns, [
      'rule add pref 100 iif v0 table 100',
      'rule add pref 110 iif v1 from 10.0.1.0/24 to 172.16.0.0/16 table 100',
      'rule add pref 120 iif v2 prohibit',
      'route add 172.16.0.0/16 via 10.0.2.9 table 100',
      'route add 172.16.0.0/15 via 10.0.1.9',
      '-6 rule add pref 100 iif v0 table 100',
      '-6 rule add pref 120 iif v2 blackhole',
      '-6 route add fd00::/8 via 2001:db8:2::9 dev v2 table 100',
      '-6 route add fd00::/8 via 2001:db8:1::9 dev v1',
    ])
    const mirror = await openMirror(netns)
    const all = [
      ...['172.16.0.1', '172.17.0.1', '10.0.0.1', '10.0.1.255'].flatMap((dst) => [
        { dst },
        ...['v0', 'v1', 'v2'].flatMap((iif) => ['10.0.1.200', '192.0.2.1'].map((src) => ({ dst, src, iif }))),
      ]),
      ...['fd00::1', '2001:db8:1::1'].flatMap((dst) => [
        { dst },
        ...['v0', 'v1', 'v2'].map((iif) => ({ dst, src: '2001:db8:1::200', iif })),
      ]),
    ]
    const ours = all.map((ask) => inWords(mirror, mirror.fib.lookup(queryOf(mirror, ask))))
    expect(ours).toEqual(askKernel(netns, all).map((one) => [one]))
    const devices = (dst: string): (string | undefined)[] =>
      all.flatMap((ask, i) => (ask.dst === dst ? [ours[i]![0]!.split(' ')[1]] : []))
    expect(devices('172.16.0.1')).toEqual(['v1', 'v2', 'v2', 'v2', 'v1', undefined, undefined])
    expect(devices('fd00::1')).toEqual(['v1', 'v2', 'v1', undefined])
  })

  test('a rule is told as such, at once', async () => {
    const netns = await createUnderlay()
    const mirror = await openMirror(netns)
    const { fib, namespace } = mirror
    const told: unknown[] = []
    fib.on((change) => told.push([change, fib.lookup({ dst: bytesOf('10.0.0.9') }).type]))
    batch(netns, ['rule add pref 50 to 10.0.0.9 prohibit', '-6 rule add pref 50 to 2001:db8::9 blackhole'])
    await namespace.getLink('lo')
    expect(told).toEqual([
      [{ kind: 'rules' }, 'none'],
      [{ kind: 'rules' }, 'none'],
    ])
    expect(fib.lookup({ dst: bytesOf('10.0.0.9') })).toEqual({ type: 'none', why: 'prohibit' })
    expect(fib.lookup({ dst: bytesOf('2001:db8::9') })).toEqual({ type: 'none', why: 'blackhole' })
  })
})
