/** Routes and neighbours in the layout of `ovs-appctl ovs/route/show` and `tnl/neigh/show`. Pure. */
import { addressText } from '../../flow/address.ts'
import type { Neighbour } from '../../netlink/neighbour.ts'
import {
  NUD_DELAY,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_NOARP,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
} from '../../netlink/neighbour.ts'
import { type NextHop, type Route, RT_TABLE_LOCAL, RT_TABLE_MAIN } from '../../netlink/route.ts'
import type { FibMember, FibResult } from '../../tunnel/fib-contract.ts'
import type { connectedOf, UserRoute } from '../../tunnel/static-routes.ts'
import type { NeighbourReply, RouteReply } from '../replies.ts'

export type LinkName = (ifindex: number) => string

export const routeReply = (route: Route, hops: readonly NextHop[], nameOf: LinkName): RouteReply => ({
  prefix: `${addressText(route.dst)}/${route.length}`,
  table: route.table,
  type: route.type,
  metric: route.priority,
  ...(route.tos === 0 ? {} : { tos: route.tos }),
  ...(route.prefsrc === undefined ? {} : { src: addressText(route.prefsrc) }),
  ...(route.mtu === undefined ? {} : { mtu: route.mtu }),
  nexthops: hops.map(({ oif, via, weight }) => ({
    dev: nameOf(oif),
    weight,
    ...(via === undefined ? {} : { via: addressText(via) }),
  })),
})

/** One that was added by hand. `src`: the address that packets are sent from. */
export const userRouteReply = (route: UserRoute, src: Uint8Array | undefined): RouteReply => ({
  prefix: `${addressText(route.dst)}/${route.length}`,
  user: true,
  ...(route.mark === 0 ? {} : { mark: route.mark >>> 0 }),
  table: RT_TABLE_MAIN,
  type: 'unicast',
  metric: 0,
  ...(src === undefined ? {} : { src: addressText(src) }),
  nexthops: [{ dev: route.bridge, weight: 1, ...(route.via === undefined ? {} : { via: addressText(route.via) }) }],
})

/** Of a bridge that no host's stack owns. */
export const connectedReply = ({
  dst,
  length,
  src,
  dev,
  local,
}: ReturnType<typeof connectedOf>[number]): RouteReply => ({
  prefix: `${addressText(dst)}/${length}`,
  table: local ? RT_TABLE_LOCAL : RT_TABLE_MAIN,
  type: local ? 'local' : 'unicast',
  metric: 0,
  src: addressText(src),
  nexthops: [{ dev, weight: 1 }],
})

/** As Open vSwitch's, with what it does not know behind: other tables, types, metrics, several hops. */
export const routeLine = (r: RouteReply): string => {
  const hop = ({ dev, via }: RouteReply['nexthops'][number]): string =>
    `dev ${dev}${via === undefined ? '' : ` GW ${via}`}`
  const refuses = r.nexthops.length === 0 || !['unicast', 'local'].includes(r.type)
  return [
    `${r.user ? 'User' : 'Cached'}: ${r.prefix}`,
    ...(r.mark === undefined ? [] : [`MARK ${r.mark}`]),
    ...(refuses ? [r.type] : []),
    r.nexthops.map((h) => (r.nexthops.length > 1 ? `${hop(h)} weight ${h.weight}` : hop(h))).join(' '),
    ...(r.src === undefined ? [] : [`SRC ${r.src}`]),
    ...(r.type === 'local' ? ['local'] : []),
    ...(r.mtu === undefined ? [] : [`mtu ${r.mtu}`]),
    ...(r.metric === 0 ? [] : [`metric ${r.metric}`]),
    ...(r.tos === undefined ? [] : [`tos ${r.tos}`]),
    ...(r.table === RT_TABLE_MAIN || r.table === RT_TABLE_LOCAL ? [] : [`table ${r.table}`]),
  ]
    .filter((word) => word !== '')
    .join(' ')
}

const memberLines = (m: FibMember, family: number, nameOf: LinkName): string[] => [
  `src ${m.src === undefined ? (family === 4 ? '0.0.0.0' : '::') : addressText(m.src)}`,
  // A destination on link prints as Open vSwitch prints it.
  `gateway ${m.via === undefined ? '::' : addressText(m.via)}`,
  `dev ${nameOf(m.oif)}`,
]

/** The answer of a look-up; a set has its members one after the other, an empty line between. */
export const lookupText = (found: FibResult & { type: 'found' }, family: number, nameOf: LinkName): string =>
  (found.multipath ?? [found]).map((m) => `${memberLines(m, family, nameOf).join('\n')}\n`).join('\n')

const NUD: readonly (readonly [number, string])[] = [
  [NUD_INCOMPLETE, 'INCOMPLETE'],
  [NUD_REACHABLE, 'REACHABLE'],
  [NUD_STALE, 'STALE'],
  [NUD_DELAY, 'DELAY'],
  [NUD_PROBE, 'PROBE'],
  [NUD_FAILED, 'FAILED'],
  [NUD_NOARP, 'NOARP'],
  [NUD_PERMANENT, 'PERMANENT'],
]

export const neighbourReply = (n: Neighbour, bridge: string): NeighbourReply => ({
  address: addressText(n.address),
  ...(n.lladdr === undefined || n.lladdr.length !== 6
    ? {}
    : { mac: Array.from(n.lladdr, (byte) => byte.toString(16).padStart(2, '0')).join(':') }),
  bridge,
  state: NUD.find(([bit]) => (n.state & bit) !== 0)?.[1] ?? 'NONE',
})

export const neighbourTable = (rows: readonly NeighbourReply[]): string =>
  `IP                                            MAC                 Bridge           State\n` +
  `${'='.repeat(90)}\n` +
  rows.map((r) => `${r.address.padEnd(46)}${(r.mac ?? '').padEnd(20)}${r.bridge.padEnd(17)}${r.state}\n`).join('')
