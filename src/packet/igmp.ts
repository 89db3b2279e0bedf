/**
 * IGMP, RFC 2236 section 2 (and the first 8 bytes of version 3, RFC 3376).
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+-------------------------------+
 *     |      Type     | Max resp time |            Checksum           |
 *     +---------------+---------------+-------------------------------+
 *     |                         Group address                         |
 *     +---------------------------------------------------------------+
 */
import { be16, be32, put16, put32 } from './bytes.ts'

export const IGMP_HLEN = 8
export const IGMP_TYPE = 0
export const IGMP_CODE = 1
export const IGMP_GROUP = 4

export interface Igmp {
  readonly type: number
  readonly maxResponse: number
  readonly checksum: number
  /** Unsigned 32 bits. */
  readonly group: number
}

export const parseIgmp = (b: Uint8Array, off = 0): Igmp | undefined =>
  b.length - off < IGMP_HLEN
    ? undefined
    : { type: b[off]!, maxResponse: b[off + 1]!, checksum: be16(b, off + 2), group: be32(b, off + IGMP_GROUP) >>> 0 }

export const emitIgmp = (b: Uint8Array, off: number, igmp: Igmp): void => {
  b[off] = igmp.type
  b[off + 1] = igmp.maxResponse
  put16(b, off + 2, igmp.checksum)
  put32(b, off + IGMP_GROUP, igmp.group)
}
