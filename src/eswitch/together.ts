/**
 * The rules of a batch's frames. With many rules each look-up waits for memory several times; so what all frames need is asked for first, step by step, and the processor fetches it
 * side by side.
 */
import { extractFrame } from '../flow/extract-frame.ts'
import { createKey } from '../flow/key.ts'
import type { Arena } from '../packet/slot.ts'
import type { FlowAccount } from '../port/flow-account.ts'
import type { RuleTable } from './rule-table.ts'

/** Frames looked up as one: as many as the processor fetches lines side by side; and their keys stay near. */
export const TOGETHER = 16

export class Together {
  readonly #arena: Arena
  readonly #rules: RuleTable
  readonly #account: FlowAccount
  /** Of each frame of the last call. */
  readonly keys = Array.from({ length: TOGETHER }, createKey)
  readonly #hashes = new Int32Array(TOGETHER)
  /** The rules that they will probably find; then those that they do, -1 for none. */
  readonly rules = new Int32Array(TOGETHER)
  /** Of no meaning; kept, so that a compiler cannot leave out the reading. */
  touched = 0

  constructor(arena: Arena, rules: RuleTable, account: FlowAccount) {
    this.#arena = arena
    this.#rules = rules
    this.#account = account
  }

  /** `n` frames of the batch, TOGETHER at most, from `from` on: fills `keys` and `rules`, which hold until a rule changes. Hot path. */
  find(batch: Int32Array, from: number, n: number): void {
    const { keys, rules } = this
    const hashes = this.#hashes
    const table = this.#rules
    for (let i = 0; i < n; i++) {
      extractFrame(this.#arena, batch[from + i]!, keys[i]!)
      hashes[i] = table.hash(keys[i]!)
    }
    this.touched = table.touch(hashes, rules, n) + this.#account.touch(rules, n)
    for (let i = 0; i < n; i++) rules[i] = table.findHashed(keys[i]!, hashes[i]!)
  }
}
