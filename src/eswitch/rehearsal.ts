/**
 * What a dozing worker (port/doze.ts) goes through: the last frames that came alone by two ports, a request's and its answer's, in turn, once more, from the look-up to the write, so that
 * the next ones find code and tables in the processor's caches. It is a port by which such a frame comes in, and out of which it goes instead of the real one: nothing is sent, counted or asked.
 */
import { type Arena, HEADROOM, M_BASE, M_LEN, M_OFF, META_WORDS, type SlotPool } from '../packet/slot.ts'
import {
  PORT_STAT_WORDS,
  type Port,
  PS_RX_FRAMES,
  PS_RX_PACKETS,
  PS_TX_FRAMES,
  PS_TX_PACKETS,
} from '../port/contract.ts'
import { ACCOUNT_WORDS, FlowAccount } from '../port/flow-account.ts'
import type { Outputs } from '../port/outputs.ts'
import { countFrame } from '../port/stats.ts'

/** A number that no port has (switch/ports.ts). */
export const REHEARSAL_PORT = 0

/** Longer frames are no requests that somebody waits for. */
const LONGEST = 512
const LEARN_EVERY_MS = 50

/** A frame to be gone through. */
class Part {
  readonly frame = new Uint8Array(LONGEST)
  readonly meta = new Int32Array(META_WORDS)
  /** By which it came. */
  port = -1
  /** When it is time to take another one from the port. */
  learnAt = Number.NEGATIVE_INFINITY

  get length(): number {
    return this.meta[M_LEN]!
  }
}

export class Rehearsal implements Port {
  readonly name = 'rehearsal'
  readonly fd = -1
  readonly dead = false
  /** As of LoopTier.round. */
  readonly ready = Int32Array.of(REHEARSAL_PORT)
  /** True while its frame is on its way. */
  on = false
  /** Takes what is counted meanwhile. */
  readonly account: FlowAccount
  readonly #arena: Arena
  readonly #outputs: Outputs
  /** Of the one port number. */
  readonly #portStats = new Float64Array((REHEARSAL_PORT + 1) * PORT_STAT_WORDS)
  /** Whose turn it is, and the other one. */
  #part = new Part()
  #other = new Part()
  /** The real port that the frame was to leave by, -1 for none. */
  #towards = -1

  constructor(arena: Arena, outputs: Outputs) {
    this.#arena = arena
    this.#outputs = outputs
    this.account = new FlowAccount(arena, new Float64Array(ACCOUNT_WORDS), new Int32Array(1))
    outputs.add(REHEARSAL_PORT, this)
  }

  /** True if there is something to go through. */
  get known(): boolean {
    return (this.#part.length | this.#other.length) !== 0
  }

  /** A frame has come alone by port `no`. Hot path. */
  saw(slot: number, no: number, now: number): void {
    if (this.on) return
    const part = this.#partOf(no)
    if (now < part.learnAt) return
    const { bytes, meta } = this.#arena
    const m = slot * META_WORDS
    const len = meta[m + M_LEN]!
    if (len > LONGEST) return
    part.port = no
    part.learnAt = now + LEARN_EVERY_MS
    const off = meta[m + M_OFF]!
    for (let i = 0; i < len; i++) part.frame[i] = bytes[off + i]!
    for (let i = M_LEN; i < META_WORDS; i++) part.meta[i] = meta[m + i]!
  }

  /** The port's own, or the one that is older. */
  #partOf(no: number): Part {
    const one = this.#part
    const two = this.#other
    if (one.port === no) return one
    return two.port === no || two.learnAt < one.learnAt ? two : one
  }

  /** Nothing carries the frame any more whose turn it is. */
  forget(): void {
    this.#part.meta[M_LEN] = 0
    this.#part.learnAt = Number.NEGATIVE_INFINITY
  }

  /** The port to be used for `no`. */
  instead(no: number): number {
    this.#towards = no
    return REHEARSAL_PORT
  }

  rx(pool: SlotPool, no: number, out: Int32Array): number {
    if (this.#other.length > 0) [this.#part, this.#other] = [this.#other, this.#part]
    const { frame, meta: known, length: len } = this.#part
    const slot = pool.take(len)
    if (slot < 0) return 0
    const { bytes, meta } = this.#arena
    const m = slot * META_WORDS
    const off = meta[m + M_BASE]! + HEADROOM
    for (let i = 0; i < len; i++) bytes[off + i] = frame[i]!
    for (let i = M_LEN; i < META_WORDS; i++) meta[m + i] = known[i]!
    meta[m + M_OFF] = off
    countFrame(this.#portStats, no, PS_RX_PACKETS, PS_RX_FRAMES, bytes, meta, slot)
    out[0] = slot
    this.on = true
    return 1
  }

  tx(slots: Int32Array, from: number, n: number): void {
    const { bytes, meta } = this.#arena
    this.#outputs.touch(this.#towards)
    for (let i = from; i < from + n; i++)
      countFrame(this.#portStats, REHEARSAL_PORT, PS_TX_PACKETS, PS_TX_FRAMES, bytes, meta, slots[i]!)
  }
}
