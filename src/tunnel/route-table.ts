/** All routes of one namespace: a trie for each table and version, whose values are the runs of routes of one prefix (run-ipv4.ts, run-ipv6.ts). */
import type { Route } from '../netlink/route.ts'
import { PrefixTrie } from './prefix-trie.ts'
import type { Applied, RouteEntry, RunOwner } from './route-entry.ts'
import { RouteIndex } from './route-index.ts'
import { addIpv4, deleteIpv4, listIpv4 } from './run-ipv4.ts'
import { addIpv6, deleteIpv6, listIpv6, mergeIpv6 } from './run-ipv6.ts'

const NOTHING: readonly (readonly RouteEntry[])[] = []

export class RouteTable {
  /** Entries; each member of an IPv6 set is one. */
  size = 0
  readonly index = new RouteIndex()
  readonly #tries = { 4: new Map<number, PrefixTrie<RouteEntry[]>>(), 6: new Map<number, PrefixTrie<RouteEntry[]>>() }
  readonly #owner: RunOwner = {
    make: (route, epoch) => {
      const entry = { route, epoch, listed: 0 }
      this.size++
      this.index.add(entry)
      return entry
    },
    become: (entry, route) => this.become(entry, route),
    drop: (entry) => {
      this.size--
      this.index.delete(entry)
    },
  }

  /** What covers `address` in a table, longest prefix first, each in the order in which the kernel tries them. */
  covering(version: 4 | 6, table: number, address: Uint8Array): readonly (readonly RouteEntry[])[] {
    return this.#tries[version].get(table)?.covering(address) ?? NOTHING
  }

  *entries(version?: 4 | 6): Generator<RouteEntry> {
    for (const family of version === undefined ? ([4, 6] as const) : [version])
      for (const trie of this.#tries[family].values()) for (const run of trie.values()) yield* run
  }

  /** By table, then by address, sets whole; of one table if it is given. */
  *list(version: 4 | 6, table?: number): Generator<Route> {
    for (const [id, trie] of [...this.#tries[version]].sort(([a], [b]) => a - b)) {
      if (table !== undefined && id !== table) continue
      for (const run of trie.values())
        if (version === 6) yield* mergeIpv6(run)
        else for (const { route } of run) yield route
    }
  }

  /** A part of a dump. */
  listed(route: Route, epoch: number): Applied {
    return (route.version === 4 ? listIpv4 : listIpv6)(this.#run(route), this.#owner, route, epoch)
  }

  /** News of a new or changed route. `flags`: those of the message, which say where it stands. */
  added(route: Route, flags: number, epoch: number): Applied {
    return (route.version === 4 ? addIpv4 : addIpv6)(this.#run(route), this.#owner, route, flags, epoch)
  }

  deleted(route: Route): Applied {
    const run = this.#run(route)
    const applied = (route.version === 4 ? deleteIpv4 : deleteIpv6)(run, this.#owner, route)
    this.#prune(route, run)
    return applied
  }

  remove(entry: RouteEntry): void {
    const run = this.#run(entry.route)
    const at = run.indexOf(entry)
    if (at >= 0) {
      run.splice(at, 1)
      this.#owner.drop(entry)
    }
    this.#prune(entry.route, run)
  }

  /** In the place where it stands: prefix, table, TOS and metric stay. */
  become(entry: RouteEntry, route: Route): void {
    this.index.delete(entry)
    entry.route = route
    this.index.add(entry)
  }

  clear(): void {
    for (const entry of [...this.entries()]) this.remove(entry)
  }

  #run({ version, table, dst, length }: Route): RouteEntry[] {
    let trie = this.#tries[version].get(table)
    if (!trie) {
      trie = new PrefixTrie()
      this.#tries[version].set(table, trie)
    }
    let run = trie.get(dst, length)
    if (!run) {
      run = []
      trie.set(dst, length, run)
    }
    return run
  }

  #prune({ version, table, dst, length }: Route, run: readonly RouteEntry[]): void {
    if (run.length === 0) this.#tries[version].get(table)?.delete(dst, length)
  }
}
