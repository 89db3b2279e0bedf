/** Random routing tables, rules, next-hop objects and what happens to them, as lines for `ip -batch` in the underlay of fib-kernel.ts. */
import fc from 'fast-check'
import type { Ask } from './fib-kernel.ts'

const link = fc.integer({ min: 0, max: 2 })
const table = fc.constantFrom('main', 'main', '100', '200', '1000')
const metric = fc.constantFrom('', ' metric 5', ' metric 50')
const tos = fc.constantFrom('', '', '', ' tos 0x10', ' tos 0x18')

/** Destinations that nest, so that the longest prefix matters; several begin alike. */
const prefix4 = fc
  .tuple(fc.constantFrom(0xac10, 0xac11), fc.constantFrom(0, 1, 128), fc.constantFrom(0, 0, 1, 12, 16, 17, 24, 25, 32))
  .map(([net, host, length]) => {
    const value = ((net << 16) | (host << 8) | (length > 24 ? host : 0)) >>> 0
    const masked = length === 0 ? 0 : (value & (0xffffffff << (32 - length))) >>> 0
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
  const way = fc.oneof(
    hop,
    hop,
    hops,
    link.map((i) => `dev v${i} src ${gateway(version, i, 7)}`),
    link.map((i) => `dev v${i}`),
    link.map((i) => `dev v${i} mtu 1400`),
    fc.integer({ min: 1, max: 6 }).map((id) => `nhid ${version * 10 + id}`),
  )
  const ip = version === 4 ? '' : '-6 '
  const prefix = version === 4 ? prefix4 : prefix6
  const preference = version === 4 ? fc.constant('') : fc.constantFrom('', '', '', ' pref high', ' pref low')
  return fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .tuple(
          fc.constantFrom('add', 'replace', 'replace', 'append', 'prepend'),
          prefix,
          way,
          table,
          metric,
          version === 4 ? tos : fc.constant(''),
          preference,
        )
        .map(([verb, p, w, t, m, s, r]) => `${ip}route ${verb} ${p}${s} table ${t}${m}${r} ${w}`),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom('blackhole', 'unreachable', 'prohibit', 'throw'), prefix, table, metric)
        .map(([kind, p, t, m]) => `${ip}route add ${kind} ${p} table ${t}${m}`),
    },
    { weight: 2, arbitrary: fc.tuple(prefix, table, metric).map(([p, t, m]) => `${ip}route del ${p} table ${t}${m}`) },
    {
      weight: 1,
      arbitrary: fc.tuple(prefix, table, metric, hop).map(([p, t, m, h]) => `${ip}route del ${p} table ${t}${m} ${h}`),
    },
  )
}

const ruleCommand = (version: 4 | 6): fc.Arbitrary<string> => {
  const select = fc.oneof(
    fc.constant(''),
    link.map((i) => `from ${gateway(version, i, 1)}`),
    link.map((i) => `not from ${gateway(version, i, 7)}`),
    (version === 4 ? prefix4 : prefix6).map((p) => `to ${p}`),
    fc
      .tuple(link, version === 4 ? prefix4 : prefix6, fc.constantFrom('', ' fwmark 1', ' fwmark 2/0x3', ' tos 0x10'))
      .map(([i, p, more]) => `from ${gateway(version, i, 1)} to ${p}${more}`),
    link.map((i) => `iif v${i}`),
    fc.tuple(link, link).map(([i, j]) => `iif v${i} from ${gateway(version, j, 0)}/${version === 4 ? 24 : 64}`),
    fc.tuple(link, version === 4 ? prefix4 : prefix6).map(([i, p]) => `iif v${i} to ${p}`),
    fc.constantFrom('fwmark 1', 'fwmark 2/0x3', 'iif lo', 'not iif v0', 'oif v1', 'oif v2', 'tos 0x10', 'tos 0x18'),
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
  const member = fc.tuple(id, fc.integer({ min: 1, max: 3 }))
  const group = fc.uniqueArray(member, { minLength: 1, maxLength: 3, selector: ([n]) => n })
  return fc.oneof(
    fc
      .tuple(id, link, host)
      .map(
        ([n, i, h]) => `${version === 4 ? '' : '-6 '}nexthop replace id ${n} via ${gateway(version, i, h)} dev v${i}`,
      ),
    fc
      .tuple(fc.constantFrom(5, 6), group)
      .map(
        ([g, list]) => `nexthop replace id ${version * 10 + g} group ${list.map(([n, w]) => `${n},${w}`).join('/')}`,
      ),
    fc.integer({ min: 1, max: 6 }).map((n) => `nexthop del id ${version * 10 + n}`),
  )
}

/** The kernel tells of a failure only where there was something to fail. */
const neighbourCommand = (version: 4 | 6): fc.Arbitrary<string> =>
  fc.tuple(link, host, fc.constantFrom('permanent', 'reachable', 'stale', 'failed', 'failed')).map(([i, h, nud]) => {
    const there = `${gateway(version, i, h)} dev v${i}`
    const known = `neigh replace ${there} lladdr 02:00:00:00:0${i}:${h} nud`
    return nud === 'failed' ? `${known} permanent\nneigh change ${there} nud failed` : `${known} ${nud}`
  })

const disturb = fc.oneof(
  fc.tuple(link, fc.constantFrom('up', 'down')).map(([i, state]) => `link set v${i} ${state}`),
  fc.tuple(link, fc.constantFrom('up', 'down')).map(([i, state]) => `link set p${i} ${state}`),
  fc
    .tuple(fc.constantFrom('add', 'del'), link, fc.constantFrom(1, 7))
    .map(([verb, i, h]) => `addr ${verb} 10.0.${i}.${h}/24 dev v${i}`),
  fc
    .tuple(fc.constantFrom('add', 'del'), link, fc.constantFrom(1, 7))
    .map(([verb, i, h]) => `-6 addr ${verb} 2001:db8:${i}::${h}/64 dev v${i}${verb === 'add' ? ' nodad' : ''}`),
  link.map((i) => `addr flush dev v${i}`),
)

const either = (make: (version: 4 | 6) => fc.Arbitrary<string>): fc.Arbitrary<string> => fc.oneof(make(4), make(6))

/** Objects first, since routes use them. */
const setup = fc
  .tuple(
    fc.array(either(nexthopCommand), { minLength: 4, maxLength: 12 }),
    fc.array(either(routeCommand), { minLength: 20, maxLength: 60 }),
    fc.array(either(ruleCommand), { maxLength: 8 }),
    fc.array(either(neighbourCommand), { maxLength: 10 }),
  )
  .map((parts) => parts.flat())

const change = fc.oneof(
  { weight: 4, arbitrary: either(routeCommand) },
  { weight: 1, arbitrary: either(ruleCommand) },
  { weight: 2, arbitrary: either(nexthopCommand) },
  { weight: 1, arbitrary: either(neighbourCommand) },
  { weight: 3, arbitrary: disturb },
)

/**
 * In IPv6 either routes by objects or rules that hold short prefixes back: of routes with one object the kernel mistakes one for another when it asks for the
 * prefix, depending on which of them was looked up last on the same processor.
 */
const apart = (lines: readonly string[], objects: boolean): string[] =>
  lines.filter((line) => !(objects ? /^-6 rule .*suppress/ : /^-6 route .* nhid/).test(line))

/** Batches one after another, the first to start with. */
export const rounds: fc.Arbitrary<string[][]> = fc
  .tuple(setup, fc.array(fc.array(change, { minLength: 1, maxLength: 12 }), { maxLength: 5 }), fc.boolean())
  .map(([first, others, objects]) => [first, ...others].map((lines) => apart(lines, objects)))

const ask = (version: 4 | 6): fc.Arbitrary<Ask> => {
  const name = link.map((i) => `v${i}`)
  const source = (host: number): fc.Arbitrary<string> => link.map((i) => gateway(version, i, host))
  return fc
    .record({
      dst: version === 4 ? dst4 : dst6,
      from: fc.oneof(
        {
          weight: 3,
          // Each half of the time.
          arbitrary: fc.oneof(
            fc.constant({}),
            fc.record({ src: source(1) }),
            fc.record({ oif: name }),
            fc.record({ src: source(1), oif: name }),
          ),
        },
        { weight: 1, arbitrary: fc.record({ src: source(200), iif: name }) },
      ),
      mark: fc.constantFrom(0, 0, 1, 2),
      tos: fc.constantFrom(0, 0, 0x10, 0xb8),
    })
    .map(({ from, ...rest }) => ({ ...rest, ...from }))
}

/** Always the same ones. */
export const asks: readonly Ask[] = fc.sample(fc.oneof(ask(4), ask(6)), { numRuns: 250, seed: 7 })
