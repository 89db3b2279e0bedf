/**
 * The flows of a batch's frames, in either tier. With many flows each look-up waits for memory several times; so what all frames need is asked for first, step by step, and the processor
 * fetches it side by side.
 */
import type { FlowCache } from '../flow/cache.ts'
import { extractFrame } from '../flow/extract-frame.ts'
import { createKey } from '../flow/key.ts'
import type { Arena } from '../packet/slot.ts'
import type { FlowAccount } from './flow-account.ts'

/** Frames looked up as one: as many as the processor fetches lines side by side; and their keys stay near. */
export const TOGETHER = 16

export class Together {
  readonly #arena: Arena
  readonly #flows: FlowCache
  readonly #account: FlowAccount
  /** Of each frame of the last call. */
  readonly keys = Array.from({ length: TOGETHER }, createKey)
  readonly #hashes = new Int32Array(TOGETHER)
  /** The flows that they will probably find; then those that they do, -1 for none. */
  readonly flows = new Int32Array(TOGETHER)
  /** Of no meaning; kept, so that a compiler cannot leave out the reading. */
  touched = 0

  constructor(arena: Arena, flows: FlowCache, account: FlowAccount) {
    this.#arena = arena
    this.#flows = flows
    this.#account = account
  }

  /** `n` frames of the batch, TOGETHER at most, from `from` on: fills `keys` and `flows`, which hold until a flow changes. Hot path. */
  find(batch: Int32Array, from: number, n: number): void {
    const { keys, flows } = this
    const hashes = this.#hashes
    const table = this.#flows
    for (let i = 0; i < n; i++) {
      extractFrame(this.#arena, batch[from + i]!, keys[i]!)
      hashes[i] = table.hash(keys[i]!)
    }
    this.touched = table.touch(hashes, flows, n) + this.#account.touch(flows, n)
    for (let i = 0; i < n; i++) flows[i] = table.find(keys[i]!, hashes[i]!)
  }
}
