/**
 * SCTP's common header, RFC 9260 section 3.1. Its checksum is CRC32c, stored least significant byte first (appendix A).
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------------------------------+-------------------------------+
 *     |          Source port          |       Destination port        |
 *     +-------------------------------+-------------------------------+
 *     |                        Verification tag                       |
 *     +---------------------------------------------------------------+
 *     |                            Checksum                           |
 *     +---------------------------------------------------------------+
 */
import { be16, be32, put16, put32 } from './bytes.ts'

export const SCTP_HLEN = 12
export const SCTP_SRC = 0
export const SCTP_DST = 2
export const SCTP_TAG = 4
export const SCTP_CSUM = 8

const CRC_TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  return crc
})

const crcAdd = (crc: number, b: Uint8Array, off: number, len: number): number => {
  let c = crc
  for (let i = off; i < off + len; i++) c = CRC_TABLE[(c ^ b[i]!) & 0xff]! ^ (c >>> 8)
  return c
}

const ZERO = new Uint8Array(4)

/**
 * CRC32c of the `len` bytes of packet at `off`, its checksum field counted as zero; as it is stored, read big endian,
 * unsigned.
 */
export const sctpChecksum = (b: Uint8Array, off: number, len: number): number => {
  let crc = crcAdd(-1, b, off, SCTP_CSUM)
  crc = crcAdd(crc, ZERO, 0, 4)
  const c = ~crcAdd(crc, b, off + SCTP_HLEN, len - SCTP_HLEN)
  return ((c << 24) | ((c & 0xff00) << 8) | ((c >>> 8) & 0xff00) | (c >>> 24)) >>> 0
}

export interface Sctp {
  readonly src: number
  readonly dst: number
  readonly tag: number
  readonly checksum: number
}

export const parseSctp = (b: Uint8Array, off = 0): Sctp | undefined =>
  b.length - off < SCTP_HLEN
    ? undefined
    : {
        src: be16(b, off + SCTP_SRC),
        dst: be16(b, off + SCTP_DST),
        tag: be32(b, off + SCTP_TAG) >>> 0,
        checksum: be32(b, off + SCTP_CSUM) >>> 0,
      }

export const emitSctp = (b: Uint8Array, off: number, sctp: Sctp): void => {
  put16(b, off + SCTP_SRC, sctp.src)
  put16(b, off + SCTP_DST, sctp.dst)
  put32(b, off + SCTP_TAG, sctp.tag)
  put32(b, off + SCTP_CSUM, sctp.checksum)
}
