/**
 * Keys of cached flows, taken from blocks of a few. A typed array of its own is memory of its own outside of the heap, which costs a new flow a microsecond, and again as much whenever
 * the garbage collector meets it; a part of a block costs a twentieth. A block lives as long as one of its keys, so it is small. Main thread.
 */
import { K_WORDS } from '../flow/key.ts'

const KEYS = 8

export class KeyBlock {
  #block = new ArrayBuffer(0)
  #left = 0

  /** Zero, of K_WORDS words. */
  take(): Int32Array {
    if (this.#left === 0) {
      this.#block = new ArrayBuffer(KEYS * K_WORDS * Int32Array.BYTES_PER_ELEMENT)
      this.#left = KEYS
    }
    return new Int32Array(this.#block, --this.#left * K_WORDS * Int32Array.BYTES_PER_ELEMENT, K_WORDS)
  }
}
