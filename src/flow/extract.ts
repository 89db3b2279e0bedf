/**
 * From bytes to the flow key. Field for field what Open vSwitch 3.1 extracts, of any bytes whatsoever
 * (test/system/extract compares the two): a header that is cut short, or whose lengths lie, leaves its fields and
 * those of all inner headers zero.
 *
 * Hot path, called by every thread that looks packets up: no allocation, no exception, nothing outside of [off, off +
 * len) is read.
 */
import { ARP_OP, ARP_SHA, ARP_SPA, ARP_THA, ARP_TPA, arpCheck } from '../packet/arp.ts'
import { be16, be32 } from '../packet/bytes.ts'
import {
  ETH_HLEN,
  ETH_TYPE,
  ETH_TYPE_ARP,
  ETH_TYPE_IPV4,
  ETH_TYPE_IPV6,
  ETH_TYPE_MIN,
  ETH_TYPE_MPLS,
  ETH_TYPE_MPLS_MCAST,
  ETH_TYPE_NSH,
  ETH_TYPE_RARP,
} from '../packet/ethernet.ts'
import {
  IPV4_DST,
  IPV4_MF,
  IPV4_OFFSET_MASK,
  IPV4_PROTO,
  IPV4_SRC,
  IPV4_TOS,
  IPV4_TTL,
  ipv4Check,
  ipv4Frag,
  ipv4TotalLength,
} from '../packet/ipv4.ts'
import {
  IPV6_DST,
  IPV6_HLEN,
  IPV6_HOPS,
  IPV6_NEXT,
  IPV6_SRC,
  ipv6Check,
  ipv6PayloadLength,
  ipv6Walk,
  walkFrag,
  walkLength,
  walkProto,
} from '../packet/ipv6.ts'
import { SNAP_HLEN, snapType } from '../packet/llc.ts'
import { MPLS_HLEN, mplsStackLength } from '../packet/mpls.ts'
import { NSH_CONTEXT, NSH_MD_TYPE, NSH_NEXT, NSH_PATH, nshCheck, nshFlags, nshTtl } from '../packet/nsh.ts'
import { isVlanType, VLAN_HLEN } from '../packet/vlan.ts'
import { extractTransport } from './extract-transport.ts'
import * as K from './key.ts'

/** Fills words K_ETH .. K_DP_WORDS - 1 from the frame at bytes[off .. off + len); the other words are left alone. */
export const extract = (bytes: Uint8Array, off: number, len: number, key: Int32Array): void => {
  for (let i = K.K_ETH; i < K.K_DP_WORDS; i++) key[i] = 0
  if (len < ETH_HLEN) return
  const end = off + len
  key[K.K_ETH] = be32(bytes, off)
  key[K.K_ETH + 1] = be32(bytes, off + 4)
  key[K.K_ETH + 2] = be32(bytes, off + 8)
  let at = off + ETH_TYPE
  let type = be16(bytes, at)
  // A tag counts only if the type behind it is there too.
  for (let word = K.K_VLAN0; word <= K.K_VLAN1 && isVlanType(type) && end - at >= VLAN_HLEN + 2; word++) {
    key[word] = be32(bytes, at) | K.VLAN_CFI
    at += VLAN_HLEN
    type = be16(bytes, at)
  }
  at += 2
  if (type < ETH_TYPE_MIN) {
    type = snapType(bytes, at, end)
    at += SNAP_HLEN
  }
  key[K.K_DL_TYPE] = type << 16
  if (type === ETH_TYPE_IPV4) extractIpv4(bytes, at, end, key)
  else if (type === ETH_TYPE_IPV6) extractIpv6(bytes, at, end, key)
  else if (type === ETH_TYPE_ARP || type === ETH_TYPE_RARP) extractArp(bytes, at, end, key)
  else if (type === ETH_TYPE_MPLS || type === ETH_TYPE_MPLS_MCAST) extractMpls(bytes, at, end, key)
  else if (type === ETH_TYPE_NSH) extractNsh(bytes, at, end, key)
}

const extractIpv4 = (bytes: Uint8Array, at: number, end: number, key: Int32Array): void => {
  const header = ipv4Check(bytes, at, end)
  if (header < 0) return
  key[K.K_NW_SRC] = be32(bytes, at + IPV4_SRC)
  key[K.K_NW_DST] = be32(bytes, at + IPV4_DST)
  const flags = ipv4Frag(bytes, at)
  let frag = 0
  if ((flags & (IPV4_MF | IPV4_OFFSET_MASK)) !== 0) {
    frag = (flags & IPV4_OFFSET_MASK) !== 0 ? K.FRAG_ANY | K.FRAG_LATER : K.FRAG_ANY
  }
  const proto = bytes[at + IPV4_PROTO]!
  key[K.K_NW] = (proto << 24) | (bytes[at + IPV4_TOS]! << 16) | (bytes[at + IPV4_TTL]! << 8) | frag
  if ((frag & K.FRAG_LATER) === 0) extractTransport(bytes, at + header, at + ipv4TotalLength(bytes, at), proto, key)
}

const extractIpv6 = (bytes: Uint8Array, at: number, end: number, key: Int32Array): void => {
  if (!ipv6Check(bytes, at, end)) return
  for (let i = 0; i < 4; i++) {
    key[K.K_NW_SRC + i] = be32(bytes, at + IPV6_SRC + 4 * i)
    key[K.K_NW_DST + i] = be32(bytes, at + IPV6_DST + 4 * i)
  }
  const payload = at + IPV6_HLEN
  const payloadEnd = payload + ipv6PayloadLength(bytes, at)
  const walk = ipv6Walk(bytes, payload, payloadEnd, bytes[at + IPV6_NEXT]!)
  if (walk < 0) return
  const first = be32(bytes, at)
  const proto = walkProto(walk)
  const frag = walkFrag(walk)
  key[K.K_IPV6_LABEL] = first & 0xfffff
  key[K.K_NW] = (proto << 24) | (((first >> 20) & 0xff) << 16) | (bytes[at + IPV6_HOPS]! << 8) | frag
  if ((frag & K.FRAG_LATER) === 0) extractTransport(bytes, payload + walkLength(walk), payloadEnd, proto, key)
}

const extractArp = (bytes: Uint8Array, at: number, end: number, key: Int32Array): void => {
  if (!arpCheck(bytes, at, end)) return
  key[K.K_NW_SRC] = be32(bytes, at + ARP_SPA)
  key[K.K_NW_DST] = be32(bytes, at + ARP_TPA)
  const op = be16(bytes, at + ARP_OP)
  if (op <= 0xff) key[K.K_NW] = op << 24
  key[K.K_ARP_HW] = be32(bytes, at + ARP_SHA)
  key[K.K_ARP_HW + 1] = (be16(bytes, at + ARP_SHA + 4) << 16) | be16(bytes, at + ARP_THA)
  key[K.K_ARP_HW + 2] = be32(bytes, at + ARP_THA + 2)
}

const extractMpls = (bytes: Uint8Array, at: number, end: number, key: Int32Array): void => {
  const entries = Math.min(mplsStackLength(bytes, at, end) / MPLS_HLEN, 3)
  for (let i = 0; i < entries; i++) key[K.K_MPLS + i] = be32(bytes, at + MPLS_HLEN * i)
}

const extractNsh = (bytes: Uint8Array, at: number, end: number, key: Int32Array): void => {
  if (!nshCheck(bytes, at, end)) return
  const type = bytes[at + NSH_MD_TYPE]!
  key[K.K_NSH] = (nshFlags(bytes, at) << 24) | (nshTtl(bytes, at) << 16) | (type << 8) | bytes[at + NSH_NEXT]!
  key[K.K_NSH + 1] = be32(bytes, at + NSH_PATH)
  if (type !== 1) return
  for (let i = 0; i < 4; i++) key[K.K_NSH + 2 + i] = be32(bytes, at + NSH_CONTEXT + 4 * i)
}
