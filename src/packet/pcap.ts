/**
 * The classic capture file: reader (microseconds and nanoseconds, both byte orders) and writer (nanoseconds, this
 * machine's order).
 *
 *     magic a1b2c3d4 (us) or a1b23c4d (ns), version 2.4, zone, sigfigs, snaplen, link type        24 bytes
 *     seconds, fraction, captured length, original length, then the captured bytes                16 bytes +
 *     captured, repeated
 *
 * What goes wrong in a file is a value, not an exception, and the frames before it are still given out. Control path;
 * a whole file in memory.
 */
import { PcapngReader } from './pcapng.ts'

export const LINK_ETHERNET = 1
export const LINK_LINUX_SLL = 113

/** Longest captured length that is believed. */
export const MAX_CAPTURED = 1 << 20

export interface Captured {
  /** A view into the file. */
  readonly bytes: Uint8Array
  /** Length on the wire; more than bytes.length when the capture cut it. */
  readonly originalLength: number
  /** Nanoseconds since 1970. */
  readonly time: bigint
  readonly linkType: number
}

export interface CaptureReader {
  /** The next frame; undefined at the end or at an error. */
  next(): Captured | undefined
  /** What was wrong with the file, after next() has returned undefined. */
  readonly error: string | undefined
}

const US = 0xa1b2c3d4
const NS = 0xa1b23c4d
const PCAPNG = 0x0a0d0d0a

class PcapReader implements CaptureReader {
  error: string | undefined
  readonly linkType: number
  readonly #view: DataView
  readonly #file: Uint8Array
  readonly #little: boolean
  readonly #unit: bigint
  #at = 24
  #count = 0

  constructor(file: Uint8Array, view: DataView, little: boolean, unit: bigint) {
    this.#file = file
    this.#view = view
    this.#little = little
    this.#unit = unit
    // The upper bits tell of an FCS, which we do not ask for.
    this.linkType = view.getUint32(20, little) & 0xffff
  }

  next(): Captured | undefined {
    const left = this.#file.length - this.#at
    if (this.error !== undefined || left === 0) return undefined
    this.#count++
    if (left < 16)
      return this.#fail(`file ends inside the header of record ${this.#count}: ${left} of 16 bytes are there`)
    const seconds = this.#view.getUint32(this.#at, this.#little)
    const fraction = this.#view.getUint32(this.#at + 4, this.#little)
    const length = this.#view.getUint32(this.#at + 8, this.#little)
    const originalLength = this.#view.getUint32(this.#at + 12, this.#little)
    if (length > MAX_CAPTURED)
      return this.#fail(`record ${this.#count} claims ${length} bytes, at most ${MAX_CAPTURED} expected`)
    if (length > left - 16)
      return this.#fail(`file ends inside record ${this.#count}: ${left - 16} of ${length} bytes are there`)
    const bytes = this.#file.subarray(this.#at + 16, this.#at + 16 + length)
    this.#at += 16 + length
    const time = BigInt(seconds) * 1_000_000_000n + BigInt(fraction) * this.#unit
    return { bytes, originalLength, time, linkType: this.linkType }
  }

  #fail(error: string): undefined {
    this.error = error
    return undefined
  }
}

/** Opens a capture file of either format by its magic number. A string tells why it is none. */
export const openCapture = (file: Uint8Array): CaptureReader | string => {
  if (file.length < 4) return `not a capture file: ${file.length} bytes`
  const view = new DataView(file.buffer, file.byteOffset, file.length)
  const magic = view.getUint32(0, true)
  if (magic === PCAPNG) return PcapngReader.open(file, view)
  const swapped = view.getUint32(0, false)
  const little = magic === US || magic === NS
  if (!little && swapped !== US && swapped !== NS) {
    return `not a capture file: magic 0x${magic.toString(16).padStart(8, '0')}, pcap's or pcapng's expected`
  }
  if (file.length < 24) return `pcap header cut short: ${file.length} of 24 bytes are there`
  return new PcapReader(file, view, little, (little ? magic : swapped) === NS ? 1n : 1000n)
}

/** The file header that a writer puts first. */
export const pcapHeader = (linkType = LINK_ETHERNET, snaplen = MAX_CAPTURED): Uint8Array => {
  const out = new Uint8Array(24)
  const view = new DataView(out.buffer)
  view.setUint32(0, NS, true)
  view.setUint16(4, 2, true)
  view.setUint16(6, 4, true)
  view.setUint32(16, snaplen, true)
  view.setUint32(20, linkType, true)
  return out
}

/** One record: the frame bytes[off .. off + len), captured whole. `time` in nanoseconds since 1970. */
export const pcapRecord = (bytes: Uint8Array, off: number, len: number, time: bigint): Uint8Array => {
  const out = new Uint8Array(16 + len)
  const view = new DataView(out.buffer)
  view.setUint32(0, Number(time / 1_000_000_000n), true)
  view.setUint32(4, Number(time % 1_000_000_000n), true)
  view.setUint32(8, len, true)
  view.setUint32(12, len, true)
  out.set(bytes.subarray(off, off + len), 16)
  return out
}
