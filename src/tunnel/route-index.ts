/** Which routes need a link, a next-hop object or a source address: so that what happens to one of those touches only what needs it. */
import type { RouteEntry } from './route-entry.ts'

const NONE: ReadonlySet<RouteEntry> = new Set()

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

class Groups<K> {
  readonly #groups = new Map<K, Set<RouteEntry>>()

  of(key: K): ReadonlySet<RouteEntry> {
    return this.#groups.get(key) ?? NONE
  }

  add(key: K, entry: RouteEntry): void {
    const group = this.#groups.get(key)
    if (group) group.add(entry)
    else this.#groups.set(key, new Set([entry]))
  }

  delete(key: K, entry: RouteEntry): void {
    const group = this.#groups.get(key)
    if (group?.delete(entry) && group.size === 0) this.#groups.delete(key)
  }
}

export class RouteIndex {
  readonly #links = new Groups<number>()
  readonly #objects = new Groups<number>()
  readonly #sources = new Groups<string>()

  /** With next hops of their own through a link. Like the others a live set: copied by whoever changes routes meanwhile. */
  byLink(ifindex: number): ReadonlySet<RouteEntry> {
    return this.#links.of(ifindex)
  }

  byObject(id: number): ReadonlySet<RouteEntry> {
    return this.#objects.of(id)
  }

  /** With `address` as the source that they prescribe. */
  bySource(address: Uint8Array): ReadonlySet<RouteEntry> {
    return this.#sources.of(text(address))
  }

  add(entry: RouteEntry): void {
    const { route } = entry
    if (route.nexthopId !== 0) this.#objects.add(route.nexthopId, entry)
    else for (const { oif } of route.nexthops) if (oif !== 0) this.#links.add(oif, entry)
    if (route.prefsrc) this.#sources.add(text(route.prefsrc), entry)
  }

  /** As it is indexed now: before its route becomes another one. */
  delete(entry: RouteEntry): void {
    const { route } = entry
    if (route.nexthopId !== 0) this.#objects.delete(route.nexthopId, entry)
    else for (const { oif } of route.nexthops) this.#links.delete(oif, entry)
    if (route.prefsrc) this.#sources.delete(text(route.prefsrc), entry)
  }
}
