/**
 * The IPv6 routes of one prefix in the order of the kernel: by source prefix, then metric; among those of one metric as they were added. A set of next hops is
 * as many routes there, in places of their own, told as one message; so they are entries of their own here.
 *
 * What a dump cannot say: it goes from the first member of a set on behind the last one, past what stands between them. Such routes are believed to be there
 * still.
 */
import type { Route } from '../netlink/route.ts'
import {
  type Applied,
  joins,
  type RouteEntry,
  type RunOwner,
  sameAttributes,
  sameHop,
  sameState,
} from './route-entry.ts'
import { NLM_F_REPLACE } from './run-ipv4.ts'

const compare = (a: Route, b: Route): number =>
  (b.from?.length ?? 0) - (a.from?.length ?? 0) ||
  (a.from ? order(a.from.bytes, b.from!.bytes) : 0) ||
  a.priority - b.priority

const order = (a: Uint8Array, b: Uint8Array): number => Buffer.compare(a, b)

/** One for each next hop of its own; those of an object are told only for old readers. */
const singles = (route: Route): readonly Route[] =>
  route.nexthopId !== 0 || route.nexthops.length < 2
    ? [route]
    : route.nexthops.map((hop) => ({ ...route, nexthops: [hop] }))

/** The kernel keeps one route a next hop in a set, whatever else is said about it. */
const same = (a: Route, b: Route): boolean => {
  if (compare(a, b) !== 0 || joins(a) !== joins(b)) return false
  if (joins(a)) return sameHop(a.nexthops[0]!, b.nexthops[0]!)
  if (!sameAttributes(a, b)) return false
  if (a.nexthopId !== 0) return true
  return a.nexthops.length === b.nexthops.length && a.nexthops.every((hop, i) => sameHop(hop, b.nexthops[i]!))
}

const find = (run: readonly RouteEntry[], route: Route, from = 0): number => {
  for (let i = from; i < run.length; i++) if (same(run[i]!.route, route)) return i
  return -1
}

const end = (run: readonly RouteEntry[], route: Route): number => {
  let to = 0
  while (to < run.length && compare(run[to]!.route, route) <= 0) to++
  return to
}

const refresh = (owner: RunOwner, entry: RouteEntry, route: Route, epoch: number): Applied => {
  entry.epoch = epoch
  if (sameState(entry.route, route)) return 'same'
  // Of a set only the first one's own source and protocol are told.
  owner.become(entry, { ...entry.route, preference: route.preference, nexthops: route.nexthops })
  return 'changed'
}

/** A part of a dump. */
export const listIpv6 = (run: RouteEntry[], owner: RunOwner, message: Route, epoch: number): Applied => {
  let applied: Applied = 'same'
  let cursor = 0
  while (cursor < run.length && compare(run[cursor]!.route, message) < 0) cursor++
  for (let i = cursor; i < run.length && compare(run[i]!.route, message) === 0; i++)
    if (run[i]!.listed === epoch) cursor = i + 1
  for (const [i, route] of singles(message).entries()) {
    const at = find(run, route, cursor)
    const old = run[at]
    if (!old) {
      const entry = owner.make(route, epoch)
      entry.listed = epoch
      run.splice(cursor++, 0, entry)
      applied = 'changed'
      continue
    }
    const passed = run.slice(cursor, at)
    if (i > 0 && passed.every(({ route: other }) => !joins(other))) for (const entry of passed) entry.epoch = epoch
    else if (at > cursor) {
      run.splice(at, 1)
      run.splice(cursor, 0, old)
      applied = 'changed'
    }
    old.listed = epoch
    if (refresh(owner, old, route, epoch) === 'changed') applied = 'changed'
    cursor = run.indexOf(old) + 1
  }
  return applied
}

/** News of a new or changed route, or set. `flags`: those of the message. */
export const addIpv6 = (run: RouteEntry[], owner: RunOwner, message: Route, flags: number, epoch: number): Applied => {
  const news = singles(message)
  if ((flags & NLM_F_REPLACE) !== 0) {
    const applied = replace(run, owner, news, epoch)
    if (applied !== undefined) return applied
  }
  let applied: Applied = 'same'
  for (const route of news) {
    const present = run[find(run, route)]
    if (present) {
      if (refresh(owner, present, route, epoch) === 'changed') applied = 'changed'
      continue
    }
    run.splice(end(run, route), 0, owner.make(route, epoch))
    applied = 'changed'
  }
  return applied
}

/**
 * The first of its metric that is as fit for a set as the new route is goes, or else the first of its metric; with a member goes its set. Undefined: there
 * is nothing to replace.
 */
const replace = (run: RouteEntry[], owner: RunOwner, news: readonly Route[], epoch: number): Applied | undefined => {
  const [first, ...others] = news as [Route, ...Route[]]
  const equals = run.filter(({ route }) => compare(route, first) === 0)
  const victim = equals.find(({ route }) => joins(route) === joins(first)) ?? equals[0]
  if (!victim) return undefined
  // The same words tell that an object, or a router's advertisement, has changed behind a route, wherever it stands.
  if (!joins(first) && !same(victim.route, first) && find(run, first) >= 0) return 'doubt'
  let applied: Applied = same(victim.route, first) ? 'same' : 'changed'
  if (joins(victim.route))
    for (const entry of equals) {
      if (entry === victim || !joins(entry.route)) continue
      owner.drop(entry)
      run.splice(run.indexOf(entry), 1)
      applied = 'changed'
    }
  if (!sameState(victim.route, first)) applied = 'changed'
  owner.become(victim, first)
  victim.epoch = epoch
  for (const route of others) {
    run.splice(end(run, route), 0, owner.make(route, epoch))
    applied = 'changed'
  }
  return applied
}

/** A route or a set as a whole, or one member of it. */
export const deleteIpv6 = (run: RouteEntry[], owner: RunOwner, message: Route): Applied => {
  let applied: Applied = 'changed'
  for (const route of singles(message)) {
    const at = find(run, route)
    if (at < 0) {
      applied = 'doubt'
      continue
    }
    owner.drop(run[at]!)
    run.splice(at, 1)
  }
  return applied
}

/** As the kernel would tell them: members of a set together, where the first one stands. */
export const mergeIpv6 = (run: readonly RouteEntry[]): Route[] => {
  const out: Route[] = []
  const sets = new Map<Route, NonNullable<Route['nexthops'][number]>[]>()
  for (const { route } of run) {
    const head = joins(route) ? [...sets.keys()].find((other) => compare(other, route) === 0) : undefined
    if (head) sets.get(head)!.push(...route.nexthops)
    else {
      if (joins(route)) sets.set(route, [...route.nexthops])
      out.push(route)
    }
  }
  return out.map((route) => {
    const nexthops = sets.get(route)
    return nexthops && nexthops.length > 1 ? { ...route, nexthops } : route
  })
}
