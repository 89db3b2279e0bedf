/**
 * What the kernel does to IPv4 routes, sets and next-hop objects without a message, when a link, an address or an object that they need comes or goes: done
 * here at once, by the index of what needs what. Each function says whether there was anything to do, so that a dump may confirm it.
 *
 * Facts of the kernel (net/ipv4/fib_semantics.c, net/ipv4/nexthop.c, net/ipv6/route.c): a next hop dies with its link, and an IPv4 one with the link's last
 * address; a route dies with its last living next hop, and with its link's removal even before; a local IPv4 route outlives its link's being down; an object dies
 * with its link's carrier. A route of the main table dies with its source address; IPv6 routes only forget it. IPv6 routes are reported as they die, but not
 * the next hops of sets that live on.
 */
import type { Address } from '../netlink/address.ts'
import { type NextHop, RT_TABLE_MAIN, RTNH_F_DEAD } from '../netlink/route.ts'
import type { AddressList } from './address-list.ts'
import type { FibListeners } from './fib-listeners.ts'
import type { NextHopTable } from './next-hop-table.ts'
import { joins, type RouteEntry } from './route-entry.ts'
import type { RouteTable } from './route-table.ts'

const SCOPE_HOST = 254

export interface Dependants {
  readonly routes: RouteTable
  readonly objects: NextHopTable
  readonly addresses: AddressList
  readonly listeners: FibListeners
  /** Routes removed without a message of the kernel. */
  readonly counters: { inferred: number }
}

const remove = ({ routes, listeners, counters }: Dependants, entry: RouteEntry): void => {
  counters.inferred++
  routes.remove(entry)
  listeners.route(entry.route)
}

/** Whether any next hop of a route that leads through the link was not so already. */
const mark = (on: Dependants, entry: RouteEntry, ifindex: number, dead: boolean): boolean => {
  let different = false
  const nexthops = entry.route.nexthops.map((hop): NextHop => {
    if (hop.oif !== ifindex || ((hop.flags & RTNH_F_DEAD) !== 0) === dead) return hop
    different = true
    return { ...hop, flags: hop.flags ^ RTNH_F_DEAD }
  })
  if (different) on.routes.become(entry, { ...entry.route, nexthops })
  return different
}

/** The link's IPv4 next hops are dead, and with `all` those of local routes too. */
const killIpv4 = (on: Dependants, ifindex: number, all: boolean): boolean => {
  const entries = [...on.routes.index.byLink(ifindex)].filter(
    ({ route }) => route.version === 4 && (all || route.scope !== SCOPE_HOST),
  )
  for (const entry of entries) {
    const lives = entry.route.nexthops.some((hop) => hop.oif !== ifindex && (hop.flags & RTNH_F_DEAD) === 0)
    if (!lives) remove(on, entry)
    else if (mark(on, entry, ifindex, true)) on.listeners.route(entry.route)
  }
  return entries.length > 0
}

/** Objects are gone, and with them groups that are left empty, and routes. */
export const objectsGone = (on: Dependants, ids: Iterable<number>): boolean => {
  const { objects, routes, listeners } = on
  const touched = objects.withGroups(ids)
  const gone = objects.drop(ids)
  for (const id of touched)
    for (const entry of [...routes.index.byObject(id)])
      if (gone.has(id)) remove(on, entry)
      else listeners.route(entry.route)
  return touched.size > 0
}

/** Tells the routes whose next hops may be others now. */
export const objectsChanged = ({ objects, routes, listeners }: Dependants, ids: Iterable<number>): void => {
  for (const id of objects.withGroups(ids)) for (const { route } of routes.index.byObject(id)) listeners.route(route)
}

/** Down, or removed altogether. */
export const linkDown = (on: Dependants, ifindex: number, removed: boolean): boolean => {
  const { routes, listeners } = on
  let touched = linkLost(on, ifindex)
  if (removed)
    for (const entry of [...routes.index.byLink(ifindex)])
      if (entry.route.version === 4) {
        remove(on, entry)
        touched = true
      }
  if (killIpv4(on, ifindex, false)) touched = true
  for (const entry of [...routes.index.byLink(ifindex)]) {
    if (entry.route.version !== 6) continue
    if (joins(entry.route)) mark(on, entry, ifindex, true)
    listeners.route(entry.route)
    touched = true
  }
  return touched
}

/** No carrier: only objects mind. */
export const linkLost = (on: Dependants, ifindex: number): boolean => {
  const lost = on.objects.onLink(ifindex)
  return lost.length > 0 && objectsGone(on, lost)
}

export const linkUp = (on: Dependants, ifindex: number): boolean => {
  const entries = [...on.routes.index.byLink(ifindex)]
  for (const entry of entries) {
    mark(on, entry, ifindex, false)
    on.listeners.route(entry.route)
  }
  return entries.length > 0
}

/** The list is without it already. */
export const addressGone = (on: Dependants, { version, ifindex, bytes }: Address): boolean => {
  const { routes, addresses, listeners } = on
  let touched = false
  if (!addresses.has(bytes))
    for (const entry of [...routes.index.bySource(bytes)]) {
      const { route } = entry
      if (version === 6) {
        if (route.nexthopId !== 0) continue
        const { prefsrc: _, ...rest } = route
        routes.become(entry, rest)
        listeners.route(route)
      } else if (route.table === RT_TABLE_MAIN) remove(on, entry)
      touched = true
    }
  return (version === 4 && !addresses.hasIpv4(ifindex) && killIpv4(on, ifindex, true)) || touched
}

/** Next hops that died with the link's last address live again. */
export const addressCame = (on: Dependants, ifindex: number): boolean => {
  let touched = false
  for (const entry of [...on.routes.index.byLink(ifindex)])
    if (entry.route.version === 4 && mark(on, entry, ifindex, false)) {
      on.listeners.route(entry.route)
      touched = true
    }
  return touched
}
