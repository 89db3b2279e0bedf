/**
 * Reader of the pcapng capture format (draft-ietf-opsawg-pcapng): section header, interface description, enhanced,
 * simple and obsolete packet blocks; other blocks are skipped. Sections may follow each other with different byte
 * orders.
 *
 *     block type, total length, body, total length again; bodies are padded to 4 bytes
 */
import type { Captured, CaptureReader } from './pcap.ts'

const SECTION = 0x0a0d0d0a
const INTERFACE = 1
const PACKET = 2
const SIMPLE = 3
const ENHANCED = 6
const BYTE_ORDER = 0x1a2b3c4d
const OPTION_TSRESOL = 9

interface Interface {
  readonly linkType: number
  readonly snaplen: number
  /** Ticks a second. */
  readonly resolution: bigint
}

export class PcapngReader implements CaptureReader {
  error: string | undefined
  readonly #file: Uint8Array
  readonly #view: DataView
  #little = true
  #at = 0
  #interfaces: Interface[] = []

  private constructor(file: Uint8Array, view: DataView) {
    this.#file = file
    this.#view = view
  }

  /** The caller has seen the section header's type. */
  static open(file: Uint8Array, view: DataView): PcapngReader | string {
    if (file.length < 28) return `pcapng section header cut short: ${file.length} of 28 bytes are there`
    const reader = new PcapngReader(file, view)
    const order = reader.#setOrder()
    return order ?? reader
  }

  next(): Captured | undefined {
    while (this.error === undefined && this.#at < this.#file.length) {
      const at = this.#at
      const left = this.#file.length - at
      if (left < 12) return this.#fail(`file ends inside a block header: ${left} of 12 bytes are there`)
      if (this.#u32(at) === SECTION) {
        const problem = this.#setOrder()
        if (problem !== undefined) return this.#fail(problem)
        this.#interfaces = []
      }
      const type = this.#u32(at)
      const length = this.#u32(at + 4)
      if (length < 12 || length % 4 !== 0)
        return this.#fail(`block at ${at} has length ${length}, a multiple of 4 from 12 on expected`)
      if (length > left) return this.#fail(`file ends inside the block at ${at}: ${left} of ${length} bytes are there`)
      if (this.#u32(at + length - 4) !== length)
        return this.#fail(`block at ${at} ends with another length than it begins with`)
      this.#at += length
      const body = at + 8
      const end = at + length - 4
      if (type === INTERFACE) this.#addInterface(body, end)
      const frame =
        type === ENHANCED || type === PACKET
          ? this.#packet(type, body, end)
          : type === SIMPLE
            ? this.#simple(body, end)
            : undefined
      if (frame !== undefined) return frame
    }
    return undefined
  }

  #u32(at: number): number {
    return this.#view.getUint32(at, this.#little)
  }

  #setOrder(): string | undefined {
    if (this.#file.length - this.#at < 12) return 'file ends inside a section header'
    const mark = this.#view.getUint32(this.#at + 8, true)
    if (mark === BYTE_ORDER) this.#little = true
    else if (this.#view.getUint32(this.#at + 8, false) === BYTE_ORDER) this.#little = false
    else return `section at ${this.#at} has byte-order mark 0x${mark.toString(16)}, 0x1a2b3c4d expected`
    return undefined
  }

  #addInterface(body: number, end: number): void {
    if (end - body < 8) {
      this.#fail(`interface description of ${end - body} bytes, at least 8 expected`)
      return
    }
    let resolution = 1_000_000n
    for (let at = body + 8; end - at >= 4; ) {
      const code = this.#view.getUint16(at, this.#little)
      const length = this.#view.getUint16(at + 2, this.#little)
      if (code === 0 || at + 4 + length > end) break
      if (code === OPTION_TSRESOL && length === 1) {
        const value = this.#file[at + 4]!
        resolution = (value & 0x80) !== 0 ? 1n << BigInt(value & 0x3f) : 10n ** BigInt(value & 0x1f)
      }
      at += 4 + ((length + 3) & ~3)
    }
    const linkType = this.#view.getUint16(body, this.#little)
    this.#interfaces.push({ linkType, snaplen: this.#u32(body + 4), resolution })
  }

  #packet(type: number, body: number, end: number): Captured | undefined {
    if (end - body < 20) return this.#fail(`packet block of ${end - body} bytes, at least 20 expected`)
    const no = type === ENHANCED ? this.#u32(body) : this.#view.getUint16(body, this.#little)
    const from = this.#interfaces[no]
    if (from === undefined) return this.#fail(`packet block names interface ${no}, which was not described`)
    const ticks = (BigInt(this.#u32(body + 4)) << 32n) | BigInt(this.#u32(body + 8))
    const length = this.#u32(body + 12)
    if (length > end - body - 20) {
      return this.#fail(`packet block claims ${length} captured bytes, ${end - body - 20} are there`)
    }
    const bytes = this.#file.subarray(body + 20, body + 20 + length)
    const time = (ticks * 1_000_000_000n) / from.resolution
    return { bytes, originalLength: this.#u32(body + 16), time, linkType: from.linkType }
  }

  #simple(body: number, end: number): Captured | undefined {
    const from = this.#interfaces[0]
    if (end - body < 4 || from === undefined) return this.#fail('simple packet block without length or interface')
    const originalLength = this.#u32(body)
    const length = Math.min(originalLength, from.snaplen === 0 ? originalLength : from.snaplen)
    if (length > end - body - 4)
      return this.#fail(`simple packet block claims ${length} bytes, ${end - body - 4} are there`)
    const bytes = this.#file.subarray(body + 4, body + 4 + length)
    return { bytes, originalLength, time: 0n, linkType: from.linkType }
  }

  #fail(error: string): undefined {
    this.error = error
    return undefined
  }
}
