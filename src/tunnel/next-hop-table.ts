/** Next-hop objects and groups of one namespace. Which routes use them is the route table's business. */
import { sameAddress } from '../flow/address.ts'
import type { NextHopObject } from '../netlink/nexthop.ts'

const same = (a: NextHopObject, b: NextHopObject): boolean =>
  a.oif === b.oif &&
  a.flags === b.flags &&
  a.blackhole === b.blackhole &&
  a.via?.length === b.via?.length &&
  (a.via === undefined || sameAddress(a.via, b.via!)) &&
  a.group?.length === b.group?.length &&
  (a.group ?? []).every(({ id, weight }, i) => b.group![i]!.id === id && b.group![i]!.weight === weight)

export class NextHopTable {
  readonly byId: ReadonlyMap<number, NextHopObject>
  readonly #objects = new Map<number, NextHopObject>()
  readonly #links = new Map<number, Set<number>>()
  /** Groups by their members. */
  readonly #groups = new Map<number, Set<number>>()
  #heard = new Set<number>()

  constructor() {
    this.byId = this.#objects
  }

  /** True if it changed something. */
  set(object: NextHopObject): boolean {
    this.#heard.add(object.id)
    const old = this.#objects.get(object.id)
    if (old && same(old, object)) return false
    this.#put(object)
    return true
  }

  /** Objects that lead through a link. */
  onLink(ifindex: number): number[] {
    return [...(this.#links.get(ifindex) ?? [])]
  }

  /** Objects, and the groups that they are members of. */
  withGroups(ids: Iterable<number>): Set<number> {
    const out = new Set<number>()
    for (const id of ids) {
      out.add(id)
      for (const group of this.#groups.get(id) ?? []) out.add(group)
    }
    return out
  }

  /** Takes objects away, from groups too, and groups that are left empty. Returns what is gone. */
  drop(ids: Iterable<number>): Set<number> {
    const gone = new Set<number>()
    for (const id of ids) if (this.#objects.has(id)) gone.add(id)
    for (const id of [...gone]) {
      for (const groupId of [...(this.#groups.get(id) ?? [])]) {
        const object = this.#objects.get(groupId)
        if (!object?.group || gone.has(groupId)) continue
        const group = object.group.filter((member) => !gone.has(member.id))
        if (group.length > 0) this.#put({ ...object, group })
        else gone.add(groupId)
      }
    }
    for (const id of gone) this.#take(id)
    return gone
  }

  /** A dump begins, or begins again. */
  begin(): void {
    this.#heard = new Set()
  }

  /** What the dump, and the news during it, have not mentioned. */
  unheard(): number[] {
    return [...this.#objects.keys()].filter((id) => !this.#heard.has(id))
  }

  clear(): void {
    for (const id of [...this.#objects.keys()]) this.#take(id)
  }

  #put(object: NextHopObject): void {
    this.#take(object.id)
    this.#objects.set(object.id, object)
    if (object.oif !== 0) enter(this.#links, object.oif, object.id)
    for (const { id } of object.group ?? []) enter(this.#groups, id, object.id)
  }

  #take(id: number): void {
    const object = this.#objects.get(id)
    if (!object) return
    this.#objects.delete(id)
    leave(this.#links, object.oif, id)
    for (const member of object.group ?? []) leave(this.#groups, member.id, id)
  }
}

const enter = (sets: Map<number, Set<number>>, key: number, id: number): void => {
  const set = sets.get(key)
  if (set) set.add(id)
  else sets.set(key, new Set([id]))
}

const leave = (sets: Map<number, Set<number>>, key: number, id: number): void => {
  const set = sets.get(key)
  if (set?.delete(id) && set.size === 0) sets.delete(key)
}
