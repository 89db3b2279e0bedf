/**
 * An eswitch's rules as its worker has them. Rules for decapsulated packets lie in a table of their own: their real ingress port is the outer packets', so that a rule
 * for those, which need not look at tunnel metadata, would take them.
 */
import { FlowCache } from '../flow/cache.ts'
import { K_IN_PORT, K_TUN_DST, K_TUN_ID } from '../flow/key.ts'
import { MAX_PORTS } from '../port/contract.ts'
import type { Arming } from './arming.ts'
import { NO_PROGRAM, RulePrograms } from './rule-programs.ts'
import { RULE_ACTIVE, RULE_ARMED, RULE_NONE } from './shared.ts'

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
  /** By rule index: all that running it needs, in one word. */
  readonly #words: Int32Array
  readonly #shared: Int32Array
  readonly #arming: Arming
  readonly #rules = new FlowCache()
  /** Made with the first rule for decapsulated packets. */
  #inner: FlowCache | undefined
  /** By rule: its ingress port + 1, 0 for none; by port: its rules. */
  readonly #port: Int32Array
  readonly #rulesAt = new Int32Array(MAX_PORTS)
  readonly #activate = (index: number): void => this.#setState(index, RULE_ACTIVE)

  /** `shared`: the states that main sees. */
  constructor(shared: Int32Array, arming: Arming) {
    const rules = shared.length
    this.#shared = shared
    this.#arming = arming
    this.#words = new Int32Array(rules)
    this.#port = new Int32Array(rules)
  }

  /** RULE_*. */
  state(index: number): number {
    return this.#words[index]! & STATE
  }

  /** KIND_*. */
  kind(index: number): number {
    return this.#programs.kinds[this.#words[index]! >>> STATE_BITS]!
  }

  program(index: number): Int32Array {
    return this.#programs.programs[this.#words[index]! >>> STATE_BITS]!
  }

  /** As of pushesOf. */
  pushes(index: number): Int32Array {
    return this.#programs.pushes[this.#words[index]! >>> STATE_BITS]!
  }

  /** Index of the rule for a packet as it came, -1 for none. Hot path. */
  find(key: Int32Array): number {
    return this.#rules.lookup(key)
  }

  /** True if a batch is better looked up as one (FlowCache.touch). */
  get many(): boolean {
    return this.#rules.many
  }

  hash(key: Int32Array): number {
    return this.#rules.hash(key)
  }

  /** Index of the rule that will probably be found, or -1. Brings into the processor's cache what finding and running it needs. */
  touch(hash: number): number {
    return this.#rules.touch(hash)
  }

  /** The same for what running it needs. Of no meaning. */
  touchRule(index: number): number {
    return this.#words[index]!
  }

  /** `find` with a hash of this batch. */
  findHashed(key: Int32Array, hash: number): number {
    return this.#rules.find(key, hash)
  }

  /** The same for a decapsulated packet, its K_IN_PORT being the real ingress. */
  findInner(key: Int32Array): number {
    return this.#inner === undefined ? -1 : this.#inner.lookup(key)
  }

  /** True if the port has rules. */
  has(port: number): boolean {
    return this.#rulesAt[port] !== 0
  }

  /** A new rule, armed. */
  put(index: number, mask: Int32Array, key: Int32Array, program: Int32Array): void {
    this.setActions(index, program)
    if (isInner(key)) {
      this.#inner ??= new FlowCache()
      this.#inner.put(index, mask, key)
    } else this.#rules.put(index, mask, key)
    this.#setState(index, RULE_ARMED)
    const port = key[K_IN_PORT]!
    this.#port[index] = port + 1
    this.#rulesAt[port] = this.#rulesAt[port]! + 1
    this.#arming.arm(index, port)
  }

  setActions(index: number, program: Int32Array): void {
    this.#setProgram(index, this.#programs.take(program))
  }

  remove(index: number): void {
    if (!this.#rules.delete(index)) this.#inner?.delete(index)
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
    this.#rules.sort()
    this.#inner?.sort()
  }

  #setProgram(index: number, number: number): void {
    const word = this.#words[index]!
    this.#words[index] = (word & STATE) | (number << STATE_BITS)
    this.#programs.give(word >>> STATE_BITS)
  }

  #setState(index: number, state: number): void {
    this.#words[index] = (this.#words[index]! & ~STATE) | state
    Atomics.store(this.#shared, index, state)
  }
}
