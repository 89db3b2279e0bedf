/**
 * The main thread's books of one eswitch's rules. A rule has an index into the shared statistics; an index is used again only after the worker has said that the rule is
 * gone, so that the statistics of an old and a new rule never mix.
 */
import type { FlowStats } from '../datapath/contract.ts'
import type { Match } from '../flow/key.ts'
import { IdTable } from '../lib/id-table.ts'
import { type EswitchRule, ingressOf } from './contract.ts'
import { type EswitchMemory, RS_BYTES, RS_PACKETS, RS_USED, RULE_STAT_WORDS } from './shared.ts'

export class RuleIds {
  readonly #memory: EswitchMemory
  readonly #free: number[] = []
  readonly #matches = new IdTable<Match>()
  /** By id. */
  readonly #inPorts: number[] = []
  /** By id; -1 where the rule has gone. */
  readonly #indices: number[] = []
  readonly #dying = new Map<number, (final: FlowStats) => void>()
  /** Last statistics of rules that were lost with their worker. */
  readonly #lost = new Map<number, FlowStats>()

  constructor(memory: EswitchMemory) {
    this.#memory = memory
    this.#refill()
  }

  get count(): number {
    return this.#matches.size
  }

  ids(): Iterable<number> {
    return this.#matches.ids()
  }

  match(id: number): Match | undefined {
    return this.#matches.get(id)
  }

  /** Of a rule that is there. */
  inPort(id: number): number {
    return this.#inPorts[id]!
  }

  /** -1 when there is no such rule. */
  index(id: number): number {
    return this.#indices[id] ?? -1
  }

  /** Index for a new rule, its statistics zero; -1 when all are in use. */
  add(rule: EswitchRule): number {
    const index = this.#free.pop()
    if (index === undefined) return -1
    this.#memory.ruleStats.fill(0, index * RULE_STAT_WORDS, (index + 1) * RULE_STAT_WORDS)
    this.#memory.ruleFlags[index] = 0
    this.#matches.set(rule.id, rule.match)
    this.#inPorts[rule.id] = ingressOf(rule)
    this.#indices[rule.id] = index
    this.#lost.delete(rule.id)
    return index
  }

  /** Starts a removal; returns the index to tell the worker, or -1 when there is no such rule: `gone` has been called then. */
  remove(id: number, gone: (final: FlowStats) => void): number {
    const index = this.index(id)
    if (index < 0) {
      const last = this.#lost.get(id) ?? { packets: 0, bytes: 0, used: 0, tcpFlags: 0 }
      this.#lost.delete(id)
      gone(last)
      return -1
    }
    this.#matches.delete(id)
    this.#indices[id] = -1
    this.#dying.set(index, gone)
    return index
  }

  /** The worker has removed it. */
  gone(index: number): void {
    const listener = this.#dying.get(index)
    if (listener === undefined) return
    this.#dying.delete(index)
    this.#free.push(index)
    listener(this.#read(index))
  }

  stats(id: number, out: FlowStats): boolean {
    const index = this.index(id)
    if (index >= 0) {
      this.#fill(index, out)
      return true
    }
    const lost = this.#lost.get(id)
    if (lost === undefined) return false
    Object.assign(out, lost)
    return true
  }

  /** The worker is gone, and all rules with it. Statistics can be asked for until the rule is put again or `forgetLost`. */
  lose(): void {
    for (const id of this.#matches.ids()) {
      this.#lost.set(id, this.#read(this.#indices[id]!))
      this.#matches.delete(id)
      this.#indices[id] = -1
    }
    const finals = [...this.#dying].map(([index, listener]) => ({ listener, final: this.#read(index) }))
    this.#dying.clear()
    this.#refill()
    for (const { listener, final } of finals) listener(final)
  }

  forgetLost(): void {
    this.#lost.clear()
  }

  #refill(): void {
    this.#free.length = 0
    for (let i = this.#memory.ruleFlags.length - 1; i >= 0; i--) this.#free.push(i)
  }

  #read(index: number): FlowStats {
    const stats = { packets: 0, bytes: 0, used: 0, tcpFlags: 0 }
    this.#fill(index, stats)
    return stats
  }

  #fill(index: number, out: FlowStats): void {
    const s = index * RULE_STAT_WORDS
    const stats = this.#memory.ruleStats
    out.packets = stats[s + RS_PACKETS]!
    out.bytes = stats[s + RS_BYTES]!
    out.used = stats[s + RS_USED]!
    out.tcpFlags = this.#memory.ruleFlags[index]!
  }
}
