/**
 * An eswitch's rules as its worker has them. Rules for decapsulated packets lie in a table of their own: their real ingress port is the outer packets', so that a rule
 * for those, which need not look at tunnel metadata, would take them.
 */
import { FlowCache } from '../flow/cache.ts'
import { K_IN_PORT, K_TUN_DST, K_TUN_ID } from '../flow/key.ts'
import { MAX_PORTS } from '../port/contract.ts'
import type { Arming } from './arming.ts'
import { isPop, pushesOf } from './pushes.ts'
import { RULE_ACTIVE, RULE_ARMED, RULE_NONE } from './shared.ts'

/** What a rule's program needs: nothing; a look at encap entries before it is run; to be run as the first of two stages. */
export const KIND_PLAIN = 0
export const KIND_PUSH = 1
export const KIND_POP = 2

const NO_ACTIONS = new Int32Array(0)
const EMC_ENTRIES = 8192

/** True if the match is of packets that came out of a tunnel. */
const isInner = (key: Int32Array): boolean => {
  for (let w = K_TUN_ID; w < K_TUN_DST + 4; w++) if (key[w] !== 0) return true
  return false
}

export class RuleTable {
  /** By rule index. */
  readonly programs: Int32Array[]
  readonly pushes: Int32Array[]
  readonly kinds: Uint8Array
  /** RULE_*, also in shared memory. */
  readonly states: Uint8Array
  readonly #shared: Int32Array
  readonly #arming: Arming
  readonly #rules = new FlowCache(EMC_ENTRIES)
  /** Made with the first rule for decapsulated packets. */
  #inner: FlowCache | undefined
  /** By rule: its ingress port, -1 for none; by port: its rules. */
  readonly #port: Int32Array
  readonly #rulesAt = new Int32Array(MAX_PORTS)
  readonly #activate = (index: number): void => this.#setState(index, RULE_ACTIVE)

  /** `shared`: the states that main sees. */
  constructor(shared: Int32Array, arming: Arming) {
    const rules = shared.length
    this.#shared = shared
    this.#arming = arming
    this.programs = new Array<Int32Array>(rules).fill(NO_ACTIONS)
    this.pushes = new Array<Int32Array>(rules).fill(NO_ACTIONS)
    this.kinds = new Uint8Array(rules)
    this.states = new Uint8Array(rules)
    this.#port = new Int32Array(rules).fill(-1)
  }

  /** Index of the rule for a packet as it came, -1 for none. Hot path. */
  find(key: Int32Array): number {
    return this.#rules.lookup(key)
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
      this.#inner ??= new FlowCache(EMC_ENTRIES)
      this.#inner.put(index, mask, key)
    } else this.#rules.put(index, mask, key)
    this.#setState(index, RULE_ARMED)
    const port = key[K_IN_PORT]!
    this.#port[index] = port
    this.#rulesAt[port] = this.#rulesAt[port]! + 1
    this.#arming.arm(index, port)
  }

  setActions(index: number, program: Int32Array): void {
    const pushes = pushesOf(program)
    this.programs[index] = program
    this.pushes[index] = pushes
    this.kinds[index] = isPop(program) ? KIND_POP : pushes.length > 0 ? KIND_PUSH : KIND_PLAIN
  }

  remove(index: number): void {
    if (!this.#rules.delete(index)) this.#inner?.delete(index)
    this.setActions(index, NO_ACTIONS)
    this.#arming.disarm(index)
    this.#setState(index, RULE_NONE)
    const port = this.#port[index]!
    if (port >= 0) this.#rulesAt[port] = this.#rulesAt[port]! - 1
    this.#port[index] = -1
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

  #setState(index: number, state: number): void {
    this.states[index] = state
    Atomics.store(this.#shared, index, state)
  }
}
