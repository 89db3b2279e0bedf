/** A mirror in a namespace of the test, and what `ip route get` says there. */
import { spawnSync } from 'node:child_process'
import { onTestFinished } from 'vitest'
import { parseCidr } from '../../../src/netlink/address.ts'
import { Namespace } from '../../../src/netlink/namespace.ts'
import { nativeTransport } from '../../../src/netlink/native-transport.ts'
import { FIB_GROUPS, Fib } from '../../../src/tunnel/fib.ts'
import type { FibQuery, FibResult } from '../../../src/tunnel/fib-lookup.ts'
import { NEIGHBOUR_GROUPS, Neighbours } from '../../../src/tunnel/neighbours.ts'
import { createNetns, ip } from '../../system/netlink/netns.ts'

export interface Mirror {
  readonly netns: string
  readonly namespace: Namespace
  readonly fib: Fib
  readonly neighbours: Neighbours
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
  ip('netns', 'exec', netns, 'sysctl', '-qw', 'net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0')
  const lines = ['link set lo up']
  for (const i of [0, 1, 2]) {
    lines.push(`link add v${i} type veth peer name p${i}`, `link set p${i} up`, `link set v${i} up`)
    lines.push(`addr add 10.0.${i}.1/24 dev v${i}`, `addr add 10.0.${i}.7/24 dev v${i}`)
    lines.push(`-6 addr add 2001:db8:${i}::1/64 dev v${i} nodad`, `-6 addr add 2001:db8:${i}::7/64 dev v${i} nodad`)
  }
  batch(netns, lines)
  return netns
}

export const openMirror = async (netns: string, rcvbuf = 4 << 20): Promise<Mirror> => {
  const onError = (error: Error): void => {
    throw error
  }
  const namespace = await Namespace.open({
    transport: nativeTransport,
    netns,
    rcvbuf,
    onError,
    groups: [...FIB_GROUPS, ...NEIGHBOUR_GROUPS],
  })
  onTestFinished(() => namespace.close())
  const fib = new Fib(namespace, { onError })
  const neighbours = new Neighbours(namespace, { onError })
  await fib.start()
  await neighbours.start()
  return { netns, namespace, fib, neighbours }
}

/** Everything that happened before has been heard of: answers come behind news. */
export const caughtUp = async ({ namespace, fib, neighbours }: Mirror): Promise<void> => {
  await namespace.getLink('lo')
  await fib.settled()
  await neighbours.settled()
  await namespace.getLink('lo')
}

const hex = (bytes: Uint8Array | undefined): string => (bytes ? Buffer.from(bytes).toString('hex') : '')
export const bytesOf = (text: string): Uint8Array =>
  Uint8Array.from(parseCidr(`${text}/${text.includes(':') ? 128 : 32}`).bytes)

/** All that the mirror knows, in a form to compare. */
export const snapshot = ({ fib }: Mirror): unknown => ({
  routes: [...fib.routes.entries()]
    .map(({ route }) => `${route.version} ${route.table} ${hex(route.dst)}/${route.length} ${route.priority} `)
    .sort(),
  ids: [...fib.routes.entries()].map(({ id, route }) => `${route.table} ${hex(route.dst)} ${id}`).sort(),
  rules: [...fib.rules[4], ...fib.rules[6]].map((rule) => ({
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

/** Everything one packet might do by our reckoning, in the words of askKernel. */
export const askMirror = (mirror: Mirror, ask: Ask): string[] => {
  const result: FibResult = mirror.fib.lookup(queryOf(mirror, ask))
  if (result.type === 'none') return ['none']
  return (result.multipath ?? [result]).map(({ oif, via, src }) => {
    const dev = mirror.namespace.links.link(oif)?.name
    return `${result.routeType} ${dev} ${via ? hex(via) : '-'} ${src ? hex(src) : '-'}`
  })
}
