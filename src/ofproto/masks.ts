/**
 * Masks of cached flows, shared by those that have equal ones: a flow then costs memory for its key alone, and who has found something out about a mask knows it by the array. Bounded: a
 * mask that another has pushed out is shared no more, that is all. Main thread.
 */
import { K_DP_WORDS } from '../flow/key.ts'

/** A power of two. */
const PLACES = 256

const hashOf = (mask: Int32Array): number => {
  let h = 0
  for (let i = 0; i < K_DP_WORDS; i++) {
    h = Math.imul(h ^ mask[i]!, 0x9e3779b1)
    h ^= h >>> 15
  }
  return h & (PLACES - 1)
}

const equal = (a: Int32Array, b: Int32Array): boolean => {
  for (let i = 0; i < K_DP_WORDS; i++) if (a[i] !== b[i]) return false
  return true
}

export class Masks {
  readonly #known: (Int32Array | undefined)[] = new Array(PLACES)

  /** An array equal to a datapath flow's `mask`, which nobody may write to. The argument stays the caller's. */
  share(mask: Int32Array): Int32Array {
    const place = hashOf(mask)
    const known = this.#known[place]
    if (known !== undefined && equal(known, mask)) return known
    const own = mask.slice()
    this.#known[place] = own
    return own
  }
}
