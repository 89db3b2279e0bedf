/**
 * The one look-up code of tiers 2 and 3: a cache of hashes in front of the megaflow table, which is asked by itself while it has but one mask. One thread only; changed between batches.
 *
 * A look-up is `find(key, hash(key))`. With many flows most of its time is waiting for memory. Who has several keys hashes them all first and calls `touch`, so that the processor
 * fetches what they need side by side.
 */
import type { Advise } from '../lib/words.ts'
import { hashEnd, hashWord } from './hash.ts'
import { HashCache } from './hash-cache.ts'
import {
  K_CT_STATE,
  K_DL_TYPE,
  K_ETH,
  K_IN_PORT,
  K_NW,
  K_NW_DST,
  K_NW_SRC,
  K_RECIRC_ID,
  K_TCP_FLAGS,
  K_TP,
  K_TUN_ID,
  K_TUN_SRC,
  K_VLAN0,
} from './key.ts'
import { MegaflowTable, type Subtable } from './megaflow.ts'

/** What usually tells two packets apart. Others only share a set of the cache. */
const HASHED = Int32Array.of(
  K_RECIRC_ID,
  K_IN_PORT,
  K_ETH,
  K_ETH + 1,
  K_ETH + 2,
  K_DL_TYPE,
  K_VLAN0,
  K_NW_SRC,
  K_NW_SRC + 1,
  K_NW_SRC + 2,
  K_NW_SRC + 3,
  K_NW_DST,
  K_NW_DST + 1,
  K_NW_DST + 2,
  K_NW_DST + 3,
  K_NW,
  K_TP,
  K_TCP_FLAGS,
  K_TUN_ID + 1,
  K_TUN_SRC + 3,
  K_CT_STATE,
)

const hashKey = (key: Int32Array): number => {
  let sum = 0
  for (let i = 0; i < HASHED.length; i++) sum = (sum + hashWord(key[HASHED[i]!]!, i)) | 0
  return hashEnd(sum)
}

const FIRST_ENTRIES = 8192
const MOST_ENTRIES = 1 << 22
/** Of the cache, a flow: with fewer, flows of one set push each other out, and each of them is looked for under all masks again. */
const ENTRIES_A_FLOW = 4
/** With so many flows what look-ups need is not in the processor's nearer caches any more. */
const MANY = 1 << 13

export class FlowCache {
  #cache: HashCache
  readonly #table: MegaflowTable
  readonly #advise: Advise | undefined
  /** The table's only subtable, if it has just one. */
  #only: Subtable | undefined
  cacheHits = 0
  flowHits = 0
  misses = 0
  /** Of the flows in it: another one after each change. */
  version = 0

  /** `advise`: about big tables. `entries` of the cache to begin with; it grows with the number of flows. */
  constructor(advise?: Advise, entries = FIRST_ENTRIES) {
    this.#advise = advise
    this.#table = new MegaflowTable(advise)
    this.#cache = new HashCache(entries)
  }

  /** Flow id for the key (K_DP_WORDS words count), or -1. Hot path. */
  lookup(key: Int32Array): number {
    return this.find(key, this.hash(key))
  }

  /** What `find` and `touch` want to know of a key; until the next change of the table. */
  hash(key: Int32Array): number {
    const only = this.#only
    return only === undefined ? hashKey(key) : only.hash(key)
  }

  find(key: Int32Array, hash: number): number {
    const only = this.#only
    if (only !== undefined) {
      const id = only.find(key, hash)
      this.#table.probes++
      if (id < 0) this.misses++
      else this.flowHits++
      return id
    }
    const cached = this.#cache.find(hash)
    if (cached >= 0 && this.#table.matches(cached, key)) {
      this.cacheHits++
      return cached
    }
    const id = this.#table.find(key)
    if (id < 0) {
      this.misses++
      return -1
    }
    this.flowHits++
    this.#cache.insert(hash, id)
    return id
  }

  /** True if it pays to touch several before they are looked up. */
  get many(): boolean {
    return this.#table.count >= MANY
  }

  /** For each of `n` hashes the flow that will probably be found, a number in any case: a guess that brings what `find` needs into the processor's cache. The value is of no meaning. */
  touch(hashes: Int32Array, flows: Int32Array, n: number): number {
    const only = this.#only
    if (only !== undefined) return only.touch(hashes, flows, n)
    let sum = 0
    for (let i = 0; i < n; i++) sum |= this.#cache.touch(hashes[i]!)
    for (let i = 0; i < n; i++) flows[i] = Math.max(0, this.#cache.find(hashes[i]!))
    return sum | this.#table.touch(flows, n)
  }

  /** Inserts a flow, or gives an existing one a new match. */
  put(id: number, mask: Int32Array, key: Int32Array): void {
    this.delete(id)
    this.version = (this.version + 1) | 0
    this.#table.insert(id, mask, key)
    this.#only = this.#table.only
    const { entries } = this.#cache
    // What it knew comes back with the next packets.
    if (this.#table.count * ENTRIES_A_FLOW > entries && entries < MOST_ENTRIES)
      this.#cache = new HashCache(entries * 2, this.#advise)
  }

  /** False when there is no such flow. */
  delete(id: number): boolean {
    if (!this.#table.remove(id)) return false
    this.version = (this.version + 1) | 0
    this.#only = this.#table.only
    return true
  }

  has(id: number): boolean {
    return this.#table.has(id)
  }

  /** True if the flow's mask has ones in the key's word. */
  looksAt(id: number, word: number): boolean {
    return this.#table.looksAt(id, word)
  }

  get flows(): number {
    return this.#table.count
  }

  get masks(): number {
    return this.#table.masks
  }

  /** Subtables looked at over all look-ups beyond the cache. */
  get maskProbes(): number {
    return this.#table.probes
  }

  /** Between batches, about once a second. */
  sort(): void {
    this.#table.sort()
  }
}
