/**
 * Where the headers of a frame begin, for the action executor and for statistics. Same judgement of lengths as
 * extraction (flow/extract.ts): a layer whose header is cut short or lies is not there.
 */
import { be16 } from './bytes.ts'
import {
  ETH_HLEN,
  ETH_TYPE,
  ETH_TYPE_IPV4,
  ETH_TYPE_IPV6,
  ETH_TYPE_MIN,
  ETH_TYPE_MPLS,
  ETH_TYPE_MPLS_MCAST,
} from './ethernet.ts'
import { ICMP_HLEN } from './icmp.ts'
import {
  IP_PROTO_ICMP,
  IP_PROTO_ICMPV6,
  IP_PROTO_IGMP,
  IP_PROTO_SCTP,
  IP_PROTO_TCP,
  IP_PROTO_UDP,
  IPV4_OFFSET_MASK,
  IPV4_PROTO,
  ipv4Check,
  ipv4Frag,
  ipv4TotalLength,
} from './ipv4.ts'
import {
  IPV6_HLEN,
  IPV6_NEXT,
  ipv6Check,
  ipv6PayloadLength,
  ipv6Walk,
  walkFrag,
  walkLength,
  walkProto,
} from './ipv6.ts'
import { SNAP_HLEN, snapType } from './llc.ts'
import { mplsStackLength } from './mpls.ts'
import { SCTP_HLEN } from './sctp.ts'
import { tcpCheck } from './tcp.ts'
import { UDP_HLEN } from './udp.ts'
import { isVlanType, VLAN_HLEN } from './vlan.ts'

/** Words that parseOffsets fills. Offsets count from the frame's first byte; -1: there is no such layer. */
/** MPLS label stack. */
export const L_MPLS = 0
/**
 * What follows Ethernet, its tags and any MPLS stack, whatever it is; for IP the IP header. -1 for a frame without
 * Ethernet header.
 */
export const L_L3 = 1
/**
 * Transport header: IP's lengths are sane, it is no later fragment, and of a known protocol its fixed header is whole.
 */
export const L_L4 = 2
/**
 * Transport protocol (after IPv6's extension headers); 44 for a later fragment of IPv6; -1 if IP's header is not sane
 * or it is not IP.
 */
export const L_PROTO = 3
/** Where IP's payload ends by its own length; what follows is padding. Without sane IP: the frame's length. */
export const L_END = 4
/** Ethernet type after tags, as in the key: 0x05ff without one, -1 without Ethernet header. */
export const L_TYPE = 5
/** VLAN tags, 0 to 2. */
export const L_TAGS = 6
export const L_WORDS = 8

/** Fills `out` (L_WORDS words). Hot path: no allocation, nothing outside of [off, off + len) is read. */
export const parseOffsets = (bytes: Uint8Array, off: number, len: number, out: Int32Array): void => {
  out[L_MPLS] = -1
  out[L_L3] = -1
  out[L_L4] = -1
  out[L_PROTO] = -1
  out[L_END] = len
  out[L_TYPE] = -1
  out[L_TAGS] = 0
  if (len < ETH_HLEN) return
  const end = off + len
  let at = off + ETH_TYPE
  let type = be16(bytes, at)
  let tags = 0
  for (; tags < 2 && isVlanType(type) && end - at >= VLAN_HLEN + 2; tags++) {
    at += VLAN_HLEN
    type = be16(bytes, at)
  }
  at += 2
  if (type < ETH_TYPE_MIN) {
    type = snapType(bytes, at, end)
    if (type >= ETH_TYPE_MIN) at += SNAP_HLEN
  }
  out[L_TAGS] = tags
  out[L_TYPE] = type
  if (type === ETH_TYPE_MPLS || type === ETH_TYPE_MPLS_MCAST) {
    out[L_MPLS] = at - off
    at += mplsStackLength(bytes, at, end)
  }
  out[L_L3] = at - off
  if (type === ETH_TYPE_IPV4) layoutIpv4(bytes, off, at, end, out)
  else if (type === ETH_TYPE_IPV6) layoutIpv6(bytes, off, at, end, out)
}

const layoutIpv4 = (bytes: Uint8Array, off: number, at: number, end: number, out: Int32Array): void => {
  const header = ipv4Check(bytes, at, end)
  if (header < 0) return
  const proto = bytes[at + IPV4_PROTO]!
  const payloadEnd = at + ipv4TotalLength(bytes, at)
  out[L_PROTO] = proto
  out[L_END] = payloadEnd - off
  const later = (ipv4Frag(bytes, at) & IPV4_OFFSET_MASK) !== 0
  if (!later && isWhole(bytes, at + header, payloadEnd, proto)) out[L_L4] = at + header - off
}

const layoutIpv6 = (bytes: Uint8Array, off: number, at: number, end: number, out: Int32Array): void => {
  if (!ipv6Check(bytes, at, end)) return
  const payload = at + IPV6_HLEN
  const payloadEnd = payload + ipv6PayloadLength(bytes, at)
  out[L_END] = payloadEnd - off
  const walk = ipv6Walk(bytes, payload, payloadEnd, bytes[at + IPV6_NEXT]!)
  if (walk < 0) return
  const proto = walkProto(walk)
  const l4 = payload + walkLength(walk)
  out[L_PROTO] = proto
  if (walkFrag(walk) < 2 && isWhole(bytes, l4, payloadEnd, proto)) out[L_L4] = l4 - off
}

const isWhole = (bytes: Uint8Array, at: number, end: number, proto: number): boolean => {
  switch (proto) {
    case IP_PROTO_TCP:
      return tcpCheck(bytes, at, end) >= 0
    case IP_PROTO_UDP:
      return end - at >= UDP_HLEN
    case IP_PROTO_SCTP:
      return end - at >= SCTP_HLEN
    case IP_PROTO_ICMP:
    case IP_PROTO_IGMP:
    case IP_PROTO_ICMPV6:
      return end - at >= ICMP_HLEN
    default:
      return true
  }
}
