/**
 * Hashes of whole keys -> flow ids: which flow a key's packets went to the last time. It never decides anything by itself: the flow's own match is compared with the key (MegaflowTable.matches),
 * and as flows exclude each other, one that matches is the right one. So an entry may be stale, or of another key; it needs no key of its own, and eight bytes are enough.
 * Set-associative and bounded: a hash lives in one of WAYS places of its set, which share a line of the processor's cache; a full set overwrites one of them.
 */
import { type Advise, createWords } from '../lib/words.ts'

const WAYS = 4
/** hash, flow id + 1 */
const ENTRY = 2

export class HashCache {
  readonly entries: number
  readonly #setMask: number
  readonly #words: Int32Array
  #victim = 0

  /** `entries`: a power of two, at least WAYS. */
  constructor(entries: number, advise?: Advise) {
    if (entries < WAYS || (entries & (entries - 1)) !== 0)
      throw new RangeError(`cache of ${entries} entries: a power of two >= ${WAYS} expected`)
    this.entries = entries
    this.#setMask = entries / WAYS - 1
    this.#words = createWords(entries * ENTRY, advise)
  }

  /** The flow that packets with this hash went to, or -1. Hot path. */
  find(hash: number): number {
    const words = this.#words
    const first = (hash & this.#setMask) * WAYS * ENTRY
    for (let i = first; i < first + WAYS * ENTRY; i += ENTRY) if (words[i] === hash) return words[i + 1]! - 1
    return -1
  }

  /** Brings what `find` reads into the processor's cache. The value is of no meaning. */
  touch(hash: number): number {
    return this.#words[(hash & this.#setMask) * WAYS * ENTRY]!
  }

  insert(hash: number, flow: number): void {
    const words = this.#words
    const first = (hash & this.#setMask) * WAYS * ENTRY
    let place = -1
    for (let i = first; i < first + WAYS * ENTRY; i += ENTRY) {
      if (words[i] === hash || words[i + 1] === 0) {
        place = i
        break
      }
    }
    if (place < 0) {
      place = first + this.#victim * ENTRY
      this.#victim = (this.#victim + 1) & (WAYS - 1)
    }
    words[place] = hash
    words[place + 1] = flow + 1
  }
}
