/**
 * Network Service Header, RFC 8300 section 2, with the fixed-length context of MD type 1.
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---+-+-+-----------+-----------+-------+-------+---------------+
 *     |Ver|O|U|    TTL    |  Length   |U|U|U|U|MD type| Next protocol |
 *     +---+-+-+-----------+-----------+-------+-------+---------------+
 *     |          Service path identifier              | Service index |
 *     +-----------------------------------------------+---------------+
 *     |                 4 context words (MD type 1)                   |
 *     +---------------------------------------------------------------+
 *
 * The length counts 4-byte words. `flags` are the two bits after the version, the O bit the upper one.
 */
import { be16, be32, put16, put32 } from './bytes.ts'

export const NSH_HLEN = 8
export const NSH_MD1_LEN = 24
export const NSH_MD_TYPE = 2
export const NSH_NEXT = 3
export const NSH_PATH = 4
export const NSH_CONTEXT = 8

export const nshFlags = (b: Uint8Array, off: number): number => (b[off]! >> 4) & 3
export const nshTtl = (b: Uint8Array, off: number): number => (be16(b, off) >> 6) & 63
export const nshLength = (b: Uint8Array, off: number): number => (b[off + 1]! & 63) << 2

/**
 * True if a header of version 0 lies whole before `end`, with the length that its MD type asks for. The MD type is
 * the whole byte, unassigned bits included.
 */
export const nshCheck = (b: Uint8Array, off: number, end: number): boolean => {
  if (end - off < NSH_HLEN || b[off]! >> 6 !== 0) return false
  const length = nshLength(b, off)
  if (length > end - off) return false
  const type = b[off + NSH_MD_TYPE]!
  return type === 1 ? length === NSH_MD1_LEN : type !== 2 || length >= NSH_HLEN
}

export interface Nsh {
  readonly flags: number
  readonly ttl: number
  readonly mdType: number
  readonly next: number
  readonly spi: number
  readonly si: number
  /** Four unsigned words for MD type 1, else empty. */
  readonly context: readonly number[]
}

export const parseNsh = (b: Uint8Array, off = 0): Nsh | undefined => {
  if (!nshCheck(b, off, b.length)) return undefined
  const path = be32(b, off + NSH_PATH)
  const mdType = b[off + NSH_MD_TYPE]!
  return {
    flags: nshFlags(b, off),
    ttl: nshTtl(b, off),
    mdType,
    next: b[off + NSH_NEXT]!,
    spi: path >>> 8,
    si: path & 0xff,
    context: mdType === 1 ? [0, 4, 8, 12].map((i) => be32(b, off + NSH_CONTEXT + i) >>> 0) : [],
  }
}

/** Writes a header of MD type 1, or one without context for another type; returns its length. */
export const emitNsh = (b: Uint8Array, off: number, nsh: Nsh): number => {
  const length = nsh.mdType === 1 ? NSH_MD1_LEN : NSH_HLEN
  put16(b, off, (nsh.flags << 12) | (nsh.ttl << 6) | (length >> 2))
  b[off + NSH_MD_TYPE] = nsh.mdType
  b[off + NSH_NEXT] = nsh.next
  put32(b, off + NSH_PATH, (nsh.spi << 8) | nsh.si)
  for (let i = 8; i < length; i += 4) put32(b, off + i, nsh.context[i / 4 - 2] ?? 0)
  return length
}
