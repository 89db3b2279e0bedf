/**
 * Tier 1's record of each flow it has put into the datapath: why it is there (side effects), as of which state of the switch, and how much of its
 * statistics has been credited. Main thread.
 */
import type { DpFlow, Dpif, FlowStats } from '../datapath/contract.ts'
import type { Match } from '../flow/key.ts'
import { equalMatch } from '../flow/match.ts'
import type { OdpAction } from '../flow/odp.ts'
import { IdTable } from '../lib/id-table.ts'
import { encapsOf } from './encap-refs.ts'
import { FlowNames } from './flow-names.ts'
import { pushStats, type SideEffect } from './translate/effects.ts'
import type { EncapHolder } from './tunnels.ts'
import { NAME_WORDS, Namer, ufidOf } from './ufid.ts'

/** Is the datapath's flow too, so that one object serves all layers: a change is put right after it was made. */
export class CachedFlow implements DpFlow {
  readonly id: number
  readonly match: Match
  actions: readonly OdpAction[]
  effects: readonly SideEffect[]
  /** Ofproto.version when it was last translated. */
  version: number
  /** Clock milliseconds at which it goes in any case; 0: by idleness only. */
  readonly expires: number
  /** Put before a packet came (Udpif.preinstall). */
  readonly preinstalled: boolean
  /** Clock milliseconds of the last packet; of its put before there was one. */
  used: number
  /** Credited so far. */
  packets = 0
  bytes = 0

  constructor(id: number, parts: FlowParts, now: number) {
    this.id = id
    this.match = parts.match
    this.actions = parts.actions
    this.effects = parts.effects
    this.version = parts.version
    this.expires = parts.expires ?? 0
    this.preinstalled = parts.preinstalled ?? false
    this.used = now
  }

  /** Made anew each time: few are asked for. */
  get ufid(): string {
    return ufidOf(this.match)
  }
}

export interface FlowParts {
  readonly match: Match
  readonly actions: readonly OdpAction[]
  readonly effects: readonly SideEffect[]
  readonly version: number
  readonly expires?: number
  readonly preinstalled?: boolean
}

export type InstallOutcome = 'new' | 'known' | 'full' | 'collision'

const freshStats = (): FlowStats => ({ packets: 0, bytes: 0, used: 0, tcpFlags: 0 })

export class CachedFlows {
  readonly #dpif: Dpif
  readonly #encaps: EncapHolder
  readonly #namer: Pick<Namer, 'name'>
  readonly #flows = new IdTable<CachedFlow>()
  readonly #names: FlowNames
  readonly #name = new Int32Array(NAME_WORDS)
  readonly #scratch = freshStats()

  /** `encaps`: where entries are that actions name. */
  constructor(dpif: Dpif, encaps: EncapHolder, namer: Pick<Namer, 'name'> = new Namer()) {
    this.#dpif = dpif
    this.#names = new FlowNames(dpif.flowLimit)
    this.#encaps = encaps
    this.#namer = namer
  }

  get size(): number {
    return this.#flows.size
  }

  values(): Iterable<CachedFlow> {
    return this.#flows.values()
  }

  /** The flow with the lowest id from `id` on: a walk may stop, and go on while flows come and go. */
  from(id: number): CachedFlow | undefined {
    return this.#at(this.#flows.from(id))
  }

  get(id: number): CachedFlow | undefined {
    return this.#flows.get(id)
  }

  has(flow: CachedFlow): boolean {
    return this.#flows.get(flow.id) === flow
  }

  /**
   * Puts a flow; one with the same match gets the new actions instead. 'full': the flow limit is reached. 'collision': another match has the same name, which
   * somebody may have brought about; it keeps it.
   */
  install(parts: FlowParts, now: number): InstallOutcome {
    const { match, actions, effects, version } = parts
    this.#namer.name(match, this.#name)
    const known = this.#at(this.#names.find(this.#name))
    if (known !== undefined) {
      if (!equalMatch(known.match, match)) return 'collision'
      this.update(known, actions, effects, version)
      return 'known'
    }
    const id = this.#dpif.flowNew()
    if (id < 0) return 'full'
    const flow = new CachedFlow(id, parts, now)
    this.#flows.set(id, flow)
    this.#names.add(id, this.#name)
    this.#hold(actions)
    this.#dpif.flowPut(flow)
    return 'new'
  }

  /** Takes over a new translation; tells the datapath only if its actions differ. True then. */
  update(flow: CachedFlow, actions: readonly OdpAction[], effects: readonly SideEffect[], version: number): boolean {
    flow.effects = effects
    flow.version = version
    if (equalActions(flow.actions, actions)) return false
    this.#hold(actions)
    this.#release(flow.actions)
    flow.actions = actions
    this.#dpif.flowPut(flow)
    return true
  }

  /** Takes a flow out of the datapath. What it has counted meanwhile is credited when the datapath has done so. */
  remove(flow: CachedFlow): void {
    if (!this.has(flow)) return
    this.#flows.delete(flow.id)
    this.#names.delete(flow.id)
    const { actions } = flow
    this.#dpif.flowDel(flow.id, (final) => {
      this.#credit(flow, final)
      this.#release(actions)
    })
  }

  /** Credits what was counted since the last time. Returns the number of packets. */
  collect(flow: CachedFlow): number {
    if (!this.#dpif.flowStats(flow.id, this.#scratch)) return 0
    return this.#credit(flow, this.#scratch)
  }

  #at(id: number): CachedFlow | undefined {
    return id < 0 ? undefined : this.#flows.get(id)
  }

  #hold(actions: readonly OdpAction[]): void {
    for (const id of encapsOf(actions)) this.#encaps.hold(id)
  }

  #release(actions: readonly OdpAction[]): void {
    for (const id of encapsOf(actions)) this.#encaps.release(id)
  }

  #credit(flow: CachedFlow, stats: FlowStats): number {
    const packets = Math.max(0, stats.packets - flow.packets)
    const bytes = Math.max(0, stats.bytes - flow.bytes)
    flow.packets = Math.max(flow.packets, stats.packets)
    flow.bytes = Math.max(flow.bytes, stats.bytes)
    if (stats.used > flow.used) flow.used = stats.used
    pushStats(flow.effects, packets, bytes, flow.used)
    return packets
  }
}

const equalValue = (a: unknown, b: unknown): boolean => {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  const x = Object.entries(a)
  return (
    x.length === Object.keys(b).length &&
    x.every(([name, value]) => equalValue(value, (b as Record<string, unknown>)[name]))
  )
}

/** Same actions, in the same order. */
export const equalActions = (a: readonly OdpAction[], b: readonly OdpAction[]): boolean =>
  a.length === b.length && a.every((action, i) => equalValue(action, b[i]))
