/** One IPv6 table (net/ipv6/route.c). The kernel scores the next hops of a prefix, and takes the first of the best. */
import { NUD_FAILED } from '../netlink/neighbour.ts'
import type { NextHop, Route } from '../netlink/route.ts'
import type { FibQuery, NoRoute } from './fib-contract.ts'
import {
  alive,
  type FibState,
  goodOf,
  hopsOf,
  LOOPBACK,
  REFUSALS,
  type Refusal,
  type Taken,
  type Way,
} from './fib-state.ts'
import { covers } from './prefix-trie.ts'
import { joins, type RouteEntry, sameFrom, sameHop } from './route-entry.ts'

/** How hard the query is on next hops. */
interface Demands {
  /** Preferred link. */
  readonly oif: number | undefined
  /** No other link will do. */
  readonly bound: boolean
  /** No router that has failed will do. */
  readonly reachable: boolean
}

interface Match {
  readonly route: Route
  readonly hop: NextHop
  readonly blackhole?: true
}

const isLinkLocal = (a: Uint8Array): boolean => a[0] === 0xff || (a[0] === 0xfe && (a[1]! & 0xc0) === 0x80)

/** Undefined: look on in the next rule's table. */
export const inIpv6Table = (state: FibState, table: number, query: FibQuery): Taken | Refusal | undefined => {
  const oif = query.iif ?? query.oif
  const bound = query.iif === undefined && oif !== undefined && (!query.src || isLinkLocal(query.dst))
  const leaves = leavesOf(state, table, query)
  const strict = state.neighbour ? select(state, leaves, { oif, bound, reachable: true }, query) : undefined
  if (strict === 'throw') return undefined
  const lax = select(state, leaves, { oif, bound, reachable: false }, query)
  if (lax === 'throw') return strict
  if (!strict || !lax || !('ways' in strict) || !('ways' in lax)) return strict ?? lax
  const alternatives = lax.ways.filter(({ hop }) => !strict.ways.some((way) => sameHop(way.hop, hop)))
  return alternatives.length > 0 ? { ...strict, alternatives } : strict
}

/**
 * Longest prefix first; of one prefix, those with the longest source prefix first. Where a prefix has routes for some sources, none of which is ours, its routes for
 * all sources are passed by too; but not once a longer prefix has been looked into, and not those of the prefix of all. (After deletions the kernel may pass by
 * more of such prefixes than this.)
 */
const leavesOf = (state: FibState, table: number, query: FibQuery): (readonly RouteEntry[])[] => {
  const leaves: (readonly RouteEntry[])[] = []
  for (const run of state.routes.covering(6, table, query.dst)) {
    const sourced = run[0]!.route.from !== undefined
    if (!sourced) {
      leaves.push(run)
      continue
    }
    const before = leaves.length
    for (let from = 0, to = 0; from < run.length; from = to) {
      const { route } = run[from]!
      while (to < run.length && sameFrom(run[to]!.route, route)) to++
      const fits = route.from
        ? query.src !== undefined && covers(route.from.bytes, route.from.length, query.src)
        : leaves.length > before || before > 0 || route.length === 0
      if (fits) leaves.push(run.slice(from, to))
    }
  }
  return leaves
}

const select = (
  state: FibState,
  leaves: readonly (readonly RouteEntry[])[],
  demands: Demands,
  query: FibQuery,
): Taken | Refusal | 'throw' | undefined => {
  for (const leaf of leaves) {
    const match = inLeaf(state, leaf, demands)
    if (!match) continue
    const { route } = match
    if (route.type === 'throw') return 'throw'
    if (match.blackhole) return { refusal: 'blackhole' }
    if (REFUSALS.has(route.type)) return { refusal: route.type as NoRoute }
    return { route, ways: waysOf(state, leaf, match, demands, query) }
  }
  return undefined
}

/** The best of the lowest metric, or else the best of all others, whatever their metrics. */
const inLeaf = (state: FibState, leaf: readonly RouteEntry[], demands: Demands): Match | undefined => {
  const lowest = leaf[0]?.route.priority
  let end = 0
  while (leaf[end]?.route.priority === lowest) end++
  return bestOf(state, leaf, 0, end, demands) ?? bestOf(state, leaf, end, leaf.length, demands)
}

const bestOf = (
  state: FibState,
  leaf: readonly RouteEntry[],
  from: number,
  to: number,
  demands: Demands,
): Match | undefined => {
  let best: Match | undefined
  let bestScore = -1
  for (let i = from; i < to; i++) {
    const { route } = leaf[i]!
    const hops = hopsOf(state, route)
    if (hops === 'blackhole') return { route, hop: { oif: LOOPBACK, weight: 1, flags: 0 }, blackhole: true }
    for (const hop of hops) {
      const score = scoreOf(state, route, hop, demands)
      if (score <= bestScore) continue
      best = { route, hop }
      bestScore = score
    }
  }
  return best
}

/** Refusals are routes through `lo` here. */
const isRefusal = (route: Route): boolean => route.type === 'throw' || REFUSALS.has(route.type)

/** Below zero: will not do. */
const scoreOf = (state: FibState, route: Route, hop: NextHop, { oif, bound, reachable }: Demands): number => {
  if (!isRefusal(route) && !alive(state, route, hop)) return -1
  const there = oif === undefined || hop.oif === oif
  if (!there && bound) return -1
  if (reachable && hop.via && ((state.neighbour?.(hop.oif, hop.via) ?? 0) & NUD_FAILED) !== 0) return -1
  return (route.preference + 2) * 4 + (there ? 2 : 0)
}

/** The set that the best one belongs to, if its link was not asked for by name. */
const waysOf = (
  state: FibState,
  leaf: readonly RouteEntry[],
  { route, hop }: Match,
  demands: Demands,
  query: FibQuery,
): readonly Way[] => {
  const exact = query.iif === undefined && query.oif === hop.oif
  if (route.nexthopId !== 0) {
    const hops = hopsOf(state, route) as readonly NextHop[]
    // The source is that of the first member, whichever is taken.
    const sourceLink = hops[0]!.oif
    return (exact ? [hop] : goodOf(state, hops)).map((one) => ({ route, hop: one, sourceLink }))
  }
  const own = { route, hop }
  if (!joins(route)) return [own]
  const set: Way[] = []
  for (const { route: other } of leaf) {
    const [first] = other.nexthops
    if (other.priority !== route.priority || !joins(other) || !first) continue
    if (other === route || scoreOf(state, other, first, demands) >= 0) set.push({ route: other, hop: first })
  }
  return set
}
