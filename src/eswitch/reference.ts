/**
 * The plain eswitch for tests: one thread, a list of rules searched from one end to the other, active at once. It says what every provider must do, as
 * simply as it can be said.
 */

import type { FlowStats } from '../datapath/contract.ts'
import type { EncapEntry } from '../flow/encap.ts'
import { encapRow } from '../flow/encap-table.ts'
import { type ExecuteSink, Executor, TUNNEL_OK } from '../flow/execute.ts'
import { extractFrame } from '../flow/extract-frame.ts'
import { createKey, K_DL_TYPE, K_DP_WORDS, K_IN_PORT, K_NW, K_TCP_FLAGS, K_TUN_DST, K_TUN_ID } from '../flow/key.ts'
import type { OdpAction } from '../flow/odp.ts'
import { compileActions } from '../flow/program.ts'
import type { Clock } from '../lib/clock.ts'
import { createArena, HEADROOM, M_BASE, M_LEN, M_OFF, M_PORT, META_WORDS, SlotPool } from '../packet/slot.ts'
import { type Eswitch, type EswitchRule, type EswitchState, ingressOf } from './contract.ts'
import type { Profile } from './profile.ts'
import { checkRule } from './rule-check.ts'

export interface ReferenceOutput {
  readonly port: number
  readonly data: Uint8Array
}

interface Held {
  rule: EswitchRule
  program: Int32Array
  readonly stats: FlowStats
}

/** A rule for packets that came out of a tunnel: its match wants tunnel metadata. */
const isInner = ({ match }: EswitchRule): boolean =>
  match.key.subarray(K_TUN_ID, K_TUN_DST + 4).some((word) => word !== 0)

/** A rule that had a part in what became of a frame. */
interface Use {
  readonly held: Held
  readonly key: Int32Array
  readonly length: number
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
  #refused = false
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
    if (this.#state !== 'running' || entry.state !== 'ready') return 'down'
    this.#executor.encaps.put(encapRow(entry))
    return 'ok'
  }

  encapDel(id: number): void {
    this.#executor.encaps.del(id)
  }

  rulePut(asked: EswitchRule): 'ok' | 'full' | 'down' {
    if (this.#state !== 'running') return 'down'
    checkRule(asked)
    const key = asked.match.key.slice()
    key[K_IN_PORT] = ingressOf(asked)
    const rule = { ...asked, match: { key, mask: asked.match.mask } }
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
    const sent = this.sent.length
    this.#refused = false
    const used = this.#state === 'running' ? this.#forward(no, data) : []
    if (used.length > 0 && !this.#refused) {
      for (const { held, key, length } of used) this.#count(held, key, length)
      return
    }
    this.sent.length = sent
    this.missed.push({ port: no, data: data.slice() })
  }

  /** Does what the rules say. Returns those that had a part in it, with what they saw; none: a miss. */
  #forward(no: number, data: Uint8Array): Use[] {
    const slot = this.#load(no, data)
    const key = this.#keyOf(slot)
    const first = this.#match(key, false)
    const used = first ? [{ held: first, key, length: data.length }] : []
    let last = first
    if (first?.rule.actions[0]?.type === 'tnl_pop') {
      last = this.#executor.pop(slot, -1) === TUNNEL_OK ? this.#match(this.#keyOf(slot), true) : undefined
      const length = this.#arena.meta[slot * META_WORDS + M_LEN]!
      if (last) used.push({ held: last, key: this.#keyOf(slot), length })
    }
    if (last === undefined || !this.#hasEntries(last.rule.actions)) {
      this.#pool.give(slot)
      return []
    }
    this.#executor.run(last.program, slot)
    return used
  }

  #load(no: number, data: Uint8Array): number {
    const { bytes, meta } = this.#arena
    const slot = this.#pool.take(data.length)
    const m = slot * META_WORDS
    meta[m + M_OFF] = meta[m + M_BASE]! + HEADROOM
    bytes.set(data, meta[m + M_OFF]!)
    meta.fill(0, m + M_LEN, m + META_WORDS)
    meta[m + M_LEN] = data.length
    meta[m + M_PORT] = no
    return slot
  }

  #keyOf(slot: number): Int32Array {
    const key = createKey()
    extractFrame(this.#arena, slot, key)
    return key
  }

  #hasEntries(actions: readonly OdpAction[]): boolean {
    return actions.every(
      (a) =>
        (a.type !== 'tnl_push' || this.#executor.encaps.get(a.entry) !== undefined) &&
        (a.type !== 'clone' || this.#hasEntries(a.actions)),
    )
  }

  #count({ stats }: Held, key: Int32Array, length: number): void {
    stats.packets++
    stats.bytes += length
    stats.used = this.#clock.now()
    const type = key[K_DL_TYPE]! >>> 16
    if (key[K_NW]! >>> 24 === 6 && (type === 0x0800 || type === 0x86dd)) stats.tcpFlags |= key[K_TCP_FLAGS]! >>> 16
  }

  /** The worker is lost; `recover` is the next one. */
  lose(): void {
    for (const [id, { stats }] of this.#rules) this.#lost.set(id, stats)
    this.#rules.clear()
    this.#executor.encaps.clear()
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

  #match(key: Int32Array, inner: boolean): Held | undefined {
    for (const held of this.#rules.values()) {
      if (isInner(held.rule) !== inner) continue
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
    this.#refuse(slot)
  }

  tooBig(slot: number): void {
    this.#refuse(slot)
  }

  /** The datapath knows what to do with the frame. */
  #refuse(slot: number): void {
    this.#refused = true
    this.#pool.give(slot)
  }

  reenter(slot: number): void {
    this.#pool.give(slot)
  }
}
