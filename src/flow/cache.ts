/**
 * The one look-up code of tiers 2 and 3: an exact-match cache in front of the megaflow table. One thread only; changed between batches.
 */
import { ExactMatchCache } from './emc.ts'
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
import { MegaflowTable } from './megaflow.ts'

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
  let h = 0
  for (let i = 0; i < HASHED.length; i++) {
    h = Math.imul(h ^ key[HASHED[i]!]!, 0x9e3779b1)
    h ^= h >>> 15
  }
  return h
}

export class FlowCache {
  readonly #emc: ExactMatchCache
  readonly #table = new MegaflowTable()
  /** By flow id; raised when the flow goes. */
  #generations = new Int32Array(64)
  cacheHits = 0
  flowHits = 0
  misses = 0

  constructor(emcEntries = 8192) {
    this.#emc = new ExactMatchCache(emcEntries)
  }

  /** Flow id for the key (K_DP_WORDS words count), or -1. Hot path. */
  lookup(key: Int32Array): number {
    const hash = hashKey(key)
    const cached = this.#emc.find(key, hash, this.#generations)
    if (cached >= 0) {
      this.cacheHits++
      return cached
    }
    const id = this.#table.find(key)
    if (id < 0) {
      this.misses++
      return -1
    }
    this.flowHits++
    this.#emc.insert(key, hash, id, this.#generations)
    return id
  }

  /** Inserts a flow, or gives an existing one a new match. */
  put(id: number, mask: Int32Array, key: Int32Array): void {
    this.delete(id)
    if (id >= this.#generations.length) {
      const grown = new Int32Array(Math.max(id + 1, this.#generations.length * 2))
      grown.set(this.#generations)
      this.#generations = grown
    }
    this.#table.insert(id, mask, key)
  }

  /** False when there is no such flow. */
  delete(id: number): boolean {
    if (!this.#table.remove(id)) return false
    this.#generations[id] = (this.#generations[id]! + 1) | 0
    return true
  }

  has(id: number): boolean {
    return this.#table.has(id)
  }

  get flows(): number {
    return this.#table.count
  }

  get masks(): number {
    return this.#table.masks
  }

  /** Subtables looked at over all look-ups beyond the exact-match cache. */
  get maskProbes(): number {
    return this.#table.probes
  }

  /** Between batches, about once a second. */
  sort(): void {
    this.#table.sort()
  }
}
