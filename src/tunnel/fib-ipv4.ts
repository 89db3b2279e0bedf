/** One IPv4 table (net/ipv4/fib_trie.c, fib_semantics.c). */
import { sameAddress } from '../flow/address.ts'
import { NUD_INCOMPLETE, NUD_REACHABLE, NUD_VALID } from '../netlink/neighbour.ts'
import { type NextHop, type Route, RTNH_F_DEAD } from '../netlink/route.ts'
import { IPV4_TOS_MASK } from '../netlink/rule.ts'
import type { FibQuery, NoRoute } from './fib-contract.ts'
import { alive, type FibState, goodOf, hopsOf, REFUSALS, type Refusal, type Taken } from './fib-state.ts'
import type { RouteEntry } from './route-entry.ts'

const suits = (route: Route, query: FibQuery): boolean =>
  route.tos === 0 || route.tos === ((query.tos ?? 0) & IPV4_TOS_MASK)

/** Undefined: look on in the next rule's table. */
export const inIpv4Table = (state: FibState, table: number, query: FibQuery): Taken | Refusal | undefined => {
  let passed: Uint8Array | undefined
  for (const run of state.routes.covering(4, table, query.dst)) {
    for (const { route } of run) {
      if (passed && sameAddress(passed, route.dst)) break
      if (!suits(route, query)) continue
      if (route.type === 'throw') return undefined
      if (REFUSALS.has(route.type)) return { refusal: route.type as NoRoute }
      const hops = hopsOf(state, route)
      if (hops === 'blackhole') return { refusal: 'blackhole' }
      const usable = hops.filter((hop) => alive(state, route, hop) && (query.oif ?? hop.oif) === hop.oif)
      if (usable.length === 0) {
        // The kernel keeps prefixes that begin alike together, and an object that does not fit makes it pass by all the shorter ones of them.
        if (route.nexthopId !== 0 && hops.length > 0) passed = route.dst
        continue
      }
      // Bound to a link, the first there is taken, and no set.
      if (query.oif !== undefined) return { route, ways: [{ route, hop: usable[0]! }] }
      if (route.length === 0 && hops.length === 1 && query.iif === undefined && route.type === 'unicast')
        return amongDefaults(state, run, route, usable[0]!, query)
      const ways = (route.nexthopId === 0 ? usable : goodOf(state, usable)).map((hop) => ({ route, hop }))
      return { route, ways }
    }
  }
  return undefined
}

/**
 * Several default routes: the first whose neighbour may be sent to, of those of the metric and TOS that won; but where none is certain to be alive, it
 * depends on which one the kernel took last.
 */
const amongDefaults = (
  state: FibState,
  run: readonly RouteEntry[],
  route: Route,
  hop: NextHop,
  query: FibQuery,
): Taken => {
  const candidates = run.length > 1 ? defaults(state, run, route, query) : []
  if (candidates.length < 2) return { route, ways: [{ route, hop }] }
  const taken = new Set<number>()
  if (state.neighbour) {
    const nuds = candidates.map(({ hop: { oif, via } }) => state.neighbour!(oif, via!))
    for (let last = -1; last < candidates.length; last++) taken.add(pick(nuds, last))
  } else for (const i of candidates.keys()) taken.add(i)
  const [first, ...others] = [...taken].map((i) => candidates[i]!)
  return { route: first!.route, ways: [first!], ...(others.length > 0 ? { alternatives: others } : {}) }
}

/** Those with a gateway that stand for the first one. */
const defaults = (
  state: FibState,
  run: readonly RouteEntry[],
  winner: Route,
  query: FibQuery,
): { readonly route: Route; readonly hop: NextHop }[] => {
  const out: { readonly route: Route; readonly hop: NextHop }[] = []
  let { priority } = winner
  let tos = 0
  for (const { route } of run) {
    if (!suits(route, query)) continue
    if (route.priority > priority && route.tos === tos) {
      if (tos !== 0) continue
      break
    }
    const hops = hopsOf(state, route)
    if (
      route.nexthopId === 0 &&
      hops !== 'blackhole' &&
      hops.length > 0 &&
      hops.every((hop) => (hop.flags & RTNH_F_DEAD) !== 0)
    )
      continue
    ;({ tos, priority } = route)
    const hop = hops === 'blackhole' ? undefined : hops[0]
    if (route.scope !== winner.scope || route.type !== 'unicast' || !hop?.via) continue
    if (out.length === 0 && route !== winner) break
    out.push({ route, hop })
  }
  return out
}

/** By the states of their neighbours, and which one was taken last. */
const pick = (nuds: readonly (number | undefined)[], last: number): number => {
  let resort = -1
  for (const [i, nud] of nuds.entries()) {
    if (nud === undefined || nud === NUD_REACHABLE) return i
    const valid = (nud & NUD_VALID) !== 0
    if (valid && i !== last) return i
    if (valid || (resort < 0 && i > last && nud !== NUD_INCOMPLETE)) resort = i
  }
  return Math.max(resort, 0)
}
