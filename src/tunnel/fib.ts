/**
 * The mirror of a namespace's forwarding: routes of all tables, policy rules, next-hop objects and addresses, IPv4 and IPv6, by the news of its one socket; links
 * are the namespace's. What it answers and tells: fib-contract.ts. How the kernel decides: fib-lookup.ts. Main thread.
 *
 * What the kernel changes without a message is changed here at once (fib-silent.ts) and confirmed by a dump; lost news are made good by dumps of everything,
 * during which news go on being applied (resync.ts).
 */
import type { Generation } from '../lib/generation.ts'
import {
  isAddressMessage,
  parseAddress,
  RTM_DELADDR,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV6_IFADDR,
} from '../netlink/address.ts'
import type { NetlinkMessage } from '../netlink/codec.ts'
import type { LinkEvent } from '../netlink/link-monitor.ts'
import type { Namespace } from '../netlink/namespace.ts'
import { isNexthopMessage, parseNexthop, RTM_DELNEXTHOP, RTNLGRP_NEXTHOP } from '../netlink/nexthop.ts'
import {
  isRouteMessage,
  parseRoute,
  type Route,
  RTM_DELROUTE,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_ROUTE,
} from '../netlink/route.ts'
import {
  isRuleMessage,
  parseRule,
  RTM_DELRULE,
  RTNLGRP_IPV4_RULE,
  RTNLGRP_IPV6_RULE,
  type Rule,
} from '../netlink/rule.ts'
import { systemTimers, type Timers } from '../netlink/transport.ts'
import { AddressList } from './address-list.ts'
import type { FibChange, FibQuery, FibResult } from './fib-contract.ts'
import { addressDump, type DumpedState, nexthopDump, routeDump, ruleDump } from './fib-dumps.ts'
import { FibListeners } from './fib-listeners.ts'
import { type FibState, lookupRoute } from './fib-lookup.ts'
import { addressCame, addressGone, linkDown, linkLost, linkUp, objectsChanged, objectsGone } from './fib-silent.ts'
import { NextHopTable } from './next-hop-table.ts'
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

export interface FibCounters {
  /** Changes told to the listeners. */
  events: number
  /** Messages that could not be read, skipped. */
  malformed: number
  /** Losses of news. */
  resyncs: number
  /** Routes removed without a message of the kernel. */
  inferred: number
  /** Changes that did not fit what we had, so that a dump was made. */
  doubts: number
  listenerErrors: number
}

export interface FibOptions {
  /** Hears of dumps that failed (and are made again) and listeners that threw. */
  readonly onError: (error: Error) => void
  readonly timers?: Timers
  /**
   * NUD_* of a neighbour, undefined for none. With it next hops that have failed are avoided as the kernel does. Without it they are taken to be
   * well, and among several IPv4 default routes all that the kernel may take are named. It is asked at look-ups only: its changes are for its owner to tell.
   */
  readonly neighbour?: (ifindex: number, address: Uint8Array) => number | undefined
}

export class Fib {
  readonly counters: FibCounters = { events: 0, malformed: 0, resyncs: 0, inferred: 0, doubts: 0, listenerErrors: 0 }
  /** Bumped with every change. */
  readonly generation: Generation
  readonly #namespace: Pick<Namespace, 'socket' | 'links' | 'attach'>
  readonly #listeners: FibListeners
  readonly #state: FibState & DumpedState
  readonly #resync: Resync
  readonly #tables: Readonly<
    Record<'nexthops' | 'addresses' | 'rules4' | 'rules6' | 'routes4' | 'routes6', DumpedTable>
  >
  readonly #ends: (() => void)[] = []

  constructor(namespace: Pick<Namespace, 'socket' | 'links' | 'attach'>, options: FibOptions) {
    this.#namespace = namespace
    this.#listeners = new FibListeners(this.counters, options.onError)
    this.generation = this.#listeners.generation
    const objects = new NextHopTable()
    const addresses = new AddressList()
    this.#state = {
      routes: new RouteTable(),
      rules: { 4: new RuleList(), 6: new RuleList() },
      objects,
      nexthops: objects.byId,
      addresses,
      listeners: this.#listeners,
      counters: this.counters,
      epochs: { 4: 0, 6: 0 },
      link: (ifindex) => namespace.links.link(ifindex),
      ...(options.neighbour ? { neighbour: options.neighbour } : {}),
      guard: (read) => this.#guard(read),
    }
    this.#tables = {
      nexthops: nexthopDump(this.#state),
      addresses: addressDump(this.#state),
      rules4: ruleDump(this.#state, 4),
      rules6: ruleDump(this.#state, 6),
      routes4: routeDump(this.#state, 4),
      routes6: routeDump(this.#state, 6),
    }
    this.#resync = new Resync(namespace.socket, options.timers ?? systemTimers, options.onError, () =>
      this.#listeners.resync(),
    )
  }

  /** Resolves when the mirror is complete. The namespace must have joined FIB_GROUPS. */
  async start(): Promise<void> {
    this.#ends.push(
      this.#namespace.attach(this),
      this.#namespace.links.on((event) => this.#linkEvent(event)),
    )
    await this.#resync.first(Object.values(this.#tables))
  }

  stop(): void {
    for (const end of this.#ends.splice(0)) end()
  }

  /** Which way a packet goes now. Throws only a RangeError for addresses that are none. */
  lookup(query: FibQuery): FibResult {
    return lookupRoute(this.#state, query)
  }

  /** Has `listener` called with each change, from within the event that caused it; it may look up and note, no more. Returns how to end that. */
  on(listener: (change: FibChange) => void): () => void {
    return this.#listeners.on(listener)
  }

  /** Resolves when no dump is under way or due. */
  settled(): Promise<void> {
    return this.#resync.settled()
  }

  /** Dumps made so far, of one table each. */
  get dumps(): number {
    return this.#resync.dumps
  }

  /** Routes, each member of an IPv6 set counted. */
  get size(): number {
    return this.#state.routes.size
  }

  /** By table, then by address, then in the order in which the kernel tries them; of one table if it is given. */
  routes(version: 4 | 6, table?: number): Iterable<Route> {
    return this.#state.routes.list(version, table)
  }

  /** In the order in which the kernel tries them. */
  rules(version: 4 | 6): Iterable<Rule> {
    return this.#state.rules[version]
  }

  get nexthops(): FibState['nexthops'] {
    return this.#state.nexthops
  }

  /** Addresses by ifindex. */
  get addresses(): FibState['addresses']['byLink'] {
    return this.#state.addresses.byLink
  }

  /** From the namespace. Never throws. */
  message(message: NetlinkMessage): void {
    this.#guard(() =>
      this.#listeners.during(() => {
        if (isRouteMessage(message)) this.#routeNews(message)
        else if (isAddressMessage(message)) this.#addressNews(message)
        else if (isNexthopMessage(message)) this.#nexthopNews(message)
        else if (isRuleMessage(message)) this.#ruleNews(message)
      }),
    )
  }

  /** From the namespace: news were lost. */
  overrun(): void {
    this.counters.resyncs++
    this.#resync.lost(Object.values(this.#tables))
  }

  /** From the namespace, which is gone. */
  clear(): void {
    const { routes, rules, objects, addresses } = this.#state
    routes.clear()
    rules[4].clear()
    rules[6].clear()
    objects.clear()
    addresses.clear()
    this.#listeners.resync()
  }

  #guard(read: () => void): void {
    try {
      read()
    } catch {
      this.counters.malformed++
    }
  }

  #routeNews(message: NetlinkMessage): void {
    const route = parseRoute(message)
    const { routes, epochs } = this.#state
    const applied =
      message.type === RTM_DELROUTE ? routes.deleted(route) : routes.added(route, message.flags, epochs[route.version])
    if (applied !== 'same') this.#listeners.route(route)
    if (applied !== 'doubt') return
    this.counters.doubts++
    this.#resync.confirm([this.#tables[`routes${route.version}`]])
  }

  #ruleNews(message: NetlinkMessage): void {
    const rule = parseRule(message)
    const list = this.#state.rules[rule.version]
    if (message.type === RTM_DELRULE ? list.deleted(rule) : list.added(rule)) this.#listeners.rules()
  }

  #addressNews(message: NetlinkMessage): void {
    const address = parseAddress(message)
    const { addresses } = this.#state
    if (message.type === RTM_DELADDR) {
      if (!addresses.deleted(address)) return
      this.#listeners.address(address)
      if (addressGone(this.#state, address)) this.#resync.confirm([this.#tables[`routes${address.version}`]])
      // Others of its subnet may go with it, or one of them take its place.
      if (address.version === 4) this.#resync.confirm([this.#tables.addresses])
    } else if (addresses.added(address)) {
      this.#listeners.address(address)
      const up = this.#namespace.links.link(address.ifindex)?.up ?? false
      if (up && addressCame(this.#state, address.ifindex)) this.#resync.confirm([this.#tables.routes4])
    }
  }

  #nexthopNews(message: NetlinkMessage): void {
    const object = parseNexthop(message)
    if (!object) return
    if (message.type !== RTM_DELNEXTHOP) {
      if (this.#state.objects.set(object)) objectsChanged(this.#state, [object.id])
    } else if (objectsGone(this.#state, [object.id])) this.#confirmLinkTables()
  }

  #linkEvent(event: LinkEvent): void {
    this.#listeners.during(() => {
      const { link } = event
      this.#listeners.link(link.ifindex)
      if (event.type === 'added') return
      if (event.type === 'removed') {
        if (linkDown(this.#state, link.ifindex, true)) this.#confirmLinkTables()
        return
      }
      const { previous } = event
      if (link.name !== previous.name && this.#named(link.name, previous.name)) this.#listeners.rules()
      let touched = false
      if (link.up !== previous.up)
        touched = link.up ? linkUp(this.#state, link.ifindex) : linkDown(this.#state, link.ifindex, false)
      if (previous.carrier && !link.carrier && linkLost(this.#state, link.ifindex)) touched = true
      if (touched) this.#confirmLinkTables()
    })
  }

  #confirmLinkTables(): void {
    const { nexthops, routes4, routes6 } = this.#tables
    this.#resync.confirm([nexthops, routes4, routes6])
  }

  /** Whether any rule names one of these links. */
  #named(...names: string[]): boolean {
    const is = (name: string | undefined): boolean => name !== undefined && names.includes(name)
    for (const list of [this.#state.rules[4], this.#state.rules[6]])
      for (const rule of list) if (is(rule.iif) || is(rule.oif)) return true
    return false
  }
}
