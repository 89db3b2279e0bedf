/**
 * The mirror of a namespace's forwarding: routes, policy rules, next-hop objects and addresses, by the news of its one socket. Main thread.
 *
 * The kernel removes IPv4 routes and next-hop objects without a message when a link goes down, an address goes or an object that they need goes. What certainly
 * went is removed here at once; what is in doubt is dumped (DESIGN, "The mirror of the kernel").
 */

import { Generation } from '../lib/generation.ts'
import {
  type Address,
  addressDumpPayload,
  isAddressMessage,
  parseAddress,
  RTM_DELADDR,
  RTM_GETADDR,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV6_IFADDR,
} from '../netlink/address.ts'
import { type NetlinkMessage, NLM_F_REPLACE } from '../netlink/codec.ts'
import type { Link } from '../netlink/link.ts'
import type { LinkEvent } from '../netlink/link-monitor.ts'
import type { Namespace } from '../netlink/namespace.ts'
import {
  isNexthopMessage,
  type NextHopObject,
  nexthopDumpPayload,
  parseNexthop,
  RTM_DELNEXTHOP,
  RTM_GETNEXTHOP,
  RTNLGRP_NEXTHOP,
} from '../netlink/nexthop.ts'
import {
  isRouteMessage,
  parseRoute,
  type Route,
  RTM_DELROUTE,
  RTM_GETROUTE,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_ROUTE,
  routeDumpPayload,
} from '../netlink/route.ts'
import {
  isRuleMessage,
  parseRule,
  RTM_DELRULE,
  RTM_GETRULE,
  RTNLGRP_IPV4_RULE,
  RTNLGRP_IPV6_RULE,
  ruleDumpPayload,
} from '../netlink/rule.ts'
import { systemTimers, type Timers } from '../netlink/transport.ts'
import { AddressList } from './address-list.ts'
import { type FibQuery, type FibResult, type FibState, lookupRoute } from './fib-lookup.ts'
import { sameBytes } from './prefix-trie.ts'
import { type DumpedTable, Resync } from './resync.ts'
import { RouteTable } from './route-table.ts'
import { RuleList } from './rule-list.ts'

/** Groups that the namespace must have joined (NamespaceOptions.groups). */
export const FIB_GROUPS: readonly number[] = [
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_IPV4_RULE,
  RTNLGRP_IPV6_RULE,
  RTNLGRP_NEXTHOP,
]

/** Where answers may be different now. */
export type FibChange =
  | { readonly type: 'prefix'; readonly bytes: Uint8Array; readonly length: number }
  /** Rules have no prefix, and more prefixes than `PREFIXES` are not listed one by one. */
  | { readonly type: 'all' }

export interface FibCounters {
  events: number
  /** Messages that could not be read, skipped. */
  malformed: number
  /** Losses of news. */
  resyncs: number
  /** Routes removed without a message of the kernel. */
  inferred: number
  listenerErrors: number
}

/** Prefixes that one event of a link, address or next-hop object lists; beyond, it is 'all'. */
const PREFIXES = 256

export interface FibOptions {
  /** Hears of dumps that failed (and are made again) and listeners that threw. */
  readonly onError: (error: Error) => void
  readonly timers?: Timers
}

export class Fib {
  readonly counters: FibCounters = { events: 0, malformed: 0, resyncs: 0, inferred: 0, listenerErrors: 0 }
  /** Bumped with every change. */
  readonly generation = new Generation()
  readonly routes = new RouteTable()
  readonly rules = { 4: new RuleList(), 6: new RuleList() }
  readonly nexthops = new Map<number, NextHopObject>()
  readonly #addresses = new AddressList()
  readonly #namespace: Pick<Namespace, 'socket' | 'links' | 'attach'>
  readonly #onError: (error: Error) => void
  readonly #listeners = new Set<(change: FibChange) => void>()
  readonly #resync: Resync
  readonly #tables: readonly DumpedTable[]
  readonly #routeTables: readonly DumpedTable[]
  readonly #nexthopTable: DumpedTable
  readonly #addressTable: DumpedTable
  readonly #ends: (() => void)[] = []
  readonly #routeEpoch = { 4: 0, 6: 0 }
  #heardNexthops = new Set<number>()

  constructor(namespace: Pick<Namespace, 'socket' | 'links' | 'attach'>, options: FibOptions) {
    this.#namespace = namespace
    this.#onError = options.onError
    this.#resync = new Resync(namespace.socket, options.timers ?? systemTimers, options.onError)
    this.#routeTables = [this.#routeDump(4), this.#routeDump(6)]
    this.#nexthopTable = this.#nexthopDump()
    this.#addressTable = this.#addressDump()
    this.#tables = [this.#nexthopTable, this.#addressTable, this.#ruleDump(4), this.#ruleDump(6), ...this.#routeTables]
  }

  /** Resolves when the mirror is complete. The namespace must have joined FIB_GROUPS. */
  async start(): Promise<void> {
    this.#ends.push(
      this.#namespace.attach(this),
      this.#namespace.links.on((event) => this.#linkEvent(event)),
    )
    await this.#resync.first(this.#tables)
  }

  stop(): void {
    for (const end of this.#ends.splice(0)) end()
  }

  /** Which way a packet goes now. Throws only a RangeError for addresses that are none. */
  lookup(query: FibQuery): FibResult {
    return lookupRoute(this.#state, query)
  }

  /** Addresses by ifindex. */
  get addresses(): FibState['addresses'] {
    return this.#addresses.byLink
  }

  /** Has `listener` called from within each change; it may only note it. Returns how to end that. */
  on(listener: (change: FibChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when no dump is under way or due. */
  settled(): Promise<void> {
    return this.#resync.settled()
  }

  /** Dumps made so far, of one table each. */
  get dumps(): number {
    return this.#resync.dumps
  }

  /** From the namespace. Never throws. */
  message(message: NetlinkMessage): void {
    if (isRouteMessage(message)) this.#read(() => this.#routeNews(message))
    else if (isAddressMessage(message)) this.#read(() => this.#addressNews(message))
    else if (isNexthopMessage(message)) this.#read(() => this.#nexthopNews(message))
    else if (isRuleMessage(message))
      this.#read(() => {
        const rule = parseRule(message)
        const list = this.rules[rule.version]
        if (message.type === RTM_DELRULE ? list.deleted(rule) : list.added(rule)) this.#changed({ type: 'all' })
      })
  }

  /** From the namespace: news were lost. */
  overrun(): void {
    this.counters.resyncs++
    this.#resync.lost(this.#tables)
  }

  /** From the namespace, which is gone. */
  clear(): void {
    for (const entry of [...this.routes.entries()]) this.routes.remove(entry)
    this.rules[4].clear()
    this.rules[6].clear()
    this.nexthops.clear()
    this.#addresses.byLink.clear()
    this.#changed({ type: 'all' })
  }

  get #state(): FibState {
    const { routes, rules, nexthops } = this
    return { routes, rules, nexthops, addresses: this.#addresses.byLink, link: (i) => this.#namespace.links.link(i) }
  }

  #read(call: () => void): void {
    try {
      call()
    } catch {
      this.counters.malformed++
    }
  }

  #changed(change: FibChange): void {
    this.counters.events++
    this.generation.bump()
    for (const listener of [...this.#listeners])
      try {
        listener(change)
      } catch (error) {
        this.counters.listenerErrors++
        this.#onError(error as Error)
      }
  }

  #routeChanged({ dst, length }: Route): void {
    this.#changed({ type: 'prefix', bytes: dst, length })
  }

  /** Tells the prefixes of all routes that `is` picks. */
  #routesChanged(is: (route: Route) => boolean): void {
    const prefixes = new Map<string, Route>()
    for (const { route } of this.routes.entries()) {
      if (!is(route)) continue
      prefixes.set(`${Buffer.from(route.dst).toString('hex')}/${route.length}`, route)
      if (prefixes.size > PREFIXES) {
        this.#changed({ type: 'all' })
        return
      }
    }
    for (const route of prefixes.values()) this.#routeChanged(route)
  }

  #routeNews(message: NetlinkMessage): void {
    const route = parseRoute(message)
    const applied =
      message.type === RTM_DELROUTE
        ? this.routes.deleted(route)
        : this.routes.added(route, message.flags, this.#routeEpoch[route.version])
    if (applied === 'changed') this.#routeChanged(route)
    // We disagree about what was there.
    else if (applied === 'gone') this.#resync.confirm(this.#routeTables)
    // Which of several routes of one metric it has replaced, IPv6 does not say.
    if (route.version === 6 && (message.flags & NLM_F_REPLACE) !== 0) this.#resync.confirm(this.#routeTables)
  }

  #addressNews(message: NetlinkMessage): void {
    const address = parseAddress(message)
    if (message.type === RTM_DELADDR) {
      if (this.#addresses.deleted(address)) this.#addressGone(address)
      this.#resync.confirm([this.#addressTable, ...this.#routeTables])
    } else if (this.#addresses.added(address)) {
      this.#uses(address.ifindex)
      // It brings dead next hops of its link to life.
      if (address.version === 4) this.#resync.confirm(this.#routeTables)
    }
  }

  /** Routes from it die with it, and with a link's last one all routes of the link. */
  #addressGone({ ifindex, version, bytes }: Address): void {
    this.#uses(ifindex)
    if (version === 6) return
    const last = !this.#addresses.hasIpv4(ifindex)
    const lost = !this.#addresses.has(bytes)
    this.#infer(
      (route) =>
        route.version === 4 &&
        ((lost && route.prefsrc !== undefined && sameBytes(route.prefsrc, bytes)) ||
          (last && route.nexthops.length > 0 && route.nexthops.every((hop) => hop.oif === ifindex))),
    )
  }

  #nexthopNews(message: NetlinkMessage): void {
    const object = parseNexthop(message)
    if (!object) return
    if (message.type === RTM_DELNEXTHOP) {
      this.#dropNexthops(new Set([object.id]))
      this.#resync.confirm([this.#nexthopTable, ...this.#routeTables])
    } else this.#setNexthop(object)
  }

  #setNexthop(object: NextHopObject): void {
    this.#heardNexthops.add(object.id)
    this.nexthops.set(object.id, object)
    this.#usesObjects(new Set([object.id]))
  }

  #usesObjects(ids: ReadonlySet<number>): void {
    const uses = (id: number): boolean =>
      ids.has(id) || (this.nexthops.get(id)?.group?.some((member) => ids.has(member.id)) ?? false)
    this.#routesChanged((route) => route.nexthopId !== 0 && uses(route.nexthopId))
  }

  /** Objects, then groups that are left without members, then routes. */
  #dropNexthops(ids: Set<number>): void {
    if (ids.size === 0) return
    this.#usesObjects(ids)
    for (const id of ids) this.nexthops.delete(id)
    for (const [id, object] of this.nexthops) {
      if (!object.group?.some((member) => ids.has(member.id))) continue
      const group = object.group.filter((member) => !ids.has(member.id))
      if (group.length > 0) this.nexthops.set(id, { ...object, group })
      else {
        ids.add(id)
        this.nexthops.delete(id)
      }
    }
    this.#infer((route) => ids.has(route.nexthopId))
  }

  /** Removes what the kernel has removed without a word. */
  #infer(gone: (route: Route) => boolean): void {
    for (const entry of [...this.routes.entries()].filter(({ route }) => gone(route))) {
      this.counters.inferred++
      this.routes.remove(entry)
      this.#routeChanged(entry.route)
    }
  }

  /** Answers through a link may be different: its state or its addresses are. */
  #uses(ifindex: number): void {
    const objects = new Set<number>()
    for (const object of this.nexthops.values()) if (object.oif === ifindex) objects.add(object.id)
    this.#routesChanged(
      (route) =>
        route.nexthops.some((hop) => hop.oif === ifindex) ||
        (route.nexthopId !== 0 &&
          (objects.has(route.nexthopId) ||
            (this.nexthops.get(route.nexthopId)?.group?.some((member) => objects.has(member.id)) ?? false))),
    )
  }

  #linkEvent(event: LinkEvent): void {
    const { link } = event
    if (event.type === 'added') return
    if (event.type === 'changed' && this.#renamed(link, event.previous)) this.#changed({ type: 'all' })
    this.#uses(link.ifindex)
    const up = event.type === 'changed' && link.up
    if (event.type === 'changed' && link.up === event.previous.up && link.carrier === event.previous.carrier) return
    if (!up || !link.carrier) {
      // Objects do not outlive even the loss of carrier.
      const lost = [...this.nexthops.values()].filter((object) => object.oif === link.ifindex)
      this.#dropNexthops(new Set(lost.map((object) => object.id)))
    }
    if (!up)
      this.#infer(
        ({ version, scope, nexthopId, nexthops }) =>
          version === 4 &&
          nexthopId === 0 &&
          (scope !== 254 || event.type === 'removed') &&
          nexthops.length > 0 &&
          nexthops.every((hop) => !this.#namespace.links.link(hop.oif)?.up),
      )
    this.#resync.confirm([this.#nexthopTable, this.#addressTable, ...this.#routeTables])
  }

  /** Rules name links. */
  #renamed(link: Link, previous: Link): boolean {
    return link.name !== previous.name
  }

  #routeDump(version: 4 | 6): DumpedTable {
    return {
      type: RTM_GETROUTE,
      payload: () => routeDumpPayload(version),
      part: (message) =>
        this.#read(() => {
          if (!isRouteMessage(message)) return
          const route = parseRoute(message)
          if (this.routes.listed(route, this.#routeEpoch[version]) === 'changed') this.#routeChanged(route)
        }),
      begin: () => {
        this.#routeEpoch[version]++
      },
      sweep: () => {
        const epoch = this.#routeEpoch[version]
        for (const entry of [...this.routes.entries(version)].filter((one) => one.epoch !== epoch)) {
          this.routes.remove(entry)
          this.#routeChanged(entry.route)
        }
      },
    }
  }

  #ruleDump(version: 4 | 6): DumpedTable {
    const list = this.rules[version]
    return {
      type: RTM_GETRULE,
      payload: () => ruleDumpPayload(version),
      part: (message) =>
        this.#read(() => {
          if (list.listed(parseRule(message))) this.#changed({ type: 'all' })
        }),
      begin: () => {
        list.epoch++
      },
      sweep: () => {
        if (list.sweep()) this.#changed({ type: 'all' })
      },
    }
  }

  #addressDump(): DumpedTable {
    return {
      type: RTM_GETADDR,
      payload: addressDumpPayload,
      part: (message) =>
        this.#read(() => {
          if (!isAddressMessage(message)) return
          const address = parseAddress(message)
          if (this.#addresses.listed(address)) this.#uses(address.ifindex)
        }),
      begin: () => {
        this.#addresses.epoch++
      },
      sweep: () => {
        for (const address of this.#addresses.sweep()) this.#addressGone(address)
      },
    }
  }

  #nexthopDump(): DumpedTable {
    return {
      type: RTM_GETNEXTHOP,
      payload: nexthopDumpPayload,
      part: (message) =>
        this.#read(() => {
          const object = parseNexthop(message)
          if (!object) return
          const old = this.nexthops.get(object.id)
          if (JSON.stringify(old) === JSON.stringify(object)) this.#heardNexthops.add(object.id)
          else this.#setNexthop(object)
        }),
      begin: () => {
        this.#heardNexthops = new Set()
      },
      sweep: () => {
        this.#dropNexthops(new Set([...this.nexthops.keys()].filter((id) => !this.#heardNexthops.has(id))))
      },
    }
  }
}
