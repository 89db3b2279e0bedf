/** Decorator: shows every frame that crosses a port to a callback, e.g. to write a pcap. Frames pass unchanged. */
import { type Arena, M_GSO_TYPE, M_LEN, M_OFF, M_VFLAGS, META_WORDS, type SlotPool } from '../packet/slot.ts'
import type { Port } from './contract.ts'

export interface CapturedFrame {
  readonly direction: 'rx' | 'tx'
  /** At most `snaplen` bytes, a copy. */
  readonly data: Uint8Array
  /** Full length of the frame. */
  readonly length: number
  readonly vflags: number
  readonly gsoType: number
}

export class CapturePort implements Port {
  readonly #inner: Port
  readonly #arena: Arena
  readonly #snaplen: number
  readonly #seen: (frame: CapturedFrame) => void

  constructor(inner: Port, arena: Arena, seen: (frame: CapturedFrame) => void, snaplen = 65535) {
    this.#inner = inner
    this.#arena = arena
    this.#seen = seen
    this.#snaplen = snaplen
  }

  get name(): string {
    return this.#inner.name
  }

  get fd(): number {
    return this.#inner.fd
  }

  get dead(): boolean {
    return this.#inner.dead
  }

  rx(pool: SlotPool, no: number, out: Int32Array, max: number): number {
    const n = this.#inner.rx(pool, no, out, max)
    for (let i = 0; i < n; i++) this.#show('rx', out[i]!)
    return n
  }

  tx(slots: Int32Array, from: number, n: number): void {
    for (let i = from; i < from + n; i++) this.#show('tx', slots[i]!)
    this.#inner.tx(slots, from, n)
  }

  #show(direction: 'rx' | 'tx', slot: number): void {
    const { bytes, meta } = this.#arena
    const m = slot * META_WORDS
    const off = meta[m + M_OFF]!
    const length = meta[m + M_LEN]!
    this.#seen({
      direction,
      data: bytes.slice(off, off + Math.min(length, this.#snaplen)),
      length,
      vflags: meta[m + M_VFLAGS]!,
      gsoType: meta[m + M_GSO_TYPE]!,
    })
  }
}

const PCAP_MAGIC = 0xa1b2c3d4
const LINKTYPE_ETHERNET = 1

/** Frames in a pcap file (tcpdump's classic format, microseconds, little-endian) held in memory. Bounded: frames beyond `limit` bytes are counted, not kept. */
export class PcapBuffer {
  readonly #parts: Uint8Array[] = []
  readonly #limit: number
  #size = 24
  /** Frames that did not fit. */
  missed = 0

  constructor(limit = 16 * 1024 * 1024) {
    this.#limit = limit
    const head = new DataView(new ArrayBuffer(24))
    head.setUint32(0, PCAP_MAGIC, true)
    head.setUint16(4, 2, true)
    head.setUint16(6, 4, true)
    head.setUint32(16, 262144, true)
    head.setUint32(20, LINKTYPE_ETHERNET, true)
    this.#parts.push(new Uint8Array(head.buffer))
  }

  add(frame: CapturedFrame, ms: number): void {
    const size = 16 + frame.data.length
    if (this.#size + size > this.#limit) {
      this.missed++
      return
    }
    const record = new Uint8Array(size)
    const view = new DataView(record.buffer)
    view.setUint32(0, Math.floor(ms / 1000), true)
    view.setUint32(4, Math.floor((ms % 1000) * 1000), true)
    view.setUint32(8, frame.data.length, true)
    view.setUint32(12, frame.length, true)
    record.set(frame.data, 16)
    this.#parts.push(record)
    this.#size += size
  }

  /** The whole file. */
  toBytes(): Uint8Array {
    const out = new Uint8Array(this.#size)
    let at = 0
    for (const part of this.#parts) {
      out.set(part, at)
      at += part.length
    }
    return out
  }
}
