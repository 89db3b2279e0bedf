/**
 * Which way a packet goes, as `ip route get` says it: policy rules, longest prefix, metrics, next hops, source address. What depends on more than the
 * mirrored tables is left out: neighbours' states (IPv6 hosts avoid routers that have failed), and whether an interface may receive the source (rp_filter).
 */
import type { Address } from '../netlink/address.ts'
import type { Link } from '../netlink/link.ts'
import type { NextHopObject } from '../netlink/nexthop.ts'
import { type NextHop, type Route, type RouteType, RTNH_F_DEAD } from '../netlink/route.ts'
import type { Range, Rule, RulePrefix } from '../netlink/rule.ts'
import { type Addresses, sourceIpv4, sourceIpv6 } from './fib-source.ts'
import { covers, sameBytes } from './prefix-trie.ts'
import type { RouteTable } from './route-table.ts'

/** LOOPBACK_IFINDEX: the ingress of what the host sends itself, and the egress of what is for it. */
const LOOPBACK = 1
const SCOPE_LINK = 253
const SCOPE_HOST = 254

export interface FibQuery {
  /** 4 or 16 bytes. */
  readonly dst: Uint8Array
  readonly src?: Uint8Array
  /** Ifindex; absent: sent by the host. */
  readonly iif?: number
  /** Ifindex. */
  readonly oif?: number
  readonly mark?: number
  /** Byte; its two low bits do not count. */
  readonly tos?: number
  readonly ipProto?: number
  readonly sport?: number
  readonly dport?: number
}

export interface FibMember {
  /** Ifindex. */
  readonly oif: number
  /** The next hop, 4 or 16 bytes; absent: the destination is on link. */
  readonly via?: Uint8Array
  /** Absent: we have no address to send from. */
  readonly src?: Uint8Array
  readonly weight: number
}

export type FibResult =
  | (FibMember & {
      readonly type: 'found'
      readonly routeType: RouteType
      /** 0 where the kernel takes the destination as on link for want of a route, an `oif` being given. */
      readonly table: number
      readonly prefix: { readonly bytes: Uint8Array; readonly length: number }
      /** The set, when the route has several ways; the first one is spelled out above. */
      readonly multipath?: readonly FibMember[]
    })
  | { readonly type: 'none'; readonly why: NoRoute }

/** 'not-local': the source is no address of ours; 'no-link': there is no such link, or it is down. */
export type NoRoute = 'no-route' | 'unreachable' | 'blackhole' | 'prohibit' | 'not-local' | 'no-link'

/** What a look-up reads. */
export interface FibState {
  readonly routes: RouteTable
  /** In the order in which they are tried. */
  readonly rules: { readonly 4: Iterable<Rule>; readonly 6: Iterable<Rule> }
  readonly nexthops: ReadonlyMap<number, NextHopObject>
  readonly addresses: Addresses
  link(ifindex: number): Link | undefined
}

type Taken = { readonly route: Route; readonly hops: readonly NextHop[] }
type Refusal = { readonly error: NoRoute; readonly length: number }

const none = (why: NoRoute): FibResult => ({ type: 'none', why })
const inPrefix = (prefix: RulePrefix | undefined, address: Uint8Array | undefined): boolean =>
  prefix === undefined || prefix.length === 0 || (address !== undefined && covers(prefix.bytes, prefix.length, address))
const inRange = (range: Range | undefined, value: number): boolean =>
  range === undefined || (value >= range.from && value <= range.to)

const matches = (state: FibState, rule: Rule, query: FibQuery): boolean => {
  const named = (name: string | undefined, ifindex: number | undefined): boolean =>
    name === undefined || (ifindex !== undefined && state.link(ifindex)?.name === name)
  const fits =
    !rule.foreign &&
    named(rule.iif, query.iif ?? LOOPBACK) &&
    named(rule.oif, query.oif) &&
    (((query.mark ?? 0) ^ rule.mark) & rule.mask) === 0 &&
    inRange(rule.uid, 0) &&
    inPrefix(rule.from, query.src) &&
    inPrefix(rule.to, query.dst) &&
    (rule.tos === undefined || rule.tos === ((query.tos ?? 0) & 0xfc)) &&
    (rule.ipProto === undefined || rule.ipProto === query.ipProto) &&
    inRange(rule.sport, query.sport ?? -1) &&
    inRange(rule.dport, query.dport ?? -1)
  return fits !== rule.invert
}

/** The hops that the kernel may use; 'blackhole' for an object that says so. */
const hopsOf = (state: FibState, route: Route): readonly NextHop[] | 'blackhole' => {
  const alive = (hop: NextHop): boolean => {
    const link = state.link(hop.oif)
    // Local addresses of IPv4 outlive their link's going down; those of IPv6 may be given to a link that is down.
    return (
      (hop.flags & RTNH_F_DEAD) === 0 &&
      link !== undefined &&
      (link.up || (route.version === 4 ? route.scope === SCOPE_HOST : route.type === 'local'))
    )
  }
  if (route.nexthopId === 0) return route.nexthops.filter(alive)
  const object = state.nexthops.get(route.nexthopId)
  if (!object) return []
  const hops: NextHop[] = []
  for (const { id, weight } of object.group ?? [{ id: object.id, weight: 1 }]) {
    const member = state.nexthops.get(id)
    if (member?.blackhole) return 'blackhole'
    if (!member) continue
    const hop = { oif: member.oif, weight, flags: member.flags, ...(member.via ? { via: member.via } : {}) }
    if (alive(hop)) hops.push(hop)
  }
  return hops
}

const REFUSALS: ReadonlySet<RouteType> = new Set(['blackhole', 'unreachable', 'prohibit'])

/** One table. Undefined: look on in the next rule's. */
const inTable = (state: FibState, version: 4 | 6, table: number, query: FibQuery): Taken | Refusal | undefined => {
  const { oif } = query
  const insists = oif !== undefined && (version === 4 || !query.src)
  for (const run of state.routes.covering(version, table, query.dst)) {
    let second: { readonly priority: number; readonly outcome: Taken | Refusal | undefined } | undefined
    for (const { route } of run) {
      if (second && second.priority !== route.priority) break
      if (version === 4 && route.tos !== 0 && (route.tos & 0xfc) !== ((query.tos ?? 0) & 0xfc)) continue
      if (route.from && !(query.src && covers(route.from.bytes, route.from.length, query.src))) continue
      if (route.type === 'throw' || REFUSALS.has(route.type)) {
        // In IPv6 these are routes through lo: a packet bound to another link passes by, one that prefers another looks on.
        const refusal = route.type === 'throw' ? undefined : { error: route.type as NoRoute, length: route.length }
        if (version === 4 || oif === undefined || oif === LOOPBACK) return refusal
        if (!insists) second ??= { priority: route.priority, outcome: refusal }
        continue
      }
      const hops = hopsOf(state, route)
      if (hops === 'blackhole') return { error: 'blackhole', length: route.length }
      if (hops.length === 0) continue
      const there = oif === undefined ? hops : hops.filter((hop) => hop.oif === oif)
      // Having a source, IPv6 prefers a route of the given link among those of one metric, whole sets among them.
      if (there.length > 0) return { route, hops: insists ? there : hops }
      if (!insists) second ??= { priority: route.priority, outcome: { route, hops } }
    }
    if (second) return second.outcome
  }
  return undefined
}

const byRules = (state: FibState, version: 4 | 6, query: FibQuery): Taken | NoRoute => {
  let target: number | undefined
  const rules = [...state.rules[version]]
  for (const rule of rules) {
    if (target !== undefined && rule.priority !== target) continue
    target = undefined
    if (!matches(state, rule, query)) continue
    if (rule.action === 'nop') continue
    if (rule.action === 'goto') {
      // Without its target it does nothing (ip-rule(8): unresolved).
      if (rules.some((other) => other.priority === rule.target)) target = rule.target
      continue
    }
    if (rule.action !== 'table') return rule.action
    const outcome = inTable(state, version, rule.table, query)
    if (outcome === undefined) continue
    if ('error' in outcome) {
      // IPv6 holds even a refusal back; IPv4 only what leads somewhere.
      if (version === 6 && outcome.length <= rule.suppressLength) continue
      return outcome.error
    }
    if (outcome.route.length <= rule.suppressLength) continue
    return outcome
  }
  return 'no-route'
}

const isLocal = (addresses: Addresses, state: FibState, bytes: Uint8Array): boolean => {
  for (const list of addresses.values()) if (list.some((a: Address) => sameBytes(a.bytes, bytes))) return true
  return state.routes.covering(4, 255, bytes).some((run) => run.some(({ route }) => route.type === 'local'))
}

const memberOf = (state: FibState, { route }: Taken, hop: NextHop, query: FibQuery): FibMember => {
  const local = route.type === 'local' || route.type === 'anycast'
  const own = route.prefsrc ?? (route.type === 'local' && route.version === 4 ? query.dst : undefined)
  const src =
    query.src ??
    own ??
    (route.version === 4
      ? sourceIpv4(state.addresses, hop.oif, hop.via?.length === 4 ? hop.via : undefined, route.scope)
      : sourceIpv6(state.addresses, hop.oif, query.dst))
  return {
    oif: local ? LOOPBACK : hop.oif,
    weight: hop.weight,
    ...(hop.via ? { via: hop.via } : {}),
    ...(src ? { src } : {}),
  }
}

const found = (state: FibState, taken: Taken, query: FibQuery): FibResult => {
  const members = taken.hops.map((hop) => memberOf(state, taken, hop, query))
  const { table, dst, length, type } = taken.route
  return {
    type: 'found',
    routeType: type,
    ...members[0]!,
    table,
    prefix: { bytes: dst, length },
    ...(members.length > 1 ? { multipath: members } : {}),
  }
}

/** What IPv4 does when it was told the link but has no route there. */
const onLink = (state: FibState, oif: number, query: FibQuery): FibResult => {
  const src = query.src ?? sourceIpv4(state.addresses, oif, undefined, SCOPE_LINK)
  return {
    type: 'found',
    routeType: 'unicast',
    oif,
    weight: 1,
    table: 0,
    prefix: { bytes: query.dst, length: query.dst.length * 8 },
    ...(src ? { src } : {}),
  }
}

/** A value for every query; throws only a RangeError for addresses that are none. */
export const lookupRoute = (state: FibState, query: FibQuery): FibResult => {
  const { dst, src, iif, oif } = query
  if ((dst.length !== 4 && dst.length !== 16) || (src && src.length !== dst.length))
    throw new RangeError('addresses of 4 or of 16 bytes expected')
  const version = dst.length === 4 ? 4 : 6
  // In IPv6 an address of a link that is down can be reached all the same.
  if (version === 4 && oif !== undefined && !state.link(oif)?.up) return none('no-link')
  if (version === 4 && src && iif === undefined && !isLocal(state.addresses, state, src)) return none('not-local')
  const taken = byRules(state, version, query)
  if (typeof taken === 'object') return found(state, taken, query)
  if (version === 4 && oif !== undefined && iif === undefined) return onLink(state, oif, query)
  return none(taken)
}
