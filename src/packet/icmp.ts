/**
 * ICMP, RFC 792: type, code, checksum, and 4 bytes whose meaning depends on the type (identifier and sequence number
 * of an echo).
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+-------------------------------+
 *     |      Type     |      Code     |            Checksum           |
 *     +---------------+---------------+-------------------------------+
 *     |                      Rest of the header                       |
 *     +---------------------------------------------------------------+
 */
import { be16, be32, put16, put32 } from './bytes.ts'

export const ICMP_HLEN = 8
export const ICMP_TYPE = 0
export const ICMP_CODE = 1
export const ICMP_CSUM = 2
export const ICMP_REST = 4

export const ICMP_ECHO_REPLY = 0
export const ICMP_UNREACHABLE = 3
export const ICMP_ECHO = 8

export interface Icmp {
  readonly type: number
  readonly code: number
  readonly checksum: number
  /** Unsigned 32 bits. */
  readonly rest: number
}

/** Also for ICMPv6, whose first 8 bytes have the same form. */
export const parseIcmp = (b: Uint8Array, off = 0): Icmp | undefined =>
  b.length - off < ICMP_HLEN
    ? undefined
    : {
        type: b[off + ICMP_TYPE]!,
        code: b[off + ICMP_CODE]!,
        checksum: be16(b, off + ICMP_CSUM),
        rest: be32(b, off + ICMP_REST) >>> 0,
      }

export const emitIcmp = (b: Uint8Array, off: number, icmp: Icmp): void => {
  b[off + ICMP_TYPE] = icmp.type
  b[off + ICMP_CODE] = icmp.code
  put16(b, off + ICMP_CSUM, icmp.checksum)
  put32(b, off + ICMP_REST, icmp.rest)
}
