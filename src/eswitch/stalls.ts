/**
 * Ports that are not read for a moment because the datapath has no room for their misses (port/link.ts): their frames wait where they are, in the TAP's queue.
 */
import { MAX_PORTS } from '../port/contract.ts'
import type { Intake } from '../port/intake.ts'
import { STALL_MS } from '../port/link.ts'
import { BATCH, RX_BATCH } from '../port/thread-status.ts'
import type { EswitchPortOpen } from './control.ts'
import type { Uplink } from './uplink.ts'

/** Frames for which there must be room before a stalled port is read again. */
const STALL_ROOM = 8

export class Stalls {
  readonly #uplink: Uplink
  readonly #intake: Intake<EswitchPortOpen>
  readonly #ports: number[] = []
  /** By port: since when (clock milliseconds), 0: not stalled. */
  readonly #since = new Float64Array(MAX_PORTS)
  now = 0

  constructor(uplink: Uplink, intake: Intake<EswitchPortOpen>) {
    this.#uplink = uplink
    this.#intake = intake
  }

  /** Frames to read from a port: all of them may miss. */
  room(no: number): number {
    const room = this.#uplink.room(no)
    if (room > 0) {
      this.#since[no] = 0
      return Math.min(room, RX_BATCH)
    }
    const since = this.#since[no]!
    return since > 0 && this.now - since >= STALL_MS ? BATCH : 0
  }

  /** The port has no room. True if that is news. */
  add(no: number): boolean {
    if (this.#ports.includes(no)) return false
    this.#since[no] = this.now
    this.#ports.push(no)
    this.#intake.pause(no, this.now)
    return true
  }

  /** Reads ports again for which there is room, or which have waited long enough. */
  resume(): void {
    for (let i = this.#ports.length - 1; i >= 0; i--) {
      const no = this.#ports[i]!
      if (this.#uplink.room(no) < STALL_ROOM && this.now - this.#since[no]! < STALL_MS) continue
      this.#ports.splice(i, 1)
      this.#intake.rewatch(no)
    }
  }

  /** Milliseconds until a look is due although nothing comes. */
  get patience(): number {
    return this.#ports.length > 0 ? STALL_MS : Number.POSITIVE_INFINITY
  }

  /** The port is gone. */
  forget(no: number): void {
    this.#since[no] = 0
    if (this.#ports.includes(no)) this.#ports.splice(this.#ports.indexOf(no), 1)
  }
}
