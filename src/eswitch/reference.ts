/**
 * The plain eswitch for tests: one thread, a list of rules searched from one end to the other, active at once. It says what every provider must do, as
 * simply as it can be said.
 */

import type { FlowStats } from '../datapath/contract.ts'
import type { EncapEntry } from '../flow/encap.ts'
import { type ExecuteSink, Executor } from '../flow/execute.ts'
import { extractFrame } from '../flow/extract-frame.ts'
import { createKey, K_DL_TYPE, K_DP_WORDS, K_IN_PORT, K_NW, K_TCP_FLAGS } from '../flow/key.ts'
import { compileActions } from '../flow/program.ts'
import type { Clock } from '../lib/clock.ts'
import { createArena, M_LEN, M_OFF, M_PORT, META_WORDS, SlotPool } from '../packet/slot.ts'
import type { Eswitch, EswitchRule, EswitchState } from './contract.ts'
import type { Profile } from './profile.ts'

export interface ReferenceOutput {
  readonly port: number
  readonly data: Uint8Array
}

interface Held {
  rule: EswitchRule
  program: Int32Array
  readonly stats: FlowStats
}

const createStats = (): FlowStats => ({ packets: 0, bytes: 0, used: 0, tcpFlags: 0 })

export class ReferenceEswitch implements Eswitch, ExecuteSink {
  readonly name: string
  readonly switchId: string
  readonly profile: Profile
  readonly #clock: Clock
  readonly #arena = createArena(1, 64, 4)
  readonly #pool = new SlotPool(this.#arena, 0)
  readonly #executor = new Executor(this.#arena, this)
  readonly #ports = new Set<number>()
  readonly #rules = new Map<number, Held>()
  readonly #lost = new Map<number, FlowStats>()
  readonly #listeners: ((state: EswitchState) => void)[] = []
  #state: EswitchState = 'running'
  /** What left by ports, and what missed; the test empties them. */
  readonly sent: ReferenceOutput[] = []
  readonly missed: ReferenceOutput[] = []

  constructor(name: string, switchId: string, profile: Profile, clock: Clock) {
    this.name = name
    this.switchId = switchId
    this.profile = profile
    this.#clock = clock
  }

  // --- Eswitch ---

  get state(): EswitchState {
    return this.#state
  }

  hasPort(no: number): boolean {
    return this.#ports.has(no)
  }

  get ruleCount(): number {
    return this.#rules.size
  }

  get capacity(): number {
    return this.profile.tableSize
  }

  encapPut(entry: EncapEntry): 'ok' | 'down' {
    return entry.state === 'ready' ? 'ok' : 'down'
  }

  encapDel(_id: number): void {}

  rulePut(rule: EswitchRule): 'ok' | 'full' | 'down' {
    if (this.#state !== 'running') return 'down'
    if (rule.match.mask[K_IN_PORT] !== -1) throw new Error(`rule ${rule.id}: an exact match on in_port expected`)
    const program = compileActions(rule.actions)
    const held = this.#rules.get(rule.id)
    if (held === undefined && this.#rules.size >= this.capacity) return 'full'
    const same =
      held?.rule.match.mask.every((m, w) => {
        const other = rule.match
        return m === other.mask[w] && (held.rule.match.key[w]! & m) === (other.key[w]! & m)
      }) ?? false
    this.#lost.delete(rule.id)
    this.#rules.set(rule.id, { rule, program, stats: same ? held!.stats : createStats() })
    return 'ok'
  }

  ruleDel(id: number, gone: (final: FlowStats) => void = () => {}): void {
    const final = this.#rules.get(id)?.stats ?? this.#lost.get(id) ?? createStats()
    this.#rules.delete(id)
    this.#lost.delete(id)
    gone({ ...final })
  }

  ruleStats(id: number, out: FlowStats): boolean {
    const stats = this.#rules.get(id)?.stats ?? this.#lost.get(id)
    if (stats) Object.assign(out, stats)
    return stats !== undefined
  }

  ruleActive(id: number): boolean {
    return this.#rules.has(id)
  }

  ruleIds(): Iterable<number> {
    return this.#rules.keys()
  }

  onState(listener: (state: EswitchState) => void): void {
    this.#listeners.push(listener)
  }

  // --- the test's side ---

  addPort(no: number): void {
    this.#ports.add(no)
  }

  /** A frame comes in by a port. */
  receive(no: number, data: Uint8Array): void {
    const { bytes, meta } = this.#arena
    const slot = this.#pool.take(data.length)
    const m = slot * META_WORDS
    bytes.set(data, meta[m + M_OFF]!)
    meta.fill(0, m + M_LEN, m + META_WORDS)
    meta[m + M_LEN] = data.length
    meta[m + M_PORT] = no
    const key = createKey()
    extractFrame(this.#arena, slot, key)
    const held = this.#state === 'running' ? this.#match(key) : undefined
    if (held === undefined) {
      this.missed.push({ port: no, data: data.slice() })
      this.#pool.give(slot)
      return
    }
    held.stats.packets++
    held.stats.bytes += data.length
    held.stats.used = this.#clock.now()
    const type = key[K_DL_TYPE]! >>> 16
    if (key[K_NW]! >>> 24 === 6 && (type === 0x0800 || type === 0x86dd)) held.stats.tcpFlags |= key[K_TCP_FLAGS]! >>> 16
    this.#executor.run(held.program, slot)
  }

  /** The worker is lost; `recover` is the next one. */
  lose(): void {
    for (const [id, { stats }] of this.#rules) this.#lost.set(id, stats)
    this.#rules.clear()
    this.#setState('restarting')
  }

  recover(): void {
    this.#setState('running')
    this.#lost.clear()
  }

  #setState(state: EswitchState): void {
    this.#state = state
    for (const listener of this.#listeners) listener(state)
  }

  #match(key: Int32Array): Held | undefined {
    for (const held of this.#rules.values()) {
      const { match } = held.rule
      let w = 0
      while (w < K_DP_WORDS && (key[w]! & match.mask[w]!) === (match.key[w]! & match.mask[w]!)) w++
      if (w === K_DP_WORDS) return held
    }
    return undefined
  }

  // --- ExecuteSink ---

  emit(slot: number, port: number): void {
    const { bytes, meta } = this.#arena
    const off = meta[slot * META_WORDS + M_OFF]!
    if (this.#ports.has(port)) this.sent.push({ port, data: bytes.slice(off, off + meta[slot * META_WORDS + M_LEN]!) })
    this.#pool.give(slot)
  }

  recirc(slot: number): void {
    this.#pool.give(slot)
  }

  lost(slot: number): void {
    this.#pool.give(slot)
  }

  copy(slot: number): number {
    return this.#pool.copy(slot)
  }

  noCopy(): void {}

  encapWait(slot: number): void {
    this.#pool.give(slot)
  }

  tooBig(slot: number): void {
    this.#pool.give(slot)
  }

  reenter(slot: number): void {
    this.#pool.give(slot)
  }
}
