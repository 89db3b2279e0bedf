/**
 * The IPv4 routes of one prefix in the order in which the kernel tries them: by TOS, then metric; among equals as they were added. News say where a
 * newcomer stands; a dump lists all in order, so that what it lists goes behind what it has listed before.
 */
import type { Route } from '../netlink/route.ts'
import { type Applied, type RouteEntry, type RunOwner, sameAttributes, sameHop, sameState } from './route-entry.ts'

/** Flags of a NEWROUTE. */
export const NLM_F_REPLACE = 0x100
export const NLM_F_APPEND = 0x800

const compare = (a: Route, b: Route): number => b.tos - a.tos || a.priority - b.priority

const same = (a: Route, b: Route): boolean =>
  sameAttributes(a, b) &&
  (a.nexthopId !== 0 ||
    (a.nexthops.length === b.nexthops.length &&
      a.nexthops.every((hop, i) => sameHop(hop, b.nexthops[i]!) && hop.weight === b.nexthops[i]!.weight)))

/** Where the equals of `route` begin and end. */
const equals = (run: readonly RouteEntry[], route: Route): { readonly from: number; readonly to: number } => {
  let from = 0
  while (from < run.length && compare(run[from]!.route, route) < 0) from++
  let to = from
  while (to < run.length && compare(run[to]!.route, route) === 0) to++
  return { from, to }
}

const find = (run: readonly RouteEntry[], route: Route): number => run.findIndex((entry) => same(entry.route, route))

/** A part of a dump. */
export const listIpv4 = (run: RouteEntry[], owner: RunOwner, route: Route, epoch: number): Applied => {
  const at = find(run, route)
  const old = run[at]
  if (old) run.splice(at, 1)
  let { from: place, to } = equals(run, route)
  for (let i = place; i < to; i++) if (run[i]!.listed === epoch) place = i + 1
  const entry = old ?? owner.make(route, epoch)
  run.splice(place, 0, entry)
  entry.epoch = epoch
  entry.listed = epoch
  if (!old) return 'changed'
  const changed = !sameState(old.route, route)
  if (changed) owner.become(entry, route)
  return changed || place !== at ? 'changed' : 'same'
}

/** News of a new or changed route. `flags`: those of the message. */
export const addIpv4 = (run: RouteEntry[], owner: RunOwner, route: Route, flags: number, epoch: number): Applied => {
  const present = run[find(run, route)]
  if (present) {
    present.epoch = epoch
    if (sameState(present.route, route)) return 'same'
    owner.become(present, route)
    return 'changed'
  }
  const { from, to } = equals(run, route)
  const entry = owner.make(route, epoch)
  if ((flags & NLM_F_REPLACE) !== 0 && from < to) {
    owner.drop(run[from]!)
    run[from] = entry
  } else run.splice((flags & NLM_F_APPEND) !== 0 ? to : from, 0, entry)
  return 'changed'
}

export const deleteIpv4 = (run: RouteEntry[], owner: RunOwner, route: Route): Applied => {
  const at = find(run, route)
  if (at < 0) return 'doubt'
  owner.drop(run[at]!)
  run.splice(at, 1)
  return 'changed'
}
