/**
 * Answers the datapath's upcalls: one packet that no flow matched. It is translated, a flow for those that follow is put, and then, in this order, the
 * packet itself is answered: what waits behind it finds the flow. Main thread.
 */
import type { Dpif } from '../datapath/contract.ts'
import { extractFrame } from '../flow/extract-frame.ts'
import { createKey, K_DP_WORDS, K_IN_PORT, K_RECIRC_ID, type Match } from '../flow/key.ts'
import type { OdpAction } from '../flow/odp.ts'
import type { Clock } from '../lib/clock.ts'
import {
  GSO_NONE,
  M_GSO_SIZE,
  M_GSO_TYPE,
  M_HDR_LEN,
  M_LEN,
  M_OFF,
  M_VFLAGS,
  META_WORDS,
  VNET_F_DATA_VALID,
  VNET_F_NEEDS_CSUM,
} from '../packet/slot.ts'
import { type Decision, decide } from './decide.ts'
import { KeyBlock } from './key-block.ts'
import type { Ofproto } from './ofproto.ts'
import { pushStats } from './translate/effects.ts'
import type { CachedFlows, InstallOutcome } from './udpif-flows.ts'

/** Milliseconds for which a port that no bridge owns is not asked about again. */
export const UNOWNED_LIFE = 1000

export interface UpcallCounters {
  upcalls: number
  /** Flows put for a packet. */
  installed: number
  /** Flows put before a packet came. */
  preinstalled: number
  /** The flow was there already: its first packets came close together. */
  known: number
  /** The flow limit was reached; only the packet was answered. */
  full: number
  /** Another flow had the same ufid; only the packet was answered. */
  collision: number
  /** The packet came by a port that no bridge owns. */
  unowned: number
  /** The translation failed: its actions are a drop with a reason. */
  failed: number
  /** The packet was handed to a port without a host's stack, and no flow put. */
  handed: number
  /** A defect: the translation threw. The packet was dropped with a reason. */
  errors: number
}

/** The packet has come to its end, but not to a loss. */
const TAKEN: readonly OdpAction[] = [{ type: 'drop', reason: 'taken' }]
const INTERNAL_ERROR: readonly OdpAction[] = [{ type: 'drop', reason: 'internal-error' }]

/** A datapath match of what a translation looked at. The mask is taken over, and so is `masked`, where the match's key is to be. */
export const matchOf = (key: Int32Array, mask: Int32Array, masked = createKey()): Match => {
  for (let i = 0; i < K_DP_WORDS; i++) masked[i] = key[i]! & mask[i]!
  return { key: masked, mask }
}

/** Matches all that comes by a port. */
const portMatch = (key: Int32Array): Match => {
  const mask = createKey()
  mask[K_RECIRC_ID] = -1
  mask[K_IN_PORT] = -1
  return matchOf(key, mask)
}

export class Upcalls {
  readonly counters: UpcallCounters = {
    upcalls: 0,
    installed: 0,
    preinstalled: 0,
    known: 0,
    full: 0,
    collision: 0,
    unowned: 0,
    failed: 0,
    handed: 0,
    errors: 0,
  }
  readonly #ofproto: Ofproto
  readonly #dpif: Dpif
  readonly #clock: Clock
  readonly #flows: CachedFlows
  readonly #key = createKey()
  readonly #keys = new KeyBlock()
  readonly #onError: (error: unknown) => void

  constructor(ofproto: Ofproto, dpif: Dpif, clock: Clock, flows: CachedFlows, onError: (error: unknown) => void) {
    this.#onError = onError
    this.#ofproto = ofproto
    this.#dpif = dpif
    this.#clock = clock
    this.#flows = flows
  }

  /** The handler for Dpif.onUpcall. */
  handle(slot: number): void {
    this.counters.upcalls++
    this.#dpif.upcallDone(slot, this.#answer(slot))
  }

  /** Never throws: whatever happens, the datapath must get its slot back. */
  #answer(slot: number): readonly OdpAction[] {
    try {
      extractFrame(this.#dpif.arena, slot, this.#key)
      const result = this.install(this.#key, true)
      if (result === null) return []
      const { packets, bytes } = this.#wire(slot)
      pushStats(result.effects, packets, bytes, this.#clock.now())
      if (result.handed.length === 0) return result.actions
      this.#hand(slot, result.handed)
      return result.actions.length === 0 ? TAKEN : result.actions
    } catch (error) {
      this.counters.errors++
      this.#onError(error)
      return INTERNAL_ERROR
    }
  }

  /**
   * Translates and puts the flow. `learn`: a packet has come. Without one it is a pre-installation: the flow is there before its first packet. null: nobody owns
   * the port.
   */
  install(key: Int32Array, learn: boolean): Decision | null {
    const now = this.#clock.now()
    // Taken first: what the translation itself changes (a learned address) may concern this flow too.
    const version = this.#ofproto.version
    const decision = decide(this.#ofproto, key, learn, now)
    if (decision === null) {
      if (!learn) return null
      this.counters.unowned++
      this.#count(
        this.#flows.install(
          { match: portMatch(key), actions: [], effects: [], version, expires: now + UNOWNED_LIFE },
          now,
        ),
        true,
      )
      return null
    }
    if (decision.failed) this.counters.failed++
    // Only packets can be handed over, one by one.
    if (decision.handed.length > 0) return decision
    const { actions, effects } = decision
    const match = matchOf(key, decision.mask, this.#keys.take())
    this.#count(this.#flows.install({ match, actions, effects, version, preinstalled: !learn }, now), learn)
    return decision
  }

  #count(outcome: InstallOutcome, forPacket: boolean): void {
    if (outcome === 'new') this.counters[forPacket ? 'installed' : 'preinstalled']++
    else this.counters[outcome]++
  }

  #hand(slot: number, ports: readonly number[]): void {
    const { bytes, meta } = this.#dpif.arena
    const m = slot * META_WORDS
    const frame = bytes.slice(meta[m + M_OFF]!, meta[m + M_OFF]! + meta[m + M_LEN]!)
    const checked = (meta[m + M_VFLAGS]! & (VNET_F_NEEDS_CSUM | VNET_F_DATA_VALID)) !== 0
    this.counters.handed++
    for (const port of ports) this.#ofproto.tunnels.stackless?.receive(port, frame, checked)
  }

  /** A super-frame counts as the segments it is on the wire, each with its headers. */
  #wire(slot: number): { packets: number; bytes: number } {
    const { meta } = this.#dpif.arena
    const m = slot * META_WORDS
    const len = meta[m + M_LEN]!
    const size = meta[m + M_GSO_SIZE]!
    const headers = meta[m + M_HDR_LEN]!
    if (meta[m + M_GSO_TYPE] === GSO_NONE || size <= 0 || headers >= len) return { packets: 1, bytes: len }
    const packets = Math.max(1, Math.ceil((len - headers) / size))
    return { packets, bytes: len + (packets - 1) * headers }
  }
}
