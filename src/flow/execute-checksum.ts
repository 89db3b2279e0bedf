/** Checksum arithmetic of the action interpreter: incremental Internet checksums (RFC 1624) and CRC32c (SCTP, RFC 9260 appendix A). */
import { checksumFold } from '../packet/checksum.ts'

/** What replacing the 32 bits `from` by `to` (at an even offset) adds to a one's complement sum. Add several of them, fold once. */
export const sumDelta = (from: number, to: number): number =>
  (~from & 0xffff) + ((~from >>> 16) & 0xffff) + (to & 0xffff) + (to >>> 16)

/** A complete checksum field after `delta`. */
export const adjusted = (checksum: number, delta: number): number =>
  ~checksumFold((~checksum & 0xffff) + delta) & 0xffff

/** A partial checksum (the folded, not complemented sum of the pseudo-header, virtio's NEEDS_CSUM) after `delta`. */
export const adjustedPartial = (sum: number, delta: number): number => checksumFold(sum + delta)

const CRC32C = ((): Int32Array => {
  const table = new Int32Array(256)
  for (let i = 0; i < 256; i++) {
    let c = i
    for (let k = 0; k < 8; k++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
    table[i] = c
  }
  return table
})()

/** CRC32c of bytes[off .. end), the 4 bytes at `zeros` counted as zero. The result is stored least significant byte first. */
export const crc32c = (bytes: Uint8Array, off: number, end: number, zeros: number): number => {
  let c = -1
  for (let i = off; i < end; i++) {
    const b = i >= zeros && i < zeros + 4 ? 0 : bytes[i]!
    c = (c >>> 8) ^ CRC32C[(c ^ b) & 0xff]!
  }
  return ~c
}
