/**
 * A datapath in a few lines: flows in a list, actions carried out on keys. It complains when two flows that match a packet disagree, which flows of
 * tier 1 must never do.
 */

import { isDeepStrictEqual } from 'node:util'
import type { DpFlow, Dpif, DpifCounters, DpPort, FlowStats } from '../../../src/datapath/contract.ts'
import type { EncapEntry } from '../../../src/flow/encap.ts'
import { extractFrame } from '../../../src/flow/extract-frame.ts'
import { createKey, K_VLAN0, K_VLAN1 } from '../../../src/flow/key.ts'
import { matchesKey } from '../../../src/flow/match.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'
import type { Clock } from '../../../src/lib/clock.ts'
import {
  createArena,
  M_FIRST_PIPE,
  M_GSO_TYPE,
  M_LEN,
  M_OFF,
  M_PORT,
  META_WORDS,
  SlotPool,
} from '../../../src/packet/slot.ts'

export interface Sent {
  readonly port: number
  readonly key: Int32Array
  /** Encapsulated by this entry, decapsulated for `port`: what then becomes of it is the test's business. */
  readonly via?: `push ${number}` | 'pop'
}

/** What comes out of a list of actions for a packet with this key. */
export const carryOut = (actions: readonly OdpAction[], packet: Int32Array): Sent[] => {
  const sent: Sent[] = []
  const key = packet.slice()
  for (const action of actions) {
    switch (action.type) {
      case 'output':
        sent.push({ port: action.port, key: key.slice() })
        break
      case 'tnl_push':
        sent.push({ port: -1, key: key.slice(), via: `push ${action.entry}` })
        break
      case 'tnl_pop':
        sent.push({ port: action.port, key: key.slice(), via: 'pop' })
        break
      case 'push_vlan':
        key[K_VLAN1] = key[K_VLAN0]!
        key[K_VLAN0] = (action.tpid << 16) | action.tci
        break
      case 'pop_vlan':
        key[K_VLAN0] = key[K_VLAN1]!
        key[K_VLAN1] = 0
        break
      case 'set':
        for (const { word, value, mask } of action.words) key[word] = (key[word]! & ~mask) | value
        break
      case 'clone':
        sent.push(...carryOut(action.actions, key))
        break
      case 'drop':
        return sent
      default:
        throw new Error(`the fake datapath cannot ${action.type}`)
    }
  }
  return sent
}

interface Entry {
  flow: DpFlow
  readonly stats: FlowStats
}

export class FakeDpif implements Dpif {
  readonly arena = createArena(1, 64, 1)
  readonly pool = new SlotPool(this.arena, 0)
  readonly entries = new Map<number, Entry>()
  readonly log: string[] = []
  upcalls = 0
  flowLimit = 1000
  sent: Sent[] = []
  /** While set, the goodbyes of deleted flows wait in it. */
  late: (() => void)[] | null = null
  readonly #clock: Clock
  #nextId = 0
  #handler: (slot: number) => void = () => {}

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** One frame; gives what was sent for it. */
  receive(port: number, frame: Uint8Array, meta: ReadonlyMap<number, number> = new Map()): Sent[] {
    this.sent = []
    const slot = this.pool.take(frame.length)
    const m = slot * META_WORDS
    this.arena.meta.fill(0, m + M_GSO_TYPE, m + META_WORDS)
    this.arena.meta.fill(0, m + M_FIRST_PIPE, m + META_WORDS)
    this.arena.bytes.set(frame, this.arena.meta[m + M_OFF]!)
    this.arena.meta[m + M_LEN] = frame.length
    this.arena.meta[m + M_PORT] = port
    for (const [word, value] of meta) this.arena.meta[m + word] = value
    const key = createKey()
    extractFrame(this.arena, slot, key)
    const hits = [...this.entries.values()].filter(({ flow }) => matchesKey(flow.match, key))
    if (hits.some(({ flow }) => !isDeepStrictEqual(flow.actions, hits[0]!.flow.actions)))
      throw new Error('two flows match the packet, and disagree')
    const [hit] = hits
    if (hit === undefined) {
      this.upcalls++
      this.#handler(slot)
    } else {
      hit.stats.packets++
      hit.stats.bytes += frame.length
      hit.stats.used = this.#clock.now()
      this.sent = carryOut(hit.flow.actions, key)
      this.pool.give(slot)
    }
    return this.sent
  }

  setFlowLimit(flows: number): void {
    this.flowLimit = flows
  }

  flowNew(): number {
    return this.entries.size >= this.flowLimit ? -1 : this.#nextId++
  }

  flowPut(flow: DpFlow): void {
    const known = this.entries.get(flow.id)
    this.log.push(`${known ? 'mod' : 'put'} ${flow.id}`)
    if (known) known.flow = flow
    else this.entries.set(flow.id, { flow, stats: { packets: 0, bytes: 0, used: 0, tcpFlags: 0 } })
  }

  flowDel(id: number, gone?: (final: FlowStats) => void): void {
    this.log.push(`del ${id}`)
    const entry = this.entries.get(id)
    this.entries.delete(id)
    const goodbye = (): void => {
      if (entry) gone?.(entry.stats)
    }
    if (this.late) this.late.push(goodbye)
    else goodbye()
  }

  flow(id: number): DpFlow | undefined {
    return this.entries.get(id)?.flow
  }

  flows(): DpFlow[] {
    return [...this.entries.values()].map(({ flow }) => flow)
  }

  get flowCount(): number {
    return this.entries.size
  }

  flowStats(id: number, out: FlowStats): boolean {
    const entry = this.entries.get(id)
    if (entry) Object.assign(out, entry.stats)
    return entry !== undefined
  }

  onUpcall(handler: (slot: number) => void): void {
    this.#handler = handler
  }

  upcallDone(slot: number, actions: readonly OdpAction[]): void {
    this.log.push('done')
    const key = createKey()
    extractFrame(this.arena, slot, key)
    this.sent = carryOut(actions, key)
    this.pool.give(slot)
  }

  execute(slot: number, actions: readonly OdpAction[]): void {
    this.upcallDone(slot, actions)
  }

  readonly encaps = new Map<number, EncapEntry>()
  tooBig: ((slot: number, encap: number) => void) | undefined

  encapPut(entry: EncapEntry): void {
    this.encaps.set(entry.id, entry)
  }

  encapDel(id: number): void {
    this.encaps.delete(id)
  }

  onTooBig(handler: (slot: number, encap: number) => void): void {
    this.tooBig = handler
  }

  barrier(): Promise<void> {
    return Promise.resolve()
  }

  counters(_out: DpifCounters): void {}

  ports(): DpPort[] {
    return []
  }

  port(_no: number): DpPort | undefined {
    return undefined
  }
}
