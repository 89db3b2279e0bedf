/**
 * An eswitch's rules as its worker has them. Rules for decapsulated packets lie in a table of their own: their real ingress port is the outer packets', so that a rule
 * for those, which need not look at tunnel metadata, would take them.
 */
import { FlowCache } from '../flow/cache.ts'
import { K_IN_PORT, K_TUN_DST, K_TUN_ID } from '../flow/key.ts'
import type { SharedWords } from '../flow/shared-words.ts'
import type { Advise } from '../lib/words.ts'
import { MAX_PORTS } from '../port/contract.ts'
import type { Arming } from './arming.ts'
import { NO_PROGRAM, RulePrograms } from './rule-programs.ts'
import { RS_WORD, RULE_ACTIVE, RULE_ARMED, RULE_NONE, RULE_STAT_WORDS } from './shared.ts'

/** Of a rule's word: its state (RULE_*), and the number of its program above. */
const STATE_BITS = 2
const STATE = (1 << STATE_BITS) - 1

/** True if the match is of packets that came out of a tunnel. */
const isInner = (key: Int32Array): boolean => {
  for (let w = K_TUN_ID; w < K_TUN_DST + 4; w++) if (key[w] !== 0) return true
  return false
}

export class RuleTable {
  readonly #programs = new RulePrograms()
  /** By rule index, behind what is counted (RS_WORD): all that running it needs, in one word, and near what is written when it is run. */
  readonly #stats: Float64Array
  readonly #shared: Int32Array
  readonly #arming: Arming
  /** For packets as they came. */
  readonly outer: FlowCache
  /** For decapsulated packets, whose K_IN_PORT is the real ingress. */
  readonly inner: FlowCache
  /** By rule: its ingress port + 1, 0 for none; by port: its rules. */
  readonly #port: Int32Array
  readonly #rulesAt = new Int32Array(MAX_PORTS)
  readonly #activate = (index: number): void => this.#setState(index, RULE_ACTIVE)

  /** `shared`: the states that main sees; `stats`: the rules' statistics, of whose words RS_WORD is this table's. `advise`: about big tables. */
  constructor(shared: Int32Array, stats: Float64Array, arming: Arming, advise?: Advise) {
    this.outer = new FlowCache(advise)
    this.inner = new FlowCache(advise)
    const rules = shared.length
    this.#shared = shared
    this.#arming = arming
    this.#stats = stats
    this.#port = new Int32Array(rules)
  }

  /** Of which the programs must be that are put here. */
  get sharedPrograms(): SharedWords {
    return this.#programs.shared
  }

  /** RULE_*. */
  state(index: number): number {
    return this.#word(index) & STATE
  }

  /** KIND_*. */
  kind(index: number): number {
    return this.#programs.kinds[this.#word(index) >>> STATE_BITS]!
  }

  program(index: number): Int32Array {
    return this.#programs.programs[this.#word(index) >>> STATE_BITS]!
  }

  /** As of pushesOf. */
  pushes(index: number): Int32Array {
    return this.#programs.pushes[this.#word(index) >>> STATE_BITS]!
  }

  /** True if the port has rules. */
  has(port: number): boolean {
    return this.#rulesAt[port] !== 0
  }

  /** A new rule, armed. `program`: one of `sharedPrograms`. */
  put(index: number, mask: Int32Array, key: Int32Array, program: Int32Array): void {
    // Whatever a worker before this one has left there.
    this.#setWord(index, this.#programs.take(program) << STATE_BITS)
    if (isInner(key)) this.inner.put(index, mask, key)
    else this.outer.put(index, mask, key)
    this.#setState(index, RULE_ARMED)
    const port = key[K_IN_PORT]!
    this.#port[index] = port + 1
    this.#rulesAt[port] = this.#rulesAt[port]! + 1
    this.#arming.arm(index, port)
  }

  /** `program`: as of `put`. */
  setActions(index: number, program: Int32Array): void {
    this.#setProgram(index, this.#programs.take(program))
  }

  remove(index: number): void {
    if (!this.outer.delete(index)) this.inner.delete(index)
    this.#setProgram(index, NO_PROGRAM)
    this.#arming.disarm(index)
    this.#setState(index, RULE_NONE)
    const port = this.#port[index]! - 1
    if (port >= 0) this.#rulesAt[port] = this.#rulesAt[port]! - 1
    this.#port[index] = 0
  }

  /** Marker `seq` of the port is back. */
  answered(port: number, seq: number): void {
    this.#arming.answered(port, seq, this.#activate)
  }

  /** Between batches, about once a second. */
  sort(): void {
    this.outer.sort()
    this.inner.sort()
  }

  #word(index: number): number {
    return this.#stats[index * RULE_STAT_WORDS + RS_WORD]! | 0
  }

  #setWord(index: number, word: number): void {
    this.#stats[index * RULE_STAT_WORDS + RS_WORD] = word
  }

  #setProgram(index: number, number: number): void {
    const word = this.#word(index)
    this.#setWord(index, (word & STATE) | (number << STATE_BITS))
    this.#programs.give(word >>> STATE_BITS)
  }

  #setState(index: number, state: number): void {
    this.#setWord(index, (this.#word(index) & ~STATE) | state)
    Atomics.store(this.#shared, index, state)
  }
}
