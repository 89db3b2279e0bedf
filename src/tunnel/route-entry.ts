/** A route in its table, and what tells routes apart. */

import { sameAddress } from '../flow/address.ts'
import { type NextHop, type Route, RTNH_F_DEAD } from '../netlink/route.ts'

export interface RouteEntry {
  /** Of IPv6: with one next hop at most; what the kernel joins to a set are entries of their own there too. */
  route: Route
  /** The dump, or the time after it, in which it was last heard of. */
  epoch: number
  /** The dump that listed it last: those that a dump lists stand in its order, whatever news came meanwhile. 0: none. */
  listed: number
}

/** What a table does when one of its runs changes: it counts and indexes. */
export interface RunOwner {
  make(route: Route, epoch: number): RouteEntry
  /** Another version of the route in its place. */
  become(entry: RouteEntry, route: Route): void
  drop(entry: RouteEntry): void
}

/** 'doubt': the kernel did something to what we do not have as it says, or did not say to what it did it. */
export type Applied = 'same' | 'changed' | 'doubt'

/** RTPROT_RA: a router that has advertised itself. */
const RTPROT_RA = 9

/** But for weight and state. */
export const sameHop = (a: NextHop, b: NextHop): boolean => a.oif === b.oif && sameAddress(a.via, b.via)

export const sameFrom = (a: Route, b: Route): boolean =>
  a.from?.length === b.from?.length && sameAddress(a.from?.bytes, b.from?.bytes)

/** Of one prefix and table: all but next hops. With an object the hops are the object's, and may be left out of a message. */
export const sameAttributes = (a: Route, b: Route): boolean =>
  a.priority === b.priority &&
  a.tos === b.tos &&
  a.type === b.type &&
  a.scope === b.scope &&
  a.protocol === b.protocol &&
  a.nexthopId === b.nexthopId &&
  a.mtu === b.mtu &&
  sameAddress(a.prefsrc, b.prefsrc) &&
  sameFrom(a, b)

/** What may become different while it stays the same route. Carrier is the link's to tell. */
export const sameState = (a: Route, b: Route): boolean =>
  a.preference === b.preference &&
  a.nexthops.length === b.nexthops.length &&
  a.nexthops.every(
    (hop, i) => ((hop.flags ^ b.nexthops[i]!.flags) & RTNH_F_DEAD) === 0 && hop.weight === b.nexthops[i]!.weight,
  )

/** IPv6: the kernel joins it with others of its metric to one set. */
export const joins = (route: Route): boolean =>
  route.nexthopId === 0 &&
  route.protocol !== RTPROT_RA &&
  route.nexthops.length > 0 &&
  route.nexthops[0]!.via !== undefined
