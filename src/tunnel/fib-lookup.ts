/**
 * Which way a packet goes, as `ip route get` says it: policy rules, then the tables that they name (fib-ipv4.ts, fib-ipv6.ts), then the source address
 * (fib-source.ts). What depends on more than links, addresses, rules, routes and, if they are at hand, neighbours is left out: whether an interface may
 * receive the source (rp_filter), `ignore_routes_with_linkdown`, VRFs, and that IPv4's local and main tables are one before the first rule is made, which
 * matters only to who gives the local table more than addresses; nor that the kernel, asking for the prefix that an IPv6 rule is to hold back, may take one route for
 * another of the same next-hop object.
 */
import { RT_TABLE_LOCAL } from '../netlink/route.ts'
import { DSCP_MASK, type Range, type Rule, type RulePrefix } from '../netlink/rule.ts'
import type { FibMember, FibQuery, FibResult, NoRoute } from './fib-contract.ts'
import { inIpv4Table } from './fib-ipv4.ts'
import { inIpv6Table } from './fib-ipv6.ts'
import { sourceIpv4, sourceIpv6 } from './fib-source.ts'
import { type FibState, LOOPBACK, type Taken, type Way } from './fib-state.ts'
import { covers } from './prefix-trie.ts'

export type { FibState } from './fib-state.ts'

const SCOPE_LINK = 253

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
    (rule.tos === undefined || rule.tos === ((query.tos ?? 0) & rule.tosMask & DSCP_MASK)) &&
    (rule.ipProto === undefined || rule.ipProto === query.ipProto) &&
    inRange(rule.sport, query.sport ?? -1) &&
    inRange(rule.dport, query.dport ?? -1)
  return fits !== rule.invert
}

const byRules = (state: FibState, version: 4 | 6, query: FibQuery): Taken | NoRoute => {
  const inTable = version === 4 ? inIpv4Table : inIpv6Table
  let target: number | undefined
  for (const rule of state.rules[version]) {
    if (target !== undefined && rule.priority !== target) continue
    target = undefined
    if (!matches(state, rule, query) || rule.action === 'nop') continue
    if (rule.action === 'goto') {
      // Without its target it does nothing (ip-rule(8): unresolved).
      for (const other of state.rules[version]) if (other.priority === rule.target) target = rule.target
      continue
    }
    if (rule.action !== 'table') return rule.action
    const outcome = inTable(state, rule.table, query)
    if (outcome === undefined) continue
    // Only what leads somewhere is held back.
    if ('refusal' in outcome) return outcome.refusal
    if (outcome.route.length <= rule.suppressLength) continue
    return outcome
  }
  return 'no-route'
}

/** A packet of the host has an address of the host. */
const isLocal = (state: FibState, bytes: Uint8Array): boolean =>
  state.addresses.has(bytes) ||
  state.routes.covering(4, RT_TABLE_LOCAL, bytes).some((run) => run.some(({ route }) => route.type === 'local'))

const memberOf = (state: FibState, { route, hop, sourceLink }: Way, query: FibQuery): FibMember => {
  const local =
    route.type === 'local' || route.type === 'anycast' || (route.type === 'broadcast' && query.iif !== undefined)
  const own = route.prefsrc ?? (route.type === 'local' && route.version === 4 ? query.dst : undefined)
  const { byLink } = state.addresses
  const src =
    query.src ??
    own ??
    (route.version === 4
      ? sourceIpv4(byLink, hop.oif, hop.via?.length === 4 ? hop.via : undefined, route.scope)
      : sourceIpv6(byLink, sourceLink ?? hop.oif, query.dst))
  return {
    oif: local ? LOOPBACK : hop.oif,
    weight: hop.weight,
    ...(hop.via ? { via: hop.via } : {}),
    ...(src ? { src } : {}),
  }
}

const found = (state: FibState, { route, ways, alternatives }: Taken, query: FibQuery): FibResult => {
  const members = ways.map((way) => memberOf(state, way, query))
  const { table, dst, length, type } = route
  const [first] = members as [FibMember]
  return {
    type: 'found',
    routeType: type,
    dev: state.link(first.oif)?.name ?? '',
    ...first,
    table,
    prefix: { bytes: dst, length },
    ...(route.mtu === undefined ? {} : { mtu: route.mtu }),
    ...(members.length > 1 ? { multipath: members } : {}),
    ...(alternatives ? { alternatives: alternatives.map((way) => memberOf(state, way, query)) } : {}),
  }
}

/** What IPv4 does when it was told the link but has no route there. */
const onLink = (state: FibState, oif: number, query: FibQuery): FibResult => {
  const src = query.src ?? sourceIpv4(state.addresses.byLink, oif, undefined, SCOPE_LINK)
  return {
    type: 'found',
    routeType: 'unicast',
    dev: state.link(oif)?.name ?? '',
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
  if (version === 4 && src && iif === undefined && !isLocal(state, src)) return none('not-local')
  const taken = byRules(state, version, query)
  if (typeof taken === 'object') return found(state, taken, query)
  if (version === 4 && oif !== undefined && iif === undefined) return onLink(state, oif, query)
  return none(taken)
}
