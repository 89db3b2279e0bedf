/**
 * Megaflow table: masked keys -> flow ids. One subtable per distinct mask; a look-up tries the subtables in turn, the most used first. Flows are mutually
 * exclusive, so the first hit is the answer.
 *
 * All state lies in growable typed arrays, sized for a million flows. Flow ids are small integers that the caller hands out.
 */
import { K_DP_WORDS } from './key.ts'

const FIRST_CAPACITY = 16

/** All flows that have one mask: an open-addressing hash over the words that the mask looks at. */
export class Subtable {
  /** Word numbers with ones in the mask, and the mask there. */
  readonly words: Int32Array
  readonly masks: Int32Array
  /** Identifies the mask in the table's index. */
  readonly name: string
  hits = 0
  count = 0
  #ids = new Int32Array(FIRST_CAPACITY).fill(-1)
  #keys: Int32Array
  #capacityMask = FIRST_CAPACITY - 1

  constructor(name: string, mask: Int32Array) {
    this.name = name
    const words: number[] = []
    for (let w = 0; w < K_DP_WORDS; w++) if (mask[w] !== 0) words.push(w)
    this.words = Int32Array.from(words)
    this.masks = Int32Array.from(words, (w) => mask[w]!)
    this.#keys = new Int32Array(FIRST_CAPACITY * words.length)
  }

  find(key: Int32Array): number {
    const { words, masks } = this
    const ids = this.#ids
    const keys = this.#keys
    const capacityMask = this.#capacityMask
    const n = words.length
    let h = 0
    for (let i = 0; i < n; i++) {
      h = Math.imul(h ^ (key[words[i]!]! & masks[i]!), 0x9e3779b1)
      h ^= h >>> 15
    }
    let place = h & capacityMask
    for (;;) {
      const id = ids[place]!
      if (id < 0) return -1
      const at = place * n
      let i = 0
      while (i < n && keys[at + i] === (key[words[i]!]! & masks[i]!)) i++
      if (i === n) return id
      place = (place + 1) & capacityMask
    }
  }

  /** Inserts behind flows with an equal key, if there are any. Returns its place, which later insertions and removals report in `places`. */
  insert(id: number, key: Int32Array, places: Int32Array): void {
    if ((this.count + 1) * 2 > this.#capacityMask + 1) this.#grow(places)
    const n = this.words.length
    let place = this.#hashOf(key) & this.#capacityMask
    while (this.#ids[place]! >= 0) place = (place + 1) & this.#capacityMask
    this.#ids[place] = id
    for (let i = 0; i < n; i++) this.#keys[place * n + i] = key[this.words[i]!]! & this.masks[i]!
    places[id] = place
    this.count++
  }

  /** Removes the flow at its place and closes the gap, so that probing needs no tombstones. */
  remove(id: number, places: Int32Array): void {
    const n = this.words.length
    let hole = places[id]!
    if (this.#ids[hole] !== id) throw new Error(`flow ${id} is not at place ${hole} of its subtable`)
    this.#ids[hole] = -1
    this.count--
    for (
      let place = (hole + 1) & this.#capacityMask;
      this.#ids[place]! >= 0;
      place = (place + 1) & this.#capacityMask
    ) {
      const home = this.#storedHash(place) & this.#capacityMask
      if (((place - home) & this.#capacityMask) < ((place - hole) & this.#capacityMask)) continue
      const moved = this.#ids[place]!
      this.#ids[hole] = moved
      this.#keys.copyWithin(hole * n, place * n, place * n + n)
      places[moved] = hole
      this.#ids[place] = -1
      hole = place
    }
  }

  #hashOf(key: Int32Array): number {
    let h = 0
    for (let i = 0; i < this.words.length; i++) {
      h = Math.imul(h ^ (key[this.words[i]!]! & this.masks[i]!), 0x9e3779b1)
      h ^= h >>> 15
    }
    return h
  }

  #storedHash(place: number): number {
    const n = this.words.length
    let h = 0
    for (let i = 0; i < n; i++) {
      h = Math.imul(h ^ this.#keys[place * n + i]!, 0x9e3779b1)
      h ^= h >>> 15
    }
    return h
  }

  #grow(places: Int32Array): void {
    const n = this.words.length
    const ids = this.#ids
    const keys = this.#keys
    const capacity = ids.length * 2
    this.#ids = new Int32Array(capacity).fill(-1)
    this.#keys = new Int32Array(capacity * n)
    this.#capacityMask = capacity - 1
    for (let old = 0; old < ids.length; old++) {
      const id = ids[old]!
      if (id < 0) continue
      let h = 0
      for (let i = 0; i < n; i++) {
        h = Math.imul(h ^ keys[old * n + i]!, 0x9e3779b1)
        h ^= h >>> 15
      }
      let place = h & this.#capacityMask
      while (this.#ids[place]! >= 0) place = (place + 1) & this.#capacityMask
      this.#ids[place] = id
      this.#keys.set(keys.subarray(old * n, old * n + n), place * n)
      places[id] = place
    }
  }
}

export class MegaflowTable {
  #subtables: Subtable[] = []
  readonly #byMask = new Map<string, Subtable>()
  /** By flow id. */
  readonly #of: (Subtable | undefined)[] = []
  #places = new Int32Array(64)
  #count = 0
  /** Subtables looked at, over all look-ups. */
  probes = 0

  get count(): number {
    return this.#count
  }

  get masks(): number {
    return this.#subtables.length
  }

  has(id: number): boolean {
    return this.#of[id] !== undefined
  }

  /** Flow id for `key`, or -1. */
  find(key: Int32Array): number {
    const tables = this.#subtables
    for (let i = 0; i < tables.length; i++) {
      const table = tables[i]!
      const id = table.find(key)
      if (id >= 0) {
        this.probes += i + 1
        table.hits++
        return id
      }
    }
    this.probes += tables.length
    return -1
  }

  /** Inserts a flow whose id is not in the table. `mask` and `key` have K_DP_WORDS words at least; key bits outside of the mask are ignored. */
  insert(id: number, mask: Int32Array, key: Int32Array): void {
    if (this.#of[id] !== undefined) throw new Error(`flow ${id} is in the table already`)
    if (id >= this.#places.length) {
      const places = new Int32Array(Math.max(id + 1, this.#places.length * 2))
      places.set(this.#places)
      this.#places = places
    }
    while (this.#of.length <= id) this.#of.push(undefined)
    const name = mask.subarray(0, K_DP_WORDS).join()
    let table = this.#byMask.get(name)
    if (table === undefined) {
      table = new Subtable(name, mask)
      this.#byMask.set(name, table)
      this.#subtables.push(table)
    }
    table.insert(id, key, this.#places)
    this.#of[id] = table
    this.#count++
  }

  /** False when there is no such flow. */
  remove(id: number): boolean {
    const table = this.#of[id]
    if (table === undefined) return false
    table.remove(id, this.#places)
    this.#of[id] = undefined
    this.#count--
    if (table.count === 0) {
      this.#byMask.delete(table.name)
      this.#subtables = this.#subtables.filter((other) => other !== table)
    }
    return true
  }

  /** Puts the subtables with the most hits of late first; old hits lose half of their weight. Called now and then, between batches. */
  sort(): void {
    this.#subtables.sort((a, b) => b.hits - a.hits)
    for (const table of this.#subtables) table.hits >>>= 1
  }
}
