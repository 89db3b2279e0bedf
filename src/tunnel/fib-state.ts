/** What a look-up reads, and what one table answers. */
import type { Link } from '../netlink/link.ts'
import { NUD_VALID } from '../netlink/neighbour.ts'
import type { NextHopObject } from '../netlink/nexthop.ts'
import { type NextHop, type Route, type RouteType, RTNH_F_DEAD } from '../netlink/route.ts'
import type { Rule } from '../netlink/rule.ts'
import type { AddressList } from './address-list.ts'
import type { NoRoute } from './fib-contract.ts'
import type { RouteTable } from './route-table.ts'

/** LOOPBACK_IFINDEX: the ingress of what the host sends itself, and the egress of what is for it. */
export const LOOPBACK = 1
const SCOPE_HOST = 254

export interface FibState {
  readonly routes: Pick<RouteTable, 'covering' | 'list' | 'size'>
  /** In the order in which they are tried. */
  readonly rules: { readonly 4: Iterable<Rule>; readonly 6: Iterable<Rule> }
  readonly nexthops: ReadonlyMap<number, NextHopObject>
  readonly addresses: Pick<AddressList, 'byLink' | 'has'>
  link(ifindex: number): Link | undefined
  /** NUD_*; undefined for none. Absent: nothing is known of neighbours. */
  neighbour?(ifindex: number, address: Uint8Array): number | undefined
}

/** A next hop with the route that gives it. */
export interface Way {
  readonly route: Route
  readonly hop: NextHop
  /** The link whose source address is taken, where it is not that of the hop. */
  readonly sourceLink?: number
}

export interface Taken {
  readonly route: Route
  /** At least one; several are a set that flows share. */
  readonly ways: readonly Way[]
  readonly alternatives?: readonly Way[]
}

export interface Refusal {
  readonly refusal: NoRoute
}

export const REFUSALS: ReadonlySet<RouteType> = new Set(['blackhole', 'unreachable', 'prohibit'])

/** Whether the kernel may use a next hop. Local addresses of IPv4 outlive their link's going down; those of IPv6 may be given to a link that is down. */
export const alive = (state: FibState, route: Route, hop: NextHop): boolean => {
  if ((hop.flags & RTNH_F_DEAD) !== 0) return false
  const link = state.link(hop.oif)
  return link !== undefined && (link.up || (route.version === 4 ? route.scope === SCOPE_HOST : route.type === 'local'))
}

/** The next hops of a route, those of its object if it has one, dead or alive; 'blackhole' for an object that says so. */
export const hopsOf = (state: FibState, route: Route): readonly NextHop[] | 'blackhole' => {
  if (route.nexthopId === 0) return route.nexthops
  const object = state.nexthops.get(route.nexthopId)
  if (!object) return []
  const hops: NextHop[] = []
  for (const { id, weight } of object.group ?? [{ id: object.id, weight: 1 }]) {
    const member = state.nexthops.get(id)
    if (member?.blackhole) return 'blackhole'
    if (member) hops.push({ oif: member.oif, weight, flags: member.flags, ...(member.via ? { via: member.via } : {}) })
  }
  return hops
}

/** Groups of objects pass by members whose neighbour is not valid, unless all are such. */
export const goodOf = (state: FibState, hops: readonly NextHop[]): readonly NextHop[] => {
  if (!state.neighbour || hops.length < 2) return hops
  const good = hops.filter((hop) => {
    const nud = hop.via && state.neighbour?.(hop.oif, hop.via)
    return nud === undefined || (nud & NUD_VALID) !== 0
  })
  return good.length > 0 ? good : hops.slice(0, 1)
}
