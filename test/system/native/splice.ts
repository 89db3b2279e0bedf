/** Two descriptors joined by a worker thread: the least that can be called a switch, made of rxBatch and txBatch alone. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import {
  KIND_PACKET,
  KIND_TAP,
  native,
  type PacketOptions,
  RX_SPARE,
  type TapOptions,
} from '../../../src/native/binding.ts'
import * as slot from '../../../src/packet/slot.ts'
import type { Testbed } from '../kit/testbed.ts'

/** Words of the shared state; counts since the start. */
export const S = {
  STOP: 0,
  /** Frames of a tagged side that came without their tag. */
  UNTAGGED: 1,
  RX: 2,
  WRITES: 3,
  FULL: 4,
  MALFORMED: 5,
  ERROR: 6,
  ERRNO: 7,
  RX_DROPS: 8,
  RX_ERRNO: 9,
  /** Frames received that were super-frames, of which UDP and tunnelled; frames with a partial checksum. */
  GSO: 10,
  UDP_GSO: 11,
  TUNNEL_GSO: 12,
  PARTIAL: 13,
} as const

export interface Side {
  fd: number
  kind: number
  vnetHdr: number
  offloads: number
  /** VLAN tag that frames wear on this side alone. */
  tag?: number
}

const SMALL = 64
const BIG = 64
export const ADDON = new URL('../../../native/build/tapswitch.node', import.meta.url).pathname

/** A TAP that is closed with the test bed. */
export const tap = (bed: Testbed, options: TapOptions): Side => {
  const info = native.openTap(options)
  bed.defer(() => native.close(info.fd))
  return { fd: info.fd, kind: KIND_TAP, vnetHdr: info.vnetHdr, offloads: info.offloads }
}

/** An attachment that is closed with the test bed. A packet socket takes every offload: the kernel does in software what the link cannot. */
export const attach = (bed: Testbed, options: PacketOptions): Side => {
  const info = native.openPacket(options)
  bed.defer(() => native.close(info.fd))
  return { fd: info.fd, kind: KIND_PACKET, vnetHdr: info.vnetHdr, offloads: info.vnetHdr > 0 ? 0x7f : 0 }
}

export class Splice {
  readonly state: Int32Array
  readonly worker: Worker
  readonly ended: Promise<number>
  readonly #wake: number

  private constructor(a: Side, b: Side) {
    const arena = slot.createArena(1, SMALL, BIG)
    this.state = new Int32Array(new SharedArrayBuffer(64 * 4))
    this.#wake = native.eventfd()
    this.worker = new Worker(new URL('./splice-worker.mjs', import.meta.url), {
      workerData: {
        addon: ADDON,
        sides: [a, b],
        wake: this.#wake,
        bytes: arena.bytes,
        meta: arena.meta,
        small: SMALL,
        big: BIG,
        state: this.state,
        S,
        K: { ...Object.fromEntries(Object.entries(slot).filter(([, value]) => typeof value === 'number')), RX_SPARE },
      },
    })
    this.ended = once(this.worker, 'exit').then(([code]) => code as number)
  }

  static async start(bed: Testbed, a: Side, b: Side): Promise<Splice> {
    const splice = new Splice(a, b)
    bed.defer(() => splice.stop())
    await once(splice.worker, 'message')
    return splice
  }

  count(word: number): number {
    return Atomics.load(this.state, word)
  }

  /** Ends the worker in its own time; its exit code. */
  async stop(): Promise<number> {
    if (Atomics.exchange(this.state, S.STOP, 1) === 0) {
      native.eventfdSignal(this.#wake)
      await this.ended
      native.close(this.#wake)
    }
    return this.ended
  }
}
