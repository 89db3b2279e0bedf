/** Where the frames of rules go: out of a port, or to a counted end. What a rehearsed one comes to is not counted, and it leaves by no real port. Worker thread. */
import { type ExecuteSink, LOST_NEIGHBOUR_QUEUE, LOST_TUNNEL_MTU } from '../flow/execute.ts'
import { M_OWNER, M_PORT, META_WORDS, type SlotPool } from '../packet/slot.ts'
import { dropIndex } from '../port/drop.ts'
import { LOST_DROPS } from '../port/lost.ts'
import { Outputs } from '../port/outputs.ts'
import { countDrop } from '../port/stats.ts'
import { Rehearsal } from './rehearsal.ts'
import type { EswitchShared } from './shared.ts'
import type { Uplink } from './uplink.ts'

const NO_PORT = dropIndex('no-port')
const COPY_NO_SLOT = dropIndex('copy-no-slot')
const TRANSLATION = dropIndex('translation')

export class Sink implements ExecuteSink {
  readonly outputs: Outputs
  readonly rehearsal: Rehearsal
  readonly #shared: EswitchShared
  readonly #meta: Int32Array
  readonly #pool: SlotPool
  readonly #uplink: Uplink

  constructor(shared: EswitchShared, pool: SlotPool, uplink: Uplink) {
    const { arena } = shared
    this.#shared = shared
    this.#meta = arena.meta
    this.#pool = pool
    this.#uplink = uplink
    this.outputs = new Outputs(arena, shared.portStats, (slot) => this.dispose(slot))
    this.rehearsal = new Rehearsal(arena, this.outputs)
  }

  emit(slot: number, no: number): void {
    if (this.outputs.has(no)) this.outputs.push(slot, this.rehearsal.on ? this.rehearsal.instead(no) : no)
    else this.drop(slot, this.#portOf(slot), NO_PORT)
  }

  /** Of a frame that came down, past the table. */
  send(slot: number, no: number): void {
    if (this.outputs.has(no)) this.outputs.push(slot, no)
    else this.drop(slot, no, NO_PORT)
  }

  /** Rules look nothing up again: the profile has no such action, and tnl_pop is alone in its rule. */
  recirc(slot: number): void {
    this.drop(slot, this.#portOf(slot), TRANSLATION)
  }

  reenter(slot: number): void {
    this.recirc(slot)
  }

  /** Such frames have been kept back (EswitchCore). */
  encapWait(slot: number): void {
    this.lost(slot, LOST_NEIGHBOUR_QUEUE)
  }

  tooBig(slot: number): void {
    this.lost(slot, LOST_TUNNEL_MTU)
  }

  lost(slot: number, why: number): void {
    const reason = LOST_DROPS[why]!
    if (reason < 0) this.dispose(slot)
    else this.drop(slot, this.#portOf(slot), reason)
  }

  copy(slot: number): number {
    const copy = this.#pool.copy(slot)
    // Slots may only wait to be written.
    return copy < 0 && this.outputs.flush() ? this.#pool.copy(slot) : copy
  }

  noCopy(slot: number): void {
    if (!this.rehearsal.on) countDrop(this.#shared.portStats, this.#portOf(slot), COPY_NO_SLOT)
  }

  /** Counted at port `no`. */
  drop(slot: number, no: number, reason: number): void {
    if (!this.rehearsal.on) countDrop(this.#shared.portStats, no, reason)
    this.dispose(slot)
  }

  /** The slot goes back to whose it is. */
  dispose(slot: number): void {
    if (this.#meta[slot * META_WORDS + M_OWNER] === this.#shared.owner) this.#pool.give(slot)
    else this.#uplink.giveBack(slot)
  }

  #portOf(slot: number): number {
    return this.#meta[slot * META_WORDS + M_PORT]!
  }
}
