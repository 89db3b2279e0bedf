/**
 * All frames that stay in the datapath for a while: upcalls and those parked behind them (waiting.ts), frames too big for a tunnel's underlay, which go to main in the way of an
 * upcall, and frames whose encap entry has no next hop yet (encap-queues.ts). Puts them there, within bounds, and lets them go on, in order.
 */
import { ENCAP_DROP, ENCAP_PENDING, type EncapRow, type EncapTable } from '../flow/encap-table.ts'
import { LOST_NEIGHBOUR_QUEUE, LOST_NEIGHBOUR_TIMEOUT, LOST_TUNNEL_MTU } from '../flow/execute.ts'
import { OP_DROP } from '../flow/program.ts'
import type { ReplyRing } from '../lib/reply-ring.ts'
import { M_TUN_DST, META_WORDS } from '../packet/slot.ts'
import { dropIndex } from '../port/drop.ts'
import { LOST_DROPS } from '../port/lost.ts'
import { EncapQueues } from './encap-queues.ts'
import type { EswitchLink } from './link.ts'
import type { EswitchLinks } from './links.ts'
import { REPLY_TOO_BIG, REPLY_UPCALL } from './records.ts'
import type { Slots } from './slots.ts'
import { encapOf, originOf, U_ORDER, U_STATE, type Waiting, withEncap } from './waiting.ts'

const UPCALL_LIMIT = dropIndex('upcall-limit')
const PARK_FULL = dropIndex('upcall-park-full')
const RING_FULL = dropIndex('ring-full')
const TUNNEL_MTU = LOST_DROPS[LOST_TUNNEL_MTU]!
const QUEUE_FULL = LOST_DROPS[LOST_NEIGHBOUR_QUEUE]!
const TIMEOUT = LOST_DROPS[LOST_NEIGHBOUR_TIMEOUT]!

/** How frames go on. Each call takes the slot over. */
export interface FrameRunner {
  lookUp(slot: number): void
  run(program: Int32Array, slot: number): void
  /** Encapsulates it by an entry, and on. */
  resume(slot: number, entry: number): void
}

export class HeldFrames {
  readonly waiting: Waiting
  readonly #queues: EncapQueues
  readonly #meta: Int32Array
  readonly #encaps: EncapTable
  readonly #slots: Slots
  readonly #links: EswitchLinks
  readonly #replies: ReplyRing
  readonly #runner: FrameRunner
  now = 0
  /** So far. */
  upcalls = 0
  tooBigs = 0

  /** `encaps`: the table that the runner's interpreter uses. */
  constructor(
    meta: Int32Array,
    waiting: Waiting,
    encaps: EncapTable,
    slots: Slots,
    links: EswitchLinks,
    replies: ReplyRing,
    runner: FrameRunner,
  ) {
    this.#meta = meta
    this.waiting = waiting
    this.#queues = new EncapQueues(meta, waiting)
    this.#encaps = encaps
    this.#slots = slots
    this.#links = links
    this.#replies = replies
    this.#runner = runner
  }

  // --- tier 1 ---

  /** The slot's packet is not known. */
  upcall(slot: number): void {
    if (!this.waiting.mayUpcall(this.#origin(slot)) || !this.#slots.roomToWait(slot)) {
      this.#slots.drop(slot, UPCALL_LIMIT)
      return
    }
    const own = this.#slots.toOwn(slot)
    if (own >= 0 && this.#lend(own, REPLY_UPCALL)) this.upcalls++
  }

  /** The slot waits behind the upcall of its microflow. */
  park(slot: number, order: number): void {
    if (!this.waiting.mayPark(this.#origin(slot), order) || !this.#slots.roomToWait(slot)) {
      this.#slots.drop(slot, PARK_FULL)
      return
    }
    const own = this.#slots.toOwn(slot)
    if (own >= 0) this.waiting.park(own)
  }

  /** Main has answered. For a packet that was too big, an empty program says that main has dealt with it, `drop` that it is lost. */
  answered(slot: number, program: Int32Array): void {
    const m = slot * META_WORDS
    const order = this.#meta[m + U_ORDER]!
    const state = this.#meta[m + U_STATE]!
    const port = originOf(state)
    this.waiting.answered(slot)
    if (encapOf(state) < 0) this.#runner.run(program, slot)
    else if (program.length === 0) this.#slots.dispose(slot)
    else if ((program[0]! & 0xff) === OP_DROP) this.#slots.drop(slot, TUNNEL_MTU)
    else {
      this.#meta[m + U_STATE] = withEncap(state, -1)
      this.#runner.run(program, slot)
    }
    if (this.waiting.settle(order)) {
      for (let next = this.waiting.unpark(order); next >= 0; next = this.waiting.unpark(order)) {
        const from = this.#origin(next)
        this.#goOn(next)
        if (from !== port) this.#endGrace(from)
      }
    }
    this.#endGrace(port)
  }

  #goOn(slot: number): void {
    const m = slot * META_WORDS
    const state = this.#meta[m + U_STATE]!
    const entry = encapOf(state)
    if (entry < 0) {
      this.#runner.lookUp(slot)
      return
    }
    this.#meta[m + U_STATE] = withEncap(state, -1)
    this.#runner.resume(slot, entry)
  }

  /** False when the ring is full; the frame is dropped then. */
  #lend(own: number, op: number): boolean {
    if (!this.#replies.tryPush(op, own)) {
      this.#slots.drop(own, RING_FULL)
      return false
    }
    this.waiting.upcall(own)
    return true
  }

  // --- encapsulation ---

  /** The slot's packet is too big for the underlay of `entry`. */
  tooBig(slot: number, entry: number): void {
    if (!this.waiting.mayUpcall(this.#origin(slot)) || !this.#slots.roomToWait(slot)) {
      this.#slots.drop(slot, TUNNEL_MTU)
      return
    }
    const own = this.#slots.toOwn(slot)
    if (own < 0) return
    const m = own * META_WORDS
    this.#meta[m + U_STATE] = withEncap(this.#meta[m + U_STATE]!, entry)
    if (this.#lend(own, REPLY_TOO_BIG)) this.tooBigs++
  }

  /** The slot's packet waits until the next hop of `entry` is known. */
  encapWait(slot: number, entry: number, nextHop: number): void {
    if (!this.#queues.mayWait(nextHop) || !this.#slots.roomToWait(slot)) {
      this.#slots.drop(slot, QUEUE_FULL)
      return
    }
    const own = this.#slots.toOwn(slot)
    if (own < 0) return
    if (!this.#isPopped(own)) this.waiting.makeLate(own)
    this.#queues.add(own, entry, nextHop, this.now)
  }

  /** Frames that wait for a next hop. */
  get atNextHops(): number {
    return this.#queues.frames
  }

  /** Milliseconds until `expire` may have something to do. */
  get patience(): number {
    return this.#queues.patience(this.now)
  }

  encapPut(row: EncapRow): void {
    this.#encaps.put(row)
    let n = this.#queues.count(row.id)
    if (n === 0) return
    if (row.state === ENCAP_PENDING) {
      this.#queues.move(row.id, row.nextHop)
      return
    }
    this.waiting.startRelease()
    for (; n > 0; n--) {
      const slot = this.#queues.take(row.id)
      const port = this.#origin(slot)
      if (row.state === ENCAP_DROP) this.#slots.drop(slot, LOST_DROPS[row.lost]!)
      else this.#release(slot, row.id)
      this.#endGrace(port)
    }
    this.waiting.endRelease()
  }

  encapDel(id: number): void {
    this.#encaps.del(id)
    for (let slot = this.#queues.take(id); slot >= 0; slot = this.#queues.take(id)) this.#lose(slot)
  }

  /** Drops what has waited too long for its next hop. True if there was something. */
  expire(): boolean {
    let any = false
    for (let slot = this.#queues.expired(this.now); slot >= 0; slot = this.#queues.expired(this.now)) {
      this.#lose(slot)
      any = true
    }
    return any
  }

  /** A frame whose next hop is known goes on, unless one before it in the same queue is lent to main now: then it waits behind that. */
  #release(slot: number, entry: number): void {
    const m = slot * META_WORDS
    const order = this.#meta[m + U_ORDER]!
    if (!this.waiting.isBusyByRelease(order)) {
      this.#runner.resume(slot, entry)
      return
    }
    this.#meta[m + U_STATE] = withEncap(this.#meta[m + U_STATE]!, entry)
    this.park(slot, order)
  }

  #lose(slot: number): void {
    const port = this.#origin(slot)
    this.#slots.drop(slot, TIMEOUT)
    this.#endGrace(port)
  }

  // --- order ---

  #endGrace(port: number): void {
    const seq = this.waiting.graceOver(port)
    const late = this.waiting.lateOver(port)
    if (seq < 0 && !late) return
    const link = this.#links.ofPort(port)
    if (link !== undefined) this.answerMarker(link, port, Math.max(0, seq))
  }

  /** All frames of the port that waited when it was asked have gone, late ones aside. */
  answerMarker(link: EswitchLink, port: number, seq: number): void {
    link.answerMarker(port, seq, this.waiting.lateLow(port), this.waiting.lateHigh(port))
  }

  /** True if the packet came out of a tunnel: its order is not that of the packet as it came. */
  #isPopped(slot: number): boolean {
    const m = slot * META_WORDS + M_TUN_DST
    return (this.#meta[m]! | this.#meta[m + 1]! | this.#meta[m + 2]! | this.#meta[m + 3]!) !== 0
  }

  #origin(slot: number): number {
    return originOf(this.#meta[slot * META_WORDS + U_STATE]!)
  }
}
