/**
 * MPLS label stack entries, RFC 3032 section 2.1 (traffic class: RFC 5462).
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------------------------------+-----+-+---------------+
 *     |                 Label                 | TC  |S|      TTL      |
 *     +---------------------------------------+-----+-+---------------+
 *
 * S marks the bottom of the stack.
 */
import { be32 } from './bytes.ts'

export const MPLS_HLEN = 4
export const MPLS_BOS = 0x100

export const lseLabel = (lse: number): number => lse >>> 12
export const lseTc = (lse: number): number => (lse >>> 9) & 7
export const lseBos = (lse: number): number => (lse >>> 8) & 1
export const lseTtl = (lse: number): number => lse & 0xff

/**
 * Bytes of whole entries from `off` up to and with the bottom of the stack, or up to `end` when there is none. Hot
 * path.
 */
export const mplsStackLength = (b: Uint8Array, off: number, end: number): number => {
  let at = off
  while (end - at >= MPLS_HLEN) {
    at += MPLS_HLEN
    if ((b[at - 2]! & 1) !== 0) break
  }
  return at - off
}

export interface MplsEntry {
  readonly label: number
  readonly tc: number
  readonly bos: boolean
  readonly ttl: number
}

export const parseMpls = (b: Uint8Array, off = 0): MplsEntry | undefined => {
  if (b.length - off < MPLS_HLEN) return undefined
  const lse = be32(b, off)
  return { label: lseLabel(lse), tc: lseTc(lse), bos: lseBos(lse) === 1, ttl: lseTtl(lse) }
}

/** The 32 bits of an entry. */
export const mplsWord = ({ label, tc, bos, ttl }: MplsEntry): number =>
  (label << 12) | (tc << 9) | (bos ? MPLS_BOS : 0) | ttl
