/** A port without a kernel: frames are injected and collected by tests. */
import {
  type Arena,
  BIG_SIZE,
  HEADROOM,
  M_BASE,
  M_CSUM_OFF,
  M_CSUM_START,
  M_FIRST_PIPE,
  M_GSO_SIZE,
  M_GSO_TYPE,
  M_HDR_LEN,
  M_INNER_NH,
  M_LEN,
  M_OFF,
  M_OUTER_TH,
  M_PORT,
  M_VFLAGS,
  META_WORDS,
  type SlotPool,
} from '../packet/slot.ts'
import { type Port, PS_RX_FRAMES, PS_RX_PACKETS, PS_TX_FRAMES, PS_TX_PACKETS } from './contract.ts'
import { dropIndex } from './drop.ts'
import { countDrop, countFrame } from './stats.ts'

/** virtio-net facts of a frame; all zero: a complete wire frame. */
export interface VnetFacts {
  vflags: number
  gsoType: number
  gsoSize: number
  hdrLen: number
  csumStart: number
  csumOff: number
  /** Of super-frames inside of UDP tunnels (M_OUTER_TH, M_INNER_NH). */
  outerTh: number
  innerNh: number
}

export interface MemoryFrame {
  readonly data: Uint8Array
  readonly vnet: VnetFacts
}

const NO_VNET: VnetFacts = {
  vflags: 0,
  gsoType: 0,
  gsoSize: 0,
  hdrLen: 0,
  csumStart: 0,
  csumOff: 0,
  outerTh: 0,
  innerNh: 0,
}

const OVERSIZE = dropIndex('rx-oversize')
const NO_SLOT = dropIndex('rx-no-slot')
const RUNT = dropIndex('rx-runt')
const BAD_VNET = dropIndex('rx-bad-vnet')
const TX_FULL = dropIndex('tx-full')

export class MemoryPort implements Port {
  readonly name: string
  readonly fd = -1
  dead = false
  /** Frames that the switch wrote, oldest first. The test empties it. */
  readonly sent: MemoryFrame[] = []
  /** Frames that `sent` holds before further ones count as 'tx-full'. */
  txRoom = Number.POSITIVE_INFINITY
  readonly #waiting: MemoryFrame[] = []
  readonly #arena: Arena
  readonly #stats: Float64Array
  readonly #no: number

  /** `stats`: the counters of the thread that will poll the port (createPortStats). */
  constructor(name: string, no: number, arena: Arena, stats: Float64Array) {
    this.name = name
    this.#no = no
    this.#arena = arena
    this.#stats = stats
  }

  /** Frames injected and not yet read. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Queues a frame for `rx`; its bytes are copied. */
  inject(data: Uint8Array, vnet: Partial<VnetFacts> = {}): void {
    this.#waiting.push({ data: data.slice(), vnet: { ...NO_VNET, ...vnet } })
  }

  rx(pool: SlotPool, no: number, out: Int32Array, max: number): number {
    let n = 0
    while (n < max && this.#waiting.length > 0) {
      const frame = this.#waiting.shift()!
      const { data, vnet } = frame
      if (data.length < 14) countDrop(this.#stats, no, RUNT)
      else if (data.length > BIG_SIZE - HEADROOM) countDrop(this.#stats, no, OVERSIZE)
      else if ((vnet.vflags & 1) !== 0 && vnet.csumStart + vnet.csumOff + 2 > data.length)
        countDrop(this.#stats, no, BAD_VNET)
      else {
        const slot = pool.take(data.length)
        if (slot < 0) {
          countDrop(this.#stats, no, NO_SLOT)
          continue
        }
        this.#fill(slot, no, frame)
        countFrame(this.#stats, no, PS_RX_PACKETS, PS_RX_FRAMES, this.#arena.bytes, this.#arena.meta, slot)
        out[n++] = slot
      }
    }
    return n
  }

  #fill(slot: number, no: number, { data, vnet }: MemoryFrame): void {
    const { bytes, meta } = this.#arena
    const m = slot * META_WORDS
    const off = meta[m + M_BASE]! + HEADROOM
    bytes.set(data, off)
    meta[m + M_OFF] = off
    meta[m + M_LEN] = data.length
    meta[m + M_PORT] = no
    meta[m + M_VFLAGS] = vnet.vflags
    meta[m + M_GSO_TYPE] = vnet.gsoType
    meta[m + M_GSO_SIZE] = vnet.gsoSize
    meta[m + M_HDR_LEN] = vnet.hdrLen
    meta[m + M_CSUM_START] = vnet.csumStart
    meta[m + M_CSUM_OFF] = vnet.csumOff
    meta[m + M_OUTER_TH] = vnet.outerTh
    meta[m + M_INNER_NH] = vnet.innerNh
    meta.fill(0, m + M_FIRST_PIPE, m + META_WORDS)
  }

  tx(slots: Int32Array, from: number, n: number): void {
    const { bytes, meta } = this.#arena
    for (let i = from; i < from + n; i++) {
      const slot = slots[i]!
      if (this.sent.length >= this.txRoom) {
        countDrop(this.#stats, this.#no, TX_FULL)
        continue
      }
      const m = slot * META_WORDS
      const off = meta[m + M_OFF]!
      this.sent.push({
        data: bytes.slice(off, off + meta[m + M_LEN]!),
        vnet: {
          vflags: meta[m + M_VFLAGS]!,
          gsoType: meta[m + M_GSO_TYPE]!,
          gsoSize: meta[m + M_GSO_SIZE]!,
          hdrLen: meta[m + M_HDR_LEN]!,
          csumStart: meta[m + M_CSUM_START]!,
          csumOff: meta[m + M_CSUM_OFF]!,
          outerTh: meta[m + M_OUTER_TH]!,
          innerNh: meta[m + M_INNER_NH]!,
        },
      })
      countFrame(this.#stats, this.#no, PS_TX_PACKETS, PS_TX_FRAMES, bytes, meta, slot)
    }
  }
}
