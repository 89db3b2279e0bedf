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
import { concerns, type FibMember, type FibQuery, type FibResult } from '../../../src/tunnel/fib-contract.ts'
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

/**
 * Three pairs of links, both ends in the namespace, and no wait for duplicate addresses. It forwards IPv4, from whatever source, without which nothing that comes in has a way;
 * in IPv6, where that needs no leave, it is a host, which avoids next hops that have failed.
 */
export const createUnderlay = async (): Promise<string> => {
  const netns = await createNetns()
  const settings = ['all', 'default'].flatMap((name) => [
    `net.ipv6.conf.${name}.accept_dad=0`,
    `net.ipv6.conf.${name}.forwarding=0`,
    `net.ipv4.conf.${name}.forwarding=1`,
    `net.ipv4.conf.${name}.rp_filter=0`,
  ])
  spawnSync('ip', ['netns', 'exec', netns, 'sysctl', '-qw', ...settings])
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

/** Everything that happened before has been heard of. */
export const caughtUp = async ({ namespace, fib, plain }: Mirror): Promise<void> => {
  await namespace.caughtUp()
  await fib.settled()
  await plain.settled()
  await namespace.caughtUp()
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

/** With `iif` it is a packet that came in, from a source that is not ours. */
export interface Ask {
  readonly dst: string
  readonly src?: string
  readonly iif?: string
  readonly oif?: string
  readonly mark?: number
  readonly tos?: number
}

interface IpHop {
  dev: string
  gateway?: string
  via?: { host: string }
}

interface IpRoute extends IpHop {
  dst: string
  type?: string
  prefsrc?: string
  nexthops?: IpHop[]
}

const words = ({ dst, src, iif, oif, mark, tos }: Ask): string =>
  `${dst}${src ? ` from ${src}` : ''}${iif ? ` iif ${iif}` : ''}${oif ? ` oif ${oif}` : ''}${mark ? ` mark ${mark}` : ''}${tos ? ` tos 0x${tos.toString(16)}` : ''}`

/** One answer for each line, undefined where there is none. */
const getRoutes = (netns: string, lines: readonly string[]): (IpRoute | undefined)[] => {
  const { stdout, stderr } = spawnSync('ip', ['-n', netns, '-j', '-force', '-batch', '-'], {
    input: `${lines.map((line) => `route get ${line}`).join('\n')}\n`,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  const failed = new Set([...stderr.matchAll(/Command failed -:(\d+)/g)].map(([, line]) => Number(line) - 1))
  const answers = [...stdout.matchAll(/^\[.*\]\s*$/gm)].map(([text]) => (JSON.parse(text) as IpRoute[])[0]!)
  if (answers.length + failed.size !== lines.length) throw new Error(`not all answered: ${stdout}${stderr}`)
  return lines.map((_, i) => (failed.has(i) ? undefined : answers.shift()!))
}

const hopText = ({ dev, gateway, via }: IpHop): string => {
  const hop = gateway ?? via?.host
  return `${dev} ${hop ? hex(bytesOf(hop)) : '-'}`
}

/** 'none', or what one packet would do. */
export const askKernel = (netns: string, asks: readonly Ask[]): string[] =>
  getRoutes(netns, asks.map(words)).map((route, i) => {
    if (!route) return 'none'
    const src = asks[i]!.src ?? route.prefsrc
    return `${route.type ?? 'unicast'} ${hopText(route)} ${src ? hex(bytesOf(src)) : '-'}`
  })

/** The next hops ('DEV VIA') of each route that wins, where it has several. */
export const askHops = (netns: string, asks: readonly Ask[]): (string[] | undefined)[] =>
  getRoutes(
    netns,
    asks.map((ask) => `fibmatch ${words(ask)}`),
  ).map((route) => route?.nexthops?.map(hopText))

/** Those of all IPv4 default routes: the first one of each. */
export const defaultHops = (netns: string): string[] => {
  const { stdout } = spawnSync('ip', ['-n', netns, '-4', '-j', 'route', 'show', 'table', 'all', 'root', '0/0'], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  return (JSON.parse(stdout) as IpRoute[])
    .filter(({ dst }) => dst === 'default')
    .map((route) => hopText(route.nexthops?.[0] ?? route))
}

export const queryOf = ({ namespace }: Mirror, { dst, src, iif, oif, mark, tos }: Ask): FibQuery => ({
  dst: bytesOf(dst),
  ...(src ? { src: bytesOf(src) } : {}),
  ...(iif ? { iif: namespace.links.link(iif)!.ifindex } : {}),
  ...(oif ? { oif: namespace.links.link(oif)!.ifindex } : {}),
  ...(mark ? { mark } : {}),
  ...(tos ? { tos } : {}),
})

const wayText = ({ namespace }: Mirror, type: string, { oif, via, src }: FibMember): string =>
  `${type} ${namespace.links.link(oif)?.name} ${via ? hex(via) : '-'} ${src ? hex(src) : '-'}`

/** What one packet might do by an answer, in the words of askKernel; but not what the kernel might do instead. */
export const inWords = (mirror: Mirror, result: FibResult): string[] =>
  result.type === 'none'
    ? ['none']
    : (result.multipath ?? [result]).map((way) => wayText(mirror, result.routeType, way))

/** What the kernel might do instead, by what no mirror can know. */
export const insteadInWords = (mirror: Mirror, result: FibResult): string[] =>
  result.type === 'none' ? [] : (result.alternatives ?? []).map((way) => wayText(mirror, result.routeType, way))

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
