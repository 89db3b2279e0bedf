/** A mirror of the forwarding of a test's namespace, and what `ip route get` says there. */
import { spawnSync } from 'node:child_process'
import { onTestFinished } from 'vitest'
import { parseCidr } from '../../../src/netlink/address.ts'
import { Namespace } from '../../../src/netlink/namespace.ts'
import { nativeTransport } from '../../../src/netlink/native-transport.ts'
import {
  isNeighbourMessage,
  neighbourDumpPayload,
  parseNeighbour,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTNLGRP_NEIGH,
} from '../../../src/netlink/neighbour.ts'
import { type Route, RTNH_F_DEAD } from '../../../src/netlink/route.ts'
import { FIB_GROUPS, Fib } from '../../../src/tunnel/fib.ts'
import { concerns, type FibQuery, type FibResult, waysOf } from '../../../src/tunnel/fib-contract.ts'
import { createNetns } from './netns.ts'

export interface Mirror {
  readonly netns: string
  readonly namespace: Namespace
  /** Knows of neighbours. */
  readonly fib: Fib
  /** Knows of none, as who is told of changes must not depend on them. */
  readonly plain: Fib
}

/** Runs many `ip` commands in a few processes, while this one waits; those with '-6 ' in front for IPv6. The kernel may refuse any of them. */
export const batch = (netns: string, lines: readonly string[]): void => {
  const isIpv6 = (line: string): boolean => line.startsWith('-6 ')
  for (let at = 0, end = 0; at < lines.length; at = end) {
    const first = isIpv6(lines[at]!)
    while (end < lines.length && isIpv6(lines[end]!) === first) end++
    const input = lines.slice(at, end).map((line) => line.replace(/^-6 /, ''))
    const { stderr } = spawnSync('ip', [...(first ? ['-6'] : []), '-n', netns, '-force', '-batch', '-'], {
      input: `${input.join('\n')}\n`,
      encoding: 'utf8',
    })
    // A word that `ip` does not understand would end the batch, and the test would test nothing.
    if (/expected instead|is wrong|garbage|is unknown|Usage|is invalid/i.test(stderr)) throw new Error(stderr)
  }
}

/** Three pairs of links, both ends in the namespace, and no wait for duplicate addresses. */
export const createUnderlay = async (): Promise<string> => {
  const netns = await createNetns()
  const quiet = ['all', 'default'].map((name) => `net.ipv6.conf.${name}.accept_dad=0`)
  spawnSync('ip', ['netns', 'exec', netns, 'sysctl', '-qw', ...quiet])
  const lines = ['link set lo up']
  for (const i of [0, 1, 2]) {
    lines.push(`link add v${i} type veth peer name p${i}`, `link set p${i} up`, `link set v${i} up`)
    lines.push(`addr add 10.0.${i}.1/24 dev v${i}`, `addr add 10.0.${i}.7/24 dev v${i}`)
    lines.push(`-6 addr add 2001:db8:${i}::1/64 dev v${i} nodad`, `-6 addr add 2001:db8:${i}::7/64 dev v${i} nodad`)
  }
  batch(netns, lines)
  return netns
}

const onError = (error: Error): void => {
  throw error
}

/** NUD_* of all neighbours, kept by news. */
const followNeighbours = async (
  namespace: Namespace,
): Promise<(ifindex: number, address: Uint8Array) => number | undefined> => {
  const states = new Map<string, number>()
  const key = (ifindex: number, address: Uint8Array): string => `${ifindex} ${hex(address)}`
  const message: Parameters<Namespace['attach']>[0]['message'] = (news) => {
    if (!isNeighbourMessage(news)) return
    const { ifindex, address, state } = parseNeighbour(news)
    if (news.type === RTM_DELNEIGH) states.delete(key(ifindex, address))
    else states.set(key(ifindex, address), state)
  }
  namespace.attach({ message, overrun: () => {}, clear: () => {} })
  await namespace.socket.dump(RTM_GETNEIGH, neighbourDumpPayload(), message, () => {})
  return (ifindex, address) => states.get(key(ifindex, address))
}

export const openMirror = async (netns: string, rcvbuf = 4 << 20): Promise<Mirror> => {
  const groups = [...FIB_GROUPS, RTNLGRP_NEIGH]
  const namespace = await Namespace.open({ transport: nativeTransport, netns, rcvbuf, onError, groups })
  onTestFinished(() => namespace.close())
  const fib = new Fib(namespace, { onError, neighbour: await followNeighbours(namespace) })
  const plain = new Fib(namespace, { onError })
  await Promise.all([fib.start(), plain.start()])
  return { netns, namespace, fib, plain }
}

/** Everything that happened before has been heard of: answers come behind news. */
export const caughtUp = async ({ namespace, fib, plain }: Mirror): Promise<void> => {
  await namespace.getLink('lo')
  await fib.settled()
  await plain.settled()
  await namespace.getLink('lo')
}

const hex = (bytes: Uint8Array | undefined): string => (bytes ? Buffer.from(bytes).toString('hex') : '')
export const bytesOf = (text: string): Uint8Array =>
  Uint8Array.from(parseCidr(`${text}/${text.includes(':') ? 128 : 32}`).bytes)

const routeText = (route: Route): string => {
  const { table, dst, length, from, tos, priority, type, scope, protocol, prefsrc, mtu, nexthopId, nexthops } = route
  const hop = ({ oif, via, weight, flags }: (typeof nexthops)[number]): string =>
    `${oif} via ${hex(via)} ${nexthops.length > 1 ? weight : ''} ${flags & RTNH_F_DEAD}`
  return `${table} ${hex(dst)}/${length} from ${hex(from?.bytes)}/${from?.length} ${tos} ${priority} ${type} ${scope} ${protocol} ${hex(prefsrc)} ${mtu} ${nexthopId} ${nexthopId ? '' : nexthops.map(hop)}`
}

/** All routes in order; but not those of IPv6 that a dump passes by, standing among the members of a set. */
function* routesOf(fib: Fib): Generator<string> {
  for (const route of fib.routes(4)) yield routeText(route)
  let set = ''
  for (const route of fib.routes(6)) {
    const { table, dst, length, priority, nexthops } = route
    const place = `${table} ${hex(dst)}/${length} ${priority}`
    if (nexthops.length > 1) set = place
    else if (place === set) continue
    yield routeText(route)
  }
}

/** All that a mirror knows, in a form to compare. */
export const snapshot = (fib: Fib): unknown => ({
  routes: [...routesOf(fib)],
  rules: [...fib.rules(4), ...fib.rules(6)].map((rule) => ({
    ...rule,
    from: hex(rule.from?.bytes),
    to: hex(rule.to?.bytes),
  })),
  nexthops: [...fib.nexthops.values()].sort((a, b) => a.id - b.id),
  addresses: [...fib.addresses]
    .sort(([a], [b]) => a - b)
    .map(([ifindex, list]) =>
      [4, 6].map((version) =>
        list.filter((a) => a.version === version).map((a) => `${ifindex} ${hex(a.bytes)} ${a.flags} ${a.scope}`),
      ),
    ),
})

export interface Ask {
  readonly dst: string
  readonly src?: string
  readonly oif?: string
  readonly mark?: number
  readonly tos?: number
}

interface IpAnswer {
  type?: string
  dev: string
  gateway?: string
  via?: { host: string }
  prefsrc?: string
}

const words = ({ dst, src, oif, mark, tos }: Ask): string =>
  `route get ${dst}${src ? ` from ${src}` : ''}${oif ? ` oif ${oif}` : ''}${mark ? ` mark ${mark}` : ''}${tos ? ` tos 0x${tos.toString(16)}` : ''}`

/** 'none', or what one packet would do. */
export const askKernel = (netns: string, asks: readonly Ask[]): string[] => {
  const { stdout, stderr } = spawnSync('ip', ['-n', netns, '-j', '-force', '-batch', '-'], {
    input: `${asks.map(words).join('\n')}\n`,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  const failed = new Set([...stderr.matchAll(/Command failed -:(\d+)/g)].map(([, line]) => Number(line) - 1))
  const answers = [...stdout.matchAll(/^\[.*\]\s*$/gm)].map(([text]) => (JSON.parse(text) as IpAnswer[])[0]!)
  if (answers.length + failed.size !== asks.length) throw new Error(`not all answered: ${stdout}${stderr}`)
  return asks.map((ask, i) => {
    if (failed.has(i)) return 'none'
    const { type = 'unicast', dev, gateway, via, prefsrc } = answers.shift()!
    const hop = gateway ?? via?.host
    const src = ask.src ?? prefsrc
    return `${type} ${dev} ${hop ? hex(bytesOf(hop)) : '-'} ${src ? hex(bytesOf(src)) : '-'}`
  })
}

export const queryOf = ({ namespace }: Mirror, { dst, src, oif, mark, tos }: Ask): FibQuery => ({
  dst: bytesOf(dst),
  ...(src ? { src: bytesOf(src) } : {}),
  ...(oif ? { oif: namespace.links.link(oif)!.ifindex } : {}),
  ...(mark ? { mark } : {}),
  ...(tos ? { tos } : {}),
})

/** Everything that one packet might do by an answer, in the words of askKernel. */
export const inWords = ({ namespace }: Mirror, result: FibResult): string[] =>
  result.type === 'none'
    ? ['none']
    : waysOf(result).map(({ oif, via, src }) => {
        const dev = namespace.links.link(oif)?.name
        return `${result.routeType} ${dev} ${via ? hex(via) : '-'} ${src ? hex(src) : '-'}`
      })

/** Keeps answers as a user of the mirror does: looked up again only when a change concerns them. Returns those that are out of date. */
export const keepAnswers = (mirror: Mirror, asks: readonly Ask[]): (() => Ask[]) => {
  const { plain } = mirror
  const kept = asks.map((ask) => {
    const query = queryOf(mirror, ask)
    return { ask, query, answer: plain.lookup(query) }
  })
  plain.on((change) => {
    for (const one of kept) if (concerns(change, one.query, one.answer)) one.answer = plain.lookup(one.query)
  })
  const text = (result: FibResult): string =>
    JSON.stringify(result, (_, value: unknown) => (value instanceof Uint8Array ? hex(value) : value))
  return () => kept.filter(({ query, answer }) => text(answer) !== text(plain.lookup(query))).map(({ ask }) => ask)
}
