/**
 * IPv4, RFC 791 section 3.1.
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------+-------+-----------+---+-------------------------------+
 *     |Version|  IHL  | DSCP      |ECN|          Total length         |
 *     +-------+-------+-----------+---+-----+-------------------------+
 *     |         Identification        |Flags|     Fragment offset     |
 *     +---------------+---------------+-----+-------------------------+
 *     |      TTL      |    Protocol   |        Header checksum        |
 *     +---------------+---------------+-------------------------------+
 *     |                         Source address                        |
 *     +---------------------------------------------------------------+
 *     |                      Destination address                      |
 *     +---------------------------------------------------------------+
 *     |                    Options (IHL - 5 words)                    |
 *     +---------------------------------------------------------------+
 */
import { be16, be32, put16, put32 } from './bytes.ts'
import { checksum } from './checksum.ts'

export const IPV4_HLEN = 20
export const IPV4_TOS = 1
export const IPV4_TOTAL = 2
export const IPV4_ID = 4
export const IPV4_FRAG = 6
export const IPV4_TTL = 8
export const IPV4_PROTO = 9
export const IPV4_CSUM = 10
export const IPV4_SRC = 12
export const IPV4_DST = 16

export const IPV4_DF = 0x4000
export const IPV4_MF = 0x2000
export const IPV4_OFFSET_MASK = 0x1fff

export const IP_PROTO_ICMP = 1
export const IP_PROTO_IGMP = 2
export const IP_PROTO_TCP = 6
export const IP_PROTO_UDP = 17
export const IP_PROTO_ICMPV6 = 58
export const IP_PROTO_SCTP = 132

export const ipv4HeaderLength = (b: Uint8Array, off: number): number => (b[off]! & 15) << 2
export const ipv4TotalLength = (b: Uint8Array, off: number): number => be16(b, off + IPV4_TOTAL)
/** Flags and offset, the whole 16 bits. */
export const ipv4Frag = (b: Uint8Array, off: number): number => be16(b, off + IPV4_FRAG)

/**
 * Length of the header at `off` if it and all that its total length announces lie before `end`; -1 if not. The
 * version is not looked at (Ethernet's type decides), and up to 65,535 bytes of padding may follow.
 */
export const ipv4Check = (b: Uint8Array, off: number, end: number): number => {
  const room = end - off
  if (room < IPV4_HLEN) return -1
  const header = ipv4HeaderLength(b, off)
  if (header < IPV4_HLEN) return -1
  const total = ipv4TotalLength(b, off)
  return total > room || header > total || room - total > 0xffff ? -1 : header
}

/** Addresses as unsigned 32-bit numbers. */
export interface Ipv4 {
  readonly tos: number
  readonly totalLength: number
  readonly id: number
  readonly dontFragment: boolean
  readonly moreFragments: boolean
  /** In bytes. */
  readonly fragmentOffset: number
  readonly ttl: number
  readonly proto: number
  readonly src: number
  readonly dst: number
  readonly options: Uint8Array
}

/** Undefined when the header is cut short or its lengths lie. The checksum is not verified. */
export const parseIpv4 = (b: Uint8Array, off = 0): Ipv4 | undefined => {
  const header = ipv4Check(b, off, b.length)
  if (header < 0) return undefined
  const frag = ipv4Frag(b, off)
  return {
    tos: b[off + IPV4_TOS]!,
    totalLength: ipv4TotalLength(b, off),
    id: be16(b, off + IPV4_ID),
    dontFragment: (frag & IPV4_DF) !== 0,
    moreFragments: (frag & IPV4_MF) !== 0,
    fragmentOffset: (frag & IPV4_OFFSET_MASK) * 8,
    ttl: b[off + IPV4_TTL]!,
    proto: b[off + IPV4_PROTO]!,
    src: be32(b, off + IPV4_SRC) >>> 0,
    dst: be32(b, off + IPV4_DST) >>> 0,
    options: b.slice(off + IPV4_HLEN, off + header),
  }
}

/** Writes header and checksum; returns the header's length. Options must be a multiple of 4 bytes, at most 40. */
export const emitIpv4 = (b: Uint8Array, off: number, ip: Ipv4): number => {
  const { options } = ip
  if (options.length % 4 !== 0 || options.length > 40) {
    throw new RangeError(`IPv4 options of ${options.length} bytes: a multiple of 4, at most 40, expected`)
  }
  const header = IPV4_HLEN + options.length
  b[off] = 0x40 | (header >> 2)
  b[off + IPV4_TOS] = ip.tos
  put16(b, off + IPV4_TOTAL, ip.totalLength)
  put16(b, off + IPV4_ID, ip.id)
  const flags = (ip.dontFragment ? IPV4_DF : 0) | (ip.moreFragments ? IPV4_MF : 0)
  put16(b, off + IPV4_FRAG, flags | (ip.fragmentOffset >> 3))
  b[off + IPV4_TTL] = ip.ttl
  b[off + IPV4_PROTO] = ip.proto
  put16(b, off + IPV4_CSUM, 0)
  put32(b, off + IPV4_SRC, ip.src)
  put32(b, off + IPV4_DST, ip.dst)
  b.set(options, off + IPV4_HLEN)
  put16(b, off + IPV4_CSUM, checksum(b, off, header))
  return header
}
