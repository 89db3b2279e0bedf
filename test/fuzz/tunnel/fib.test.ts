import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ip } from '../../system/netlink/netns.ts'
import {
  type Ask,
  askKernel,
  askMirror,
  batch,
  bytesOf,
  caughtUp,
  createUnderlay,
  type Mirror,
  openMirror,
  snapshot,
} from './fib-kernel.ts'

const link = fc.integer({ min: 0, max: 2 })
const table = fc.constantFrom('main', 'main', '100', '200', '1000')
const metric = fc.constantFrom('', ' metric 5', ' metric 50')
const tos = fc.constantFrom('', '', '', ' tos 0x10')

/** Destinations that nest, so that the longest prefix matters. Among several IPv4 default routes the kernel goes by neighbours, which the mirror does not: none here. */
const prefix4 = fc
  .tuple(fc.constantFrom('172.16', '172.17'), fc.constantFrom(0, 1, 128), fc.constantFrom(1, 12, 16, 17, 24, 25, 32))
  .map(([net, host, length]) => {
    const value =
      ((Number(net.split('.')[0]) << 24) |
        (Number(net.split('.')[1]) << 16) |
        (host << 8) |
        (length > 24 ? host : 0)) >>>
      0
    const masked = (value & (0xffffffff << (32 - length))) >>> 0
    return `${[24, 16, 8, 0].map((shift) => (masked >>> shift) & 255).join('.')}/${length}`
  })
const prefix6 = fc.constantFrom(
  '::/0',
  'fd00::/8',
  'fd00:1::/32',
  'fd00:1:1::/48',
  'fd00:1:1:1::/64',
  'fd00:1:1:1::1/128',
  'fd00:2::/33',
)
const dst4 = fc.constantFrom(
  '172.16.0.1',
  '172.16.1.1',
  '172.16.128.128',
  '172.17.0.1',
  '172.17.1.1',
  '10.0.0.9',
  '10.0.1.1',
  '10.0.2.255',
  '8.8.8.8',
)
const dst6 = fc.constantFrom(
  'fd00:1:1:1::1',
  'fd00:1:1:1::2',
  'fd00:1:1:2::1',
  'fd00:1:2::1',
  'fd00:2::1',
  'fd00:2:8000::1',
  '2001:db8:1::9',
  '2001:db8:0::1',
  '2001:4860::1',
)

const gateway = (version: 4 | 6, i: number, host: number): string =>
  version === 4 ? `10.0.${i}.${host}` : `2001:db8:${i}::${host}`
const host = fc.integer({ min: 10, max: 13 })

const routeCommand = (version: 4 | 6): fc.Arbitrary<string> => {
  const hop = fc.tuple(link, host).map(([i, h]) => `via ${gateway(version, i, h)} dev v${i}`)
  const hops = fc
    .uniqueArray(fc.tuple(link, host, fc.integer({ min: 1, max: 4 })), {
      minLength: 2,
      maxLength: 4,
      selector: ([i, h]) => `${i} ${h}`,
    })
    .map((list) => list.map(([i, h, w]) => `nexthop via ${gateway(version, i, h)} dev v${i} weight ${w}`).join(' '))
  const prefsrc = link.map((i) => (version === 4 ? `dev v${i} src 10.0.${i}.7` : `dev v${i} src 2001:db8:${i}::7`))
  const way = fc.oneof(
    hop,
    hops,
    prefsrc,
    link.map((i) => `dev v${i}`),
    fc.integer({ min: 1, max: 6 }).map((id) => `nhid ${version * 10 + id}`),
  )
  const ip = version === 4 ? '' : '-6 '
  const prefix = version === 4 ? prefix4 : prefix6
  return fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .tuple(
          fc.constantFrom('add', 'replace', 'append', 'prepend'),
          prefix,
          way,
          table,
          metric,
          version === 4 ? tos : fc.constant(''),
        )
        .map(([verb, p, w, t, m, s]) => `${ip}route ${verb} ${p}${s} table ${t}${m} ${w}`),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom('blackhole', 'unreachable', 'prohibit', 'throw'), prefix, table, metric)
        .map(([kind, p, t, m]) => `${ip}route add ${kind} ${p} table ${t}${m}`),
    },
    { weight: 2, arbitrary: fc.tuple(prefix, table, metric).map(([p, t, m]) => `${ip}route del ${p} table ${t}${m}`) },
  )
}

const ruleCommand = (version: 4 | 6): fc.Arbitrary<string> => {
  const source = link.map((i) => `from ${gateway(version, i, 1)}`)
  const select = fc.oneof(
    fc.constant(''),
    source,
    link.map((i) => `not from ${gateway(version, i, 7)}`),
    (version === 4 ? prefix4 : prefix6).map((p) => `to ${p}`),
    fc.constantFrom('fwmark 1', 'fwmark 2/0x3', 'iif lo', 'iif v0', 'oif v1', 'oif v2', 'tos 0x10'),
  )
  const action = fc.oneof(
    { weight: 5, arbitrary: table.map((t) => `table ${t}`) },
    { weight: 1, arbitrary: fc.constantFrom('blackhole', 'unreachable', 'prohibit', 'goto 150', 'goto 180', 'nop') },
    {
      weight: 1,
      arbitrary: fc.constantFrom('table main suppress_prefixlength 0', 'table main suppress_prefixlength 16'),
    },
  )
  const pref = fc.constantFrom(100, 120, 150, 180, 200)
  return fc
    .tuple(fc.constantFrom('add', 'add', 'add', 'del'), pref, select, action)
    .map(([verb, p, s, a]) => `${version === 4 ? '' : '-6 '}rule ${verb} pref ${p} ${s} ${verb === 'del' ? '' : a}`)
}

const nexthopCommand = (version: 4 | 6): fc.Arbitrary<string> => {
  const id = fc.integer({ min: 1, max: 4 }).map((n) => version * 10 + n)
  return fc.oneof(
    fc
      .tuple(id, link, host)
      .map(
        ([n, i, h]) => `${version === 4 ? '' : '-6 '}nexthop replace id ${n} via ${gateway(version, i, h)} dev v${i}`,
      ),
    fc
      .tuple(
        fc.constantFrom(5, 6),
        fc.uniqueArray(fc.tuple(id, fc.integer({ min: 1, max: 3 })), {
          minLength: 1,
          maxLength: 3,
          selector: ([n]) => n,
        }),
      )
      .map(
        ([g, list]) => `nexthop replace id ${version * 10 + g} group ${list.map(([n, w]) => `${n},${w}`).join('/')}`,
      ),
    fc.integer({ min: 1, max: 6 }).map((n) => `nexthop del id ${version * 10 + n}`),
  )
}

const disturb = fc.oneof(
  fc.tuple(link, fc.constantFrom('up', 'down')).map(([i, state]) => `link set v${i} ${state}`),
  fc.tuple(link, fc.constantFrom('up', 'down')).map(([i, state]) => `link set p${i} ${state}`),
  fc
    .tuple(fc.constantFrom('add', 'del'), link, fc.constantFrom(1, 7))
    .map(([verb, i, h]) => `addr ${verb} 10.0.${i}.${h}/24 dev v${i}`),
  fc
    .tuple(fc.constantFrom('add', 'del'), link, fc.constantFrom(1, 7))
    .map(([verb, i, h]) => `-6 addr ${verb} 2001:db8:${i}::${h}/64 dev v${i}${verb === 'add' ? ' nodad' : ''}`),
)

const either = (make: (version: 4 | 6) => fc.Arbitrary<string>): fc.Arbitrary<string> => fc.oneof(make(4), make(6))
const setup = fc.tuple(
  fc.array(either(nexthopCommand), { minLength: 4, maxLength: 12 }),
  fc.array(either(routeCommand), { minLength: 20, maxLength: 60 }),
  fc.array(either(ruleCommand), { maxLength: 8 }),
)
const change = fc.oneof(
  { weight: 3, arbitrary: either(routeCommand) },
  { weight: 1, arbitrary: either(ruleCommand) },
  { weight: 2, arbitrary: either(nexthopCommand) },
  { weight: 3, arbitrary: disturb },
)

const asks = (): Ask[] => {
  const one = (version: 4 | 6): fc.Arbitrary<Ask> =>
    fc
      .record({
        dst: version === 4 ? dst4 : dst6,
        src: fc.option(
          link.map((i) => gateway(version, i, 1)),
          { nil: undefined, freq: 2 },
        ),
        oif: fc.option(
          link.map((i) => `v${i}`),
          { nil: undefined, freq: 2 },
        ),
        mark: fc.constantFrom(0, 0, 1, 2),
        tos: version === 4 ? fc.constantFrom(0, 0, 0x10) : fc.constant(0),
      })
      .map(({ src, oif, ...rest }) => ({ ...rest, ...(src ? { src } : {}), ...(oif ? { oif } : {}) }))
  return fc.sample(fc.oneof(one(4), one(6)), { numRuns: 150, seed: 7 })
}

/** Where we and the kernel differ. */
const differences = (mirror: Mirror): unknown[] => {
  const all = asks()
  const kernel = askKernel(mirror.netns, all)
  return all.flatMap((ask, i) => {
    const ours = askMirror(mirror, ask)
    return ours.includes(kernel[i]!) ? [] : [{ ask, kernel: kernel[i], ours }]
  })
}

describe('the mirror of the FIB', () => {
  test('look-ups are those of the kernel, and the state that of a fresh mirror, whatever happens', async () => {
    await fc.assert(
      fc.asyncProperty(
        setup,
        fc.array(fc.array(change, { minLength: 1, maxLength: 12 }), { maxLength: 5 }),
        async ([objects, routes, rules], rounds) => {
          const netns = await createUnderlay()
          const mirror = await openMirror(netns)
          for (const lines of [[...objects, ...routes, ...rules], ...rounds]) {
            batch(netns, lines)
            // The kernel reports carrier when it finds time to.
            await expect
              .poll(
                async () => {
                  await caughtUp(mirror)
                  return differences(mirror)
                },
                { timeout: 4000, interval: 100 },
              )
              .toEqual([])
            const fresh = await openMirror(netns)
            expect(snapshot(mirror)).toEqual(snapshot(fresh))
            fresh.namespace.close()
          }
          expect(mirror.fib.counters).toMatchObject({ malformed: 0, listenerErrors: 0, resyncs: 0 })
          mirror.namespace.close()
        },
      ),
      {
        numRuns: Number(process.env['FIB_RUNS'] ?? 50),
        endOnFailure: true,
        ...(process.env['FIB_SEED'] === undefined ? {} : { seed: Number(process.env['FIB_SEED']) }),
      },
    )
  })

  test('an overrun ends in the same state as a fresh mirror', async () => {
    const netns = await createUnderlay()
    const mirror = await openMirror(netns, 4096)
    const lines: string[] = []
    for (let i = 0; i < 3000; i++) lines.push(`route add 172.${16 + (i >> 8)}.${i & 255}.0/24 via 10.0.${i % 3}.9`)
    for (let i = 0; i < 3000; i += 2) lines.push(`route del 172.${16 + (i >> 8)}.${i & 255}.0/24`)
    lines.push('rule add pref 77 to 172.16.0.0/16 table 100', 'link set v2 down')
    batch(netns, lines)
    // Even an answer has no room before the news have been read.
    await expect.poll(() => mirror.fib.counters.resyncs, { interval: 20 }).toBeGreaterThan(0)
    await caughtUp(mirror)
    const fresh = await openMirror(netns)
    expect(snapshot(mirror)).toEqual(snapshot(fresh))
    expect(mirror.fib.routes.size).toBeGreaterThan(900)
    expect(differences(mirror)).toEqual([])
  })
})

describe('the mirror of neighbours', () => {
  test('states, and their end', async () => {
    const netns = await createUnderlay()
    const mirror = await openMirror(netns)
    const v0 = mirror.namespace.links.link('v0')!.ifindex
    const ask = async (address: string): Promise<unknown> => {
      await caughtUp(mirror)
      return mirror.neighbours.lookup(v0, bytesOf(address))
    }
    expect(await ask('10.0.0.9')).toEqual({ type: 'none' })
    ip('-n', netns, 'neigh', 'add', '10.0.0.9', 'lladdr', '02:00:00:00:00:09', 'dev', 'v0', 'nud', 'permanent')
    ip('-n', netns, 'neigh', 'add', '2001:db8::9', 'lladdr', '02:00:00:00:00:0a', 'dev', 'v0', 'nud', 'stale')
    expect(await ask('10.0.0.9')).toMatchObject({ type: 'found', lladdr: Uint8Array.of(2, 0, 0, 0, 0, 9), state: 0x80 })
    expect(await ask('2001:db8::9')).toMatchObject({ type: 'found', state: 4 })
    ip('-n', netns, 'neigh', 'change', '10.0.0.9', 'lladdr', '02:00:00:00:00:0b', 'dev', 'v0', 'nud', 'reachable')
    expect(await ask('10.0.0.9')).toMatchObject({ type: 'found', lladdr: Uint8Array.of(2, 0, 0, 0, 0, 11), state: 2 })
    ip('-n', netns, 'neigh', 'del', '10.0.0.9', 'dev', 'v0')
    expect(await ask('10.0.0.9')).not.toMatchObject({ type: 'found' })
  })

  test('one that does not answer has failed', async () => {
    const netns = await createUnderlay()
    ip('netns', 'exec', netns, 'sysctl', '-qw', 'net.ipv4.neigh.v0.retrans_time_ms=50')
    const mirror = await openMirror(netns)
    const seen: string[] = []
    mirror.neighbours.on(({ neighbour, result }) => {
      if (neighbour.address[3] === 8) seen.push(result.type)
    })
    ip('-n', netns, 'neigh', 'add', '10.0.0.8', 'dev', 'v0', 'use')
    await expect.poll(() => seen, { timeout: 5000 }).toContain('failed')
    const v0 = mirror.namespace.links.link('v0')!.ifindex
    expect(mirror.neighbours.lookup(v0, bytesOf('10.0.0.8'))).toEqual({ type: 'failed' })
  })
})
