/**
 * Exact-match cache: whole keys -> flow ids. Set-associative and bounded: a key lives in one of WAYS places of its set, a full set overwrites one
 * of them. It never decides anything by itself: every entry repeats what the megaflow table said, and carries the generation of its flow, so that
 * removing a flow makes its entries stale without a search.
 */
import { K_DP_WORDS } from './key.ts'

const WAYS = 4

export class ExactMatchCache {
  readonly #setMask: number
  readonly #flows: Int32Array
  readonly #hashes: Int32Array
  readonly #generations: Int32Array
  readonly #keys: Int32Array
  #victim = 0

  /** `entries`: a power of two, at least WAYS. */
  constructor(entries: number) {
    if (entries < WAYS || (entries & (entries - 1)) !== 0)
      throw new RangeError(`exact-match cache of ${entries} entries: a power of two >= ${WAYS} expected`)
    this.#setMask = entries / WAYS - 1
    this.#flows = new Int32Array(entries).fill(-1)
    this.#hashes = new Int32Array(entries)
    this.#generations = new Int32Array(entries)
    this.#keys = new Int32Array(entries * K_DP_WORDS)
  }

  /** Flow id of `key`, whose hash is `hash`, or -1. `generations` is indexed by flow id. */
  find(key: Int32Array, hash: number, generations: Int32Array): number {
    const hashes = this.#hashes
    const first = (hash & this.#setMask) * WAYS
    for (let i = first; i < first + WAYS; i++) {
      if (hashes[i] !== hash) continue
      const flow = this.#flows[i]!
      if (flow < 0 || this.#generations[i] !== generations[flow]) continue
      const keys = this.#keys
      const at = i * K_DP_WORDS
      let w = 0
      while (w < K_DP_WORDS && keys[at + w] === key[w]) w++
      if (w === K_DP_WORDS) return flow
    }
    return -1
  }

  insert(key: Int32Array, hash: number, flow: number, generations: Int32Array): void {
    const first = (hash & this.#setMask) * WAYS
    let place = -1
    for (let i = first; i < first + WAYS; i++) {
      const held = this.#flows[i]!
      if (held < 0 || this.#generations[i] !== generations[held]) {
        place = i
        break
      }
    }
    if (place < 0) {
      place = first + this.#victim
      this.#victim = (this.#victim + 1) & (WAYS - 1)
    }
    this.#flows[place] = flow
    this.#hashes[place] = hash
    this.#generations[place] = generations[flow]!
    const at = place * K_DP_WORDS
    for (let w = 0; w < K_DP_WORDS; w++) this.#keys[at + w] = key[w]!
  }

  clear(): void {
    this.#flows.fill(-1)
  }
}
