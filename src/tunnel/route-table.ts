/** All routes of one namespace: a trie for each table and version, in whose nodes the routes of a prefix stand in the order in which the kernel tries them. */
import type { NextHop, Route } from '../netlink/route.ts'
import { insert, type Ordered } from './ordered-run.ts'
import { PrefixTrie } from './prefix-trie.ts'

const NLM_F_REPLACE = 0x100
const NLM_F_APPEND = 0x800

export interface RouteEntry extends Ordered {
  route: Route
}

/** 'gone': the kernel deleted what we do not have as it says. */
export type Applied = 'same' | 'changed' | 'gone'

const hex = (bytes: Uint8Array | undefined): string => (bytes ? Buffer.from(bytes).toString('hex') : '')
const hopId = (hop: NextHop): string => `${hop.oif}.${hex(hop.via)}.${hop.weight}`

/** With a next-hop object the hops are the object's, and may be left out of the message. The kernel begins IPv6 sets with any of their members. */
const idOf = (route: Route): string => {
  const hops = route.nexthopId === 0 ? route.nexthops.map(hopId) : []
  if (route.version === 6) hops.sort()
  const from = route.from ? `${hex(route.from.bytes)}/${route.from.length}` : ''
  return `${route.tos} ${route.priority} ${route.type} ${route.scope} ${route.protocol} ${hex(route.prefsrc)} ${from} ${route.nexthopId} ${hops}`
}

const compare = ({ route: a }: RouteEntry, { route: b }: RouteEntry): number =>
  (b.from?.length ?? 0) - (a.from?.length ?? 0) || b.tos - a.tos || a.priority - b.priority

const flagsOf = (route: Route): string => route.nexthops.map((hop) => hop.flags).join()

/** A route that the kernel joins with others of its metric to one set. */
const joins = (route: Route): boolean =>
  route.version === 6 && route.nexthopId === 0 && route.nexthops.length > 0 && route.nexthops.every((hop) => hop.via)

export class RouteTable {
  /** Routes. */
  size = 0
  readonly #tries = new Map<string, PrefixTrie<RouteEntry[]>>()

  /** What covers `address` in a table, longest prefix first, each in order. */
  covering(version: 4 | 6, table: number, address: Uint8Array): RouteEntry[][] {
    return this.#tries.get(`${version} ${table}`)?.covering(address) ?? []
  }

  *entries(version?: 4 | 6): Generator<RouteEntry> {
    for (const [key, trie] of this.#tries)
      if (version === undefined || key.startsWith(`${version} `)) for (const run of trie.values()) yield* run
  }

  /** A part of a dump. */
  listed(route: Route, epoch: number): Applied {
    const run = this.#run(route)
    const id = idOf(route)
    const at = run.findIndex((entry) => entry.id === id)
    const old = at < 0 ? undefined : run.splice(at, 1)[0]
    const entry: RouteEntry = { id, epoch, route }
    insert(run, entry, 'listed', compare)
    if (!old) this.size++
    return old && run.indexOf(entry) === at && flagsOf(old.route) === flagsOf(route) ? 'same' : 'changed'
  }

  /** News of a new or changed route. `flags`: those of the message, which say where it stands. */
  added(route: Route, flags: number, epoch: number): Applied {
    const run = this.#run(route)
    const entry: RouteEntry = { id: idOf(route), epoch, route }
    const present = run.find((other) => other.id === entry.id)
    if (present) {
      present.epoch = epoch
      const same = flagsOf(present.route) === flagsOf(route)
      present.route = route
      return same ? 'same' : 'changed'
    }
    const equals = run.filter((other) => compare(other, entry) === 0)
    const replaced = this.#replaced(equals, entry, (flags & NLM_F_REPLACE) !== 0)
    const [first, ...others] = replaced
    if (first) {
      run[run.indexOf(first)] = entry
      for (const other of others) run.splice(run.indexOf(other), 1)
      this.size -= others.length
      return 'changed'
    }
    insert(run, entry, route.version === 6 || (flags & NLM_F_APPEND) !== 0 ? 'last' : 'first', compare)
    this.size++
    return 'changed'
  }

  deleted(route: Route): Applied {
    const run = this.#run(route)
    const id = idOf(route)
    const at = run.findIndex((entry) => entry.id === id)
    const entry = run[at]
    if (entry) {
      this.remove(entry)
      return 'changed'
    }
    const applied = this.#leaves(run, route) ? 'changed' : 'gone'
    this.#prune(route, run)
    return applied
  }

  remove(entry: RouteEntry): void {
    const { route } = entry
    const run = this.#run(route)
    const at = run.indexOf(entry)
    if (at >= 0) {
      run.splice(at, 1)
      this.size--
    }
    this.#prune(route, run)
  }

  #replaced(equals: RouteEntry[], { route }: RouteEntry, replace: boolean): RouteEntry[] {
    if (route.version === 4) return replace ? equals.slice(0, 1) : []
    if (!joins(route)) return replace ? equals.slice(0, 1) : []
    // A set is told whole whenever a member joins it.
    const joined = equals.filter((entry) => joins(entry.route))
    return replace && joined.length === 0 ? equals.slice(0, 1) : joined
  }

  /** IPv6: members leave a set one by one. */
  #leaves(run: RouteEntry[], route: Route): boolean {
    const leaving = new Set(route.nexthops.map(hopId))
    const from = run.findIndex(
      (entry) =>
        joins(entry.route) &&
        entry.route.priority === route.priority &&
        entry.route.nexthops.some((h) => leaving.has(hopId(h))),
    )
    const entry = run[from]
    if (!entry) return false
    const nexthops = entry.route.nexthops.filter((hop) => !leaving.has(hopId(hop)))
    if (nexthops.length === 0) {
      run.splice(from, 1)
      this.size--
    } else {
      const rest = { ...entry.route, nexthops }
      run[from] = { id: idOf(rest), epoch: entry.epoch, route: rest }
    }
    return true
  }

  #run({ version, table, dst, length }: Route): RouteEntry[] {
    const key = `${version} ${table}`
    let trie = this.#tries.get(key)
    if (!trie) {
      trie = new PrefixTrie()
      this.#tries.set(key, trie)
    }
    let run = trie.get(dst, length)
    if (!run) {
      run = []
      trie.set(dst, length, run)
    }
    return run
  }

  #prune({ version, table, dst, length }: Route, run: RouteEntry[]): void {
    if (run.length === 0) this.#tries.get(`${version} ${table}`)?.delete(dst, length)
  }
}
