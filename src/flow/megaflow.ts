/**
 * Megaflow table: masked keys -> flow ids. One subtable per distinct mask; a look-up tries the subtables in turn, the most used first. Flows are mutually
 * exclusive, so the first hit is the answer.
 *
 * All state lies in growable typed arrays, sized for a million flows. Flow ids are small integers that the caller hands out.
 */
import { type Advise, createWords } from '../lib/words.ts'
import { hashEnd, hashWord } from './hash.ts'
import { K_DP_WORDS } from './key.ts'

const FIRST_CAPACITY = 16
/** A row: flow id + 1 (0: free), hash, then the masked words. Behind the last row there is an empty one, for `touch`. */
const ROW_HASH = 1
const ROW_KEY = 2
/**
 * Words before the first row, and to a line of the processor's cache. A large block of the C library begins 16 bytes into a page: with these in front rows of up to a line
 * do not straddle two. Where it begins elsewhere they may, which costs speed alone.
 */
const BASE = 12
const LINE = 16

/** Words from row to row: a part of a line, or whole ones. */
const strideOf = (words: number): number => {
  const need = ROW_KEY + words
  return need <= 4 ? 4 : need <= 8 ? 8 : Math.ceil(need / LINE) * LINE
}

const hashOfMask = (mask: Int32Array): number => {
  let h = 0
  for (let w = 0; w < K_DP_WORDS; w++) {
    h = Math.imul(h ^ mask[w]!, 0x9e3779b1)
    h ^= h >>> 15
  }
  return h
}

/** All flows that have one mask: an open-addressing hash over the words that the mask looks at. */
export class Subtable {
  /** Word numbers with ones in the mask, and the mask there. */
  readonly words: Int32Array
  readonly masks: Int32Array
  /** Of the mask, for the table's index. */
  readonly maskHash: number
  hits = 0
  count = 0
  readonly #stride: number
  readonly #advise: Advise | undefined
  #rows: Int32Array
  #capacityMask = FIRST_CAPACITY - 1

  constructor(mask: Int32Array, advise?: Advise) {
    this.maskHash = hashOfMask(mask)
    this.#advise = advise
    const words: number[] = []
    for (let w = 0; w < K_DP_WORDS; w++) if (mask[w] !== 0) words.push(w)
    this.words = Int32Array.from(words)
    this.masks = Int32Array.from(words, (w) => mask[w]!)
    this.#stride = strideOf(words.length)
    this.#rows = new Int32Array(BASE + (FIRST_CAPACITY + 1) * this.#stride)
  }

  /** True if this is the mask. */
  has(mask: Int32Array): boolean {
    const { words, masks } = this
    for (let w = 0, i = 0; w < K_DP_WORDS; w++)
      if (words[i] === w ? masks[i++] !== mask[w] : mask[w] !== 0) return false
    return true
  }

  hash(key: Int32Array): number {
    const { words, masks } = this
    let sum = 0
    for (let i = 0; i < words.length; i++) sum = (sum + hashWord(key[words[i]!]! & masks[i]!, i)) | 0
    return hashEnd(sum)
  }

  /** `hash`: of the key, by `hash`. */
  find(key: Int32Array, hash: number): number {
    const { words, masks } = this
    const rows = this.#rows
    const stride = this.#stride
    const capacityMask = this.#capacityMask
    const n = words.length
    let place = hash & capacityMask
    for (;;) {
      const at = BASE + place * stride
      const held = rows[at]!
      if (held === 0) return -1
      if (rows[at + ROW_HASH] === hash) {
        let i = 0
        while (i < n && rows[at + ROW_KEY + i] === (key[words[i]!]! & masks[i]!)) i++
        if (i === n) return held - 1
      }
      place = (place + 1) & capacityMask
    }
  }

  /**
   * For each hash the first flow that has it, 0 for none. First come reads that do not wait for each other, in a loop so short that the processor has many of them under way at once: of
   * the row where such a key is looked for, and of the next one, which is asked for by every third. So the rows are near when they are compared, here and in `find`. Returns nothing of meaning.
   */
  touch(hashes: Int32Array, flows: Int32Array, n: number): number {
    const rows = this.#rows
    const stride = this.#stride
    const capacityMask = this.#capacityMask
    let sum = 0
    for (let i = 0; i < n; i++) {
      const at = BASE + (hashes[i]! & capacityMask) * stride
      sum |= rows[at]! | rows[at + stride]!
    }
    for (let i = 0; i < n; i++) {
      const hash = hashes[i]!
      let place = hash & capacityMask
      let held = rows[BASE + place * stride]!
      while (held !== 0 && rows[BASE + place * stride + ROW_HASH] !== hash) {
        place = (place + 1) & capacityMask
        held = rows[BASE + place * stride]!
      }
      flows[i] = held - (held === 0 ? 0 : 1)
    }
    return sum
  }

  /** Brings the row at `place` into the processor's cache. The value is of no meaning. */
  touchRow(place: number): number {
    return this.#rows[BASE + place * this.#stride]!
  }

  /** True if the flow at `place` matches the key. */
  matches(place: number, key: Int32Array): boolean {
    const { words, masks } = this
    const rows = this.#rows
    const n = words.length
    const at = BASE + place * this.#stride + ROW_KEY
    let i = 0
    while (i < n && rows[at + i] === (key[words[i]!]! & masks[i]!)) i++
    return i === n
  }

  /** Inserts behind flows with an equal key, if there are any. Returns its place, which later insertions and removals report in `places`. */
  insert(id: number, key: Int32Array, places: Int32Array): void {
    if ((this.count + 1) * 2 > this.#capacityMask + 1) this.#grow(places)
    const hash = this.hash(key)
    const place = this.#free(hash)
    const at = BASE + place * this.#stride
    this.#rows[at] = id + 1
    this.#rows[at + ROW_HASH] = hash
    for (let i = 0; i < this.words.length; i++) this.#rows[at + ROW_KEY + i] = key[this.words[i]!]! & this.masks[i]!
    places[id] = place
    this.count++
  }

  /** Removes the flow at its place and closes the gap, so that probing needs no tombstones. */
  remove(id: number, places: Int32Array): void {
    const rows = this.#rows
    const stride = this.#stride
    const capacityMask = this.#capacityMask
    let hole = places[id]!
    if (rows[BASE + hole * stride] !== id + 1) throw new Error(`flow ${id} is not at place ${hole} of its subtable`)
    rows[BASE + hole * stride] = 0
    this.count--
    for (let place = (hole + 1) & capacityMask; ; place = (place + 1) & capacityMask) {
      const at = BASE + place * stride
      const moved = rows[at]!
      if (moved === 0) return
      const home = rows[at + ROW_HASH]! & capacityMask
      if (((place - home) & capacityMask) < ((place - hole) & capacityMask)) continue
      rows.copyWithin(BASE + hole * stride, at, at + stride)
      places[moved - 1] = hole
      rows[at] = 0
      hole = place
    }
  }

  #free(hash: number): number {
    let place = hash & this.#capacityMask
    while (this.#rows[BASE + place * this.#stride] !== 0) place = (place + 1) & this.#capacityMask
    return place
  }

  #grow(places: Int32Array): void {
    const stride = this.#stride
    const old = this.#rows
    const capacity = (this.#capacityMask + 1) * 2
    this.#rows = createWords(BASE + (capacity + 1) * stride, this.#advise)
    this.#capacityMask = capacity - 1
    for (let from = BASE; from < old.length; from += stride) {
      const held = old[from]!
      if (held === 0) continue
      const place = this.#free(old[from + ROW_HASH]!)
      const at = BASE + place * stride
      for (let i = 0; i < stride; i++) this.#rows[at + i] = old[from + i]!
      places[held - 1] = place
    }
  }
}

export class MegaflowTable {
  #subtables: Subtable[] = []
  /** By the hash of their mask. */
  readonly #byMask = new Map<number, Subtable[]>()
  /** By flow id. */
  readonly #of: (Subtable | undefined)[] = []
  #places = new Int32Array(64)
  #count = 0
  readonly #advise: Advise | undefined
  /** Subtables looked at, over all look-ups. */
  probes = 0

  constructor(advise?: Advise) {
    this.#advise = advise
  }

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
      const id = table.find(key, table.hash(key))
      if (id >= 0) {
        this.probes += i + 1
        table.hits++
        return id
      }
    }
    this.probes += tables.length
    return -1
  }

  /** The only subtable, if there is just one. */
  get only(): Subtable | undefined {
    return this.#subtables.length === 1 ? this.#subtables[0] : undefined
  }

  /** True if there is such a flow and it matches the key. */
  matches(id: number, key: Int32Array): boolean {
    const table = this.#of[id]
    return table?.matches(this.#places[id]!, key) === true
  }

  /** True if there is such a flow and its mask has ones in the key's word. */
  looksAt(id: number, word: number): boolean {
    const words = this.#of[id]?.words
    if (words === undefined) return false
    let i = 0
    while (i < words.length && words[i] !== word) i++
    return i < words.length
  }

  /** Brings what `matches` reads of `n` flows, if there are such, into the processor's cache, step by step and side by side. The value is of no meaning. */
  touch(ids: Int32Array, n: number): number {
    const of = this.#of
    const places = this.#places
    let sum = 0
    for (let i = 0; i < n; i++) {
      const id = ids[i]!
      if (id < of.length && of[id] !== undefined) sum |= places[id]!
    }
    for (let i = 0; i < n; i++) {
      const id = ids[i]!
      const table = id < of.length ? of[id] : undefined
      if (table !== undefined) sum |= table.touchRow(places[id]!)
    }
    return sum
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
    const table = this.#tableOf(mask) ?? this.#addTable(mask)
    table.insert(id, key, this.#places)
    this.#of[id] = table
    this.#count++
  }

  #tableOf(mask: Int32Array): Subtable | undefined {
    return this.#byMask.get(hashOfMask(mask))?.find((table) => table.has(mask))
  }

  #addTable(mask: Int32Array): Subtable {
    const table = new Subtable(mask, this.#advise)
    const others = this.#byMask.get(table.maskHash)
    if (others) others.push(table)
    else this.#byMask.set(table.maskHash, [table])
    this.#subtables.push(table)
    return table
  }

  /** False when there is no such flow. */
  remove(id: number): boolean {
    const table = this.#of[id]
    if (table === undefined) return false
    table.remove(id, this.#places)
    this.#of[id] = undefined
    this.#count--
    if (table.count === 0) {
      const others = this.#byMask.get(table.maskHash)!.filter((other) => other !== table)
      if (others.length > 0) this.#byMask.set(table.maskHash, others)
      else this.#byMask.delete(table.maskHash)
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
