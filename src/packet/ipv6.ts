/**
 * IPv6, RFC 8200 section 3, and the walk over its extension headers (section 4).
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------+---------------+---------------------------------------+
 *     |Version| Traffic class |              Flow label               |
 *     +-------+-------+-------+-------+---------------+---------------+
 *     |         Payload length        |  Next header  |   Hop limit   |
 *     +-------------------------------+---------------+---------------+
 *     |                     Source address (16 bytes)                 |
 *     +---------------------------------------------------------------+
 *     |                  Destination address (16 bytes)               |
 *     +---------------------------------------------------------------+
 */
import { be16, be32, put16, put32 } from './bytes.ts'

export const IPV6_HLEN = 40
export const IPV6_PLEN = 4
export const IPV6_NEXT = 6
export const IPV6_HOPS = 7
export const IPV6_SRC = 8
export const IPV6_DST = 24

export const EXT_HOPOPTS = 0
export const EXT_ROUTING = 43
export const EXT_FRAGMENT = 44
export const EXT_AUTH = 51
export const EXT_DSTOPTS = 60

export const ipv6PayloadLength = (b: Uint8Array, off: number): number => be16(b, off + IPV6_PLEN)
export const ipv6TrafficClass = (b: Uint8Array, off: number): number => (be16(b, off) >> 4) & 0xff
export const ipv6FlowLabel = (b: Uint8Array, off: number): number => be32(b, off) & 0xfffff

/**
 * True if header and announced payload lie before `end`, with at most 65,535 bytes of padding. The version is not
 * looked at.
 */
export const ipv6Check = (b: Uint8Array, off: number, end: number): boolean => {
  const room = end - off - IPV6_HLEN
  if (room < 0) return false
  const plen = ipv6PayloadLength(b, off)
  return plen <= room && room - plen <= 0xffff
}

/**
 * Fields of ipv6Walk's result: bytes from `from` to the transport header, its protocol, and fragment bits as in
 * flow/key.ts.
 */
export const walkLength = (walk: number): number => walk >> 10
export const walkProto = (walk: number): number => (walk >> 2) & 0xff
export const walkFrag = (walk: number): number => walk & 3

const isExtension = (next: number): boolean =>
  next === EXT_HOPOPTS || next === EXT_ROUTING || next === EXT_DSTOPTS || next === EXT_AUTH || next === EXT_FRAGMENT

/**
 * Walks the extension headers that begin at `from` with protocol `next`, to the first header that is none of
 * hop-by-hop, routing, destination options, authentication, fragment. At a later fragment it stops behind the
 * fragment header and the protocol is EXT_FRAGMENT. `end` is where the payload ends. Returns a packed number
 * (walkLength, walkProto, walkFrag), or -1 when a header is cut short. Hot path.
 */
export const ipv6Walk = (b: Uint8Array, from: number, end: number, next: number): number => {
  let at = from
  let proto = next
  let frag = 0
  while (isExtension(proto)) {
    if (end - at < 8) return -1
    const header = proto
    proto = b[at]!
    if (header === EXT_FRAGMENT) {
      const offlg = be16(b, at + 2)
      at += 8
      // Reserved bits set count as a fragment too, as Open vSwitch has it.
      if (offlg === 0) continue
      frag = 1
      if ((offlg & 0xfff8) !== 0) return ((at - from) << 10) | (EXT_FRAGMENT << 2) | 3
    } else {
      at += header === EXT_AUTH ? (b[at + 1]! + 2) * 4 : (b[at + 1]! + 1) * 8
      if (at > end) return -1
    }
  }
  return ((at - from) << 10) | (proto << 2) | frag
}

/** Addresses as 16 bytes. */
export interface Ipv6 {
  readonly trafficClass: number
  readonly flowLabel: number
  readonly payloadLength: number
  readonly next: number
  readonly hopLimit: number
  readonly src: Uint8Array
  readonly dst: Uint8Array
}

/** Undefined when the header is cut short or announces more than there is. */
export const parseIpv6 = (b: Uint8Array, off = 0): Ipv6 | undefined =>
  ipv6Check(b, off, b.length)
    ? {
        trafficClass: ipv6TrafficClass(b, off),
        flowLabel: ipv6FlowLabel(b, off),
        payloadLength: ipv6PayloadLength(b, off),
        next: b[off + IPV6_NEXT]!,
        hopLimit: b[off + IPV6_HOPS]!,
        src: b.slice(off + IPV6_SRC, off + IPV6_SRC + 16),
        dst: b.slice(off + IPV6_DST, off + IPV6_DST + 16),
      }
    : undefined

export const emitIpv6 = (b: Uint8Array, off: number, ip: Ipv6): void => {
  put32(b, off, (6 << 28) | (ip.trafficClass << 20) | ip.flowLabel)
  put16(b, off + IPV6_PLEN, ip.payloadLength)
  b[off + IPV6_NEXT] = ip.next
  b[off + IPV6_HOPS] = ip.hopLimit
  b.set(ip.src, off + IPV6_SRC)
  b.set(ip.dst, off + IPV6_DST)
}
