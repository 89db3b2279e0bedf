/**
 * ICMPv6 (RFC 4443) and Neighbour Discovery's solicitation and advertisement (RFC 4861 sections 4.3, 4.4, 4.6.1).
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+-------------------------------+
 *     |      Type     |      Code     |            Checksum           |
 *     +-+-+-+---------+---------------+-------------------------------+
 *     |R|S|O|                     Reserved                            |
 *     +-+-+-+---------------------------------------------------------+
 *     |                    Target address (16 bytes)                  |
 *     +---------------+---------------+-------------------------------+
 *     |  Option type  | Length (8 B)  |  Link-layer address ...       |
 *     +---------------+---------------+-------------------------------+
 */
import { be32, be48, put32, put48 } from './bytes.ts'
import { ICMP_CODE, ICMP_HLEN, ICMP_TYPE } from './icmp.ts'

export const ICMPV6_ECHO = 128
export const ICMPV6_ECHO_REPLY = 129
export const ND_SOLICIT = 135
export const ND_ADVERT = 136

export const ND_RESERVED = 4
export const ND_TARGET = 8
/** Where options begin. */
export const ND_HLEN = 24
export const ND_OPT_SOURCE = 1
export const ND_OPT_TARGET = 2
/** Length of a link-layer option with an Ethernet address. */
export const ND_OPT_LEN = 8

/** The caller has checked for ICMP_HLEN bytes. */
export const isNd = (b: Uint8Array, off: number): boolean =>
  b[off + ICMP_CODE] === 0 && (b[off + ICMP_TYPE] === ND_SOLICIT || b[off + ICMP_TYPE] === ND_ADVERT)

export interface NeighbourMessage {
  /** ND_SOLICIT or ND_ADVERT. */
  readonly type: number
  /** R, S and O in the uppermost bits; unsigned 32 bits. */
  readonly flags: number
  readonly target: Uint8Array
  /** From the source (or target) link-layer option, below 2^48. */
  readonly sourceMac?: number
  readonly targetMac?: number
}

/**
 * Undefined when it is neither message, cut short, or an option has length 0 or goes beyond the end. Other options
 * are skipped.
 */
export const parseNeighbourMessage = (b: Uint8Array, off = 0, end = b.length): NeighbourMessage | undefined => {
  if (end - off < ND_HLEN || !isNd(b, off)) return undefined
  let sourceMac: number | undefined
  let targetMac: number | undefined
  for (let at = off + ND_HLEN; at < end; ) {
    if (end - at < ND_OPT_LEN) return undefined
    const length = b[at + 1]! * 8
    if (length === 0 || length > end - at) return undefined
    if (b[at] === ND_OPT_SOURCE && length === ND_OPT_LEN) sourceMac ??= be48(b, at + 2)
    if (b[at] === ND_OPT_TARGET && length === ND_OPT_LEN) targetMac ??= be48(b, at + 2)
    at += length
  }
  return {
    type: b[off]!,
    flags: be32(b, off + ND_RESERVED) >>> 0,
    target: b.slice(off + ND_TARGET, off + ND_HLEN),
    ...(sourceMac === undefined ? {} : { sourceMac }),
    ...(targetMac === undefined ? {} : { targetMac }),
  }
}

/** Writes the message with checksum 0 and returns its length. */
export const emitNeighbourMessage = (b: Uint8Array, off: number, message: NeighbourMessage): number => {
  b.fill(0, off, off + ICMP_HLEN)
  b[off] = message.type
  put32(b, off + ND_RESERVED, message.flags)
  b.set(message.target, off + ND_TARGET)
  let at = off + ND_HLEN
  const option = (type: number, mac: number | undefined): void => {
    if (mac === undefined) return
    b[at] = type
    b[at + 1] = 1
    put48(b, at + 2, mac)
    at += ND_OPT_LEN
  }
  option(ND_OPT_SOURCE, message.sourceMac)
  option(ND_OPT_TARGET, message.targetMac)
  return at - off
}
