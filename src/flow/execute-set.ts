/**
 * `set` actions: write header fields and keep every checksum right by its difference (RFC 1624). Bytes of later fragments are never taken for a
 * transport header; where only a pseudo-header sum is in place (NEEDS_CSUM) only that is kept up.
 */

import { be16, be32, put16, put32 } from '../packet/bytes.ts'
import {
  GSO_UDP_TUNNEL_IPV4,
  GSO_UDP_TUNNEL_IPV6,
  M_CSUM_OFF,
  M_CSUM_START,
  M_GSO_TYPE,
  M_LEN,
  M_OFF,
  M_VFLAGS,
  META_WORDS,
  VNET_F_NEEDS_CSUM,
} from '../packet/slot.ts'
import { adjusted, adjustedPartial, crc32c, sumDelta } from './execute-checksum.ts'
import { ETH_ARP, ETH_IPV4, ETH_IPV6, ETH_MPLS, ETH_MPLS_MC, ETH_RARP, type Located, locate } from './execute-locate.ts'
import { K_ARP_HW, K_ETH, K_IPV6_LABEL, K_ND_TARGET, K_NW, K_NW_DST, K_NW_SRC } from './key.ts'
import {
  OP_SET_ARP,
  OP_SET_ETH,
  OP_SET_ICMP,
  OP_SET_ICMPV6,
  OP_SET_IPV4,
  OP_SET_IPV6,
  OP_SET_MPLS,
  OP_SET_ND,
  OP_SET_SCTP,
  OP_SET_TCP,
  OP_SET_UDP,
} from './program.ts'

const TCP = 6
const UDP = 17
const ICMP = 1
const ICMPV6 = 58
const SCTP = 132
const ND_SOLICIT = 135
const ND_ADVERT = 136
const ND_OPT_SLL = 1
const ND_OPT_TLL = 2
/** VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM: the outer UDP checksum is partial as well. */
const VNET_F_TUNNEL_CSUM = 8

/** Writes 32 bits under a mask; returns what that adds to a sum over them. */
const write32 = (b: Uint8Array, at: number, value: number, mask: number): number => {
  const from = be32(b, at)
  const to = (from & ~mask) | value
  if (from === to) return 0
  put32(b, at, to)
  return sumDelta(from, to)
}

/** The transport checksum's place, or -1 where there is none (or it is cut off). */
const checksumAt = (l: Located): number => {
  if (l.l4 < 0) return -1
  const at =
    l.proto === TCP ? l.l4 + 16 : l.proto === UDP ? l.l4 + 6 : l.proto === ICMPV6 && l.type === ETH_IPV6 ? l.l4 + 2 : -1
  return at >= 0 && at + 2 <= l.end ? at : -1
}

/** True if the checksum stored at `at` is a pseudo-header sum, to be completed on output. */
const isPartial = (meta: Int32Array, m: number, at: number): boolean => {
  const flags = meta[m + M_VFLAGS]!
  if ((flags & VNET_F_NEEDS_CSUM) === 0) return false
  if (at === meta[m + M_OFF]! + meta[m + M_CSUM_START]! + meta[m + M_CSUM_OFF]!) return true
  return (
    (meta[m + M_GSO_TYPE]! & (GSO_UDP_TUNNEL_IPV4 | GSO_UDP_TUNNEL_IPV6)) !== 0 && (flags & VNET_F_TUNNEL_CSUM) !== 0
  )
}

/** Brings the transport checksum in line with a change. `pseudo`: the change is to the pseudo-header, which a partial sum covers; other bytes it does not. */
const fixTransport = (b: Uint8Array, meta: Int32Array, m: number, l: Located, delta: number, pseudo: boolean): void => {
  if (delta === 0) return
  const at = checksumAt(l)
  if (at < 0) return
  const old = be16(b, at)
  if (isPartial(meta, m, at)) {
    if (pseudo) put16(b, at, adjustedPartial(old, delta))
    return
  }
  if (l.proto === UDP) {
    if (old === 0) return
    put16(b, at, adjusted(old, delta) || 0xffff)
  } else put16(b, at, adjusted(old, delta))
}

const setEth = (b: Uint8Array, meta: Int32Array, m: number, p: Int32Array, from: number, to: number): boolean => {
  if (meta[m + M_LEN]! < 14) return false
  const off = meta[m + M_OFF]!
  for (let i = from; i < to; i += 3) write32(b, off + (p[i]! - K_ETH) * 4, p[i + 1]!, p[i + 2]!)
  return true
}

const setIpv4 = (
  b: Uint8Array,
  meta: Int32Array,
  m: number,
  l: Located,
  p: Int32Array,
  from: number,
  to: number,
): boolean => {
  if (l.type !== ETH_IPV4 || l.l3 < 0) return false
  let header = 0
  let pseudo = 0
  for (let i = from; i < to; i += 3) {
    const value = p[i + 1]!
    const mask = p[i + 2]!
    if (p[i] === K_NW) {
      header += write32(b, l.l3, value & 0xff0000, mask & 0xff0000)
      header += write32(b, l.l3 + 8, (value & 0xff00) << 16, (mask & 0xff00) << 16)
    } else pseudo += write32(b, l.l3 + (p[i] === K_NW_SRC ? 12 : 16), value, mask)
  }
  if (header + pseudo !== 0) put16(b, l.l3 + 10, adjusted(be16(b, l.l3 + 10), header + pseudo))
  fixTransport(b, meta, m, l, pseudo, true)
  return true
}

const setIpv6 = (
  b: Uint8Array,
  meta: Int32Array,
  m: number,
  l: Located,
  p: Int32Array,
  from: number,
  to: number,
): boolean => {
  if (l.type !== ETH_IPV6 || l.l3 < 0) return false
  let pseudo = 0
  for (let i = from; i < to; i += 3) {
    const word = p[i]!
    const value = p[i + 1]!
    const mask = p[i + 2]!
    if (word === K_NW) {
      write32(b, l.l3, (value & 0xff0000) << 4, (mask & 0xff0000) << 4)
      write32(b, l.l3 + 4, (value >>> 8) & 0xff, (mask >>> 8) & 0xff)
    } else if (word === K_IPV6_LABEL) write32(b, l.l3, value & 0xfffff, mask & 0xfffff)
    else if (word >= K_NW_SRC && word < K_NW_SRC + 4)
      pseudo += write32(b, l.l3 + 8 + (word - K_NW_SRC) * 4, value, mask)
    else if (word >= K_NW_DST && word < K_NW_DST + 4) {
      const delta = write32(b, l.l3 + 24 + (word - K_NW_DST) * 4, value, mask)
      if (!l.routed) pseudo += delta
    } else return false
  }
  fixTransport(b, meta, m, l, pseudo, true)
  return true
}

const setArp = (b: Uint8Array, l: Located, p: Int32Array, from: number, to: number): boolean => {
  if ((l.type !== ETH_ARP && l.type !== ETH_RARP) || l.l3 < 0 || l.l3 + 28 > l.end) return false
  for (let i = from; i < to; i += 3) {
    const word = p[i]!
    const value = p[i + 1]!
    const mask = p[i + 2]!
    if (word === K_NW) write32(b, l.l3 + 4, value >>> 24, mask >>> 24)
    else if (word === K_NW_SRC) write32(b, l.l3 + 14, value, mask)
    else if (word === K_NW_DST) write32(b, l.l3 + 24, value, mask)
    else if (word === K_ARP_HW) write32(b, l.l3 + 8, value, mask)
    else if (word === K_ARP_HW + 1) {
      write32(b, l.l3 + 10, value >>> 16, mask >>> 16)
      write32(b, l.l3 + 18, value << 16, mask << 16)
    } else write32(b, l.l3 + 20, value, mask)
  }
  return true
}

/** Six bytes of a link-layer option. An option may stand at an odd word, so the sum is taken from its even start. */
const setNdOption = (b: Uint8Array, at: number, high: number, highMask: number, low: number, lowMask: number): number =>
  write32(b, at + 2, high, highMask) + write32(b, at + 4, low & 0xffff, lowMask & 0xffff)

const setNd = (
  b: Uint8Array,
  meta: Int32Array,
  m: number,
  l: Located,
  p: Int32Array,
  from: number,
  to: number,
): boolean => {
  if (l.type !== ETH_IPV6 || l.proto !== ICMPV6 || l.l4 < 0 || l.l4 + 24 > l.end) return false
  const kind = b[l.l4]!
  if (kind !== ND_SOLICIT && kind !== ND_ADVERT) return false
  let delta = 0
  let hw0 = 0,
    hw1 = 0,
    hw2 = 0,
    mask0 = 0,
    mask1 = 0,
    mask2 = 0
  for (let i = from; i < to; i += 3) {
    const word = p[i]!
    const value = p[i + 1]!
    const mask = p[i + 2]!
    if (word < K_ND_TARGET + 4) delta += write32(b, l.l4 + 8 + (word - K_ND_TARGET) * 4, value, mask)
    else if (word === K_ARP_HW) [hw0, mask0] = [value, mask]
    else if (word === K_ARP_HW + 1) [hw1, mask1] = [value, mask]
    else [hw2, mask2] = [value, mask]
  }
  for (let at = l.l4 + 24; at + 8 <= l.end; ) {
    const size = b[at + 1]! * 8
    if (size === 0 || at + size > l.end) break
    if (b[at] === ND_OPT_SLL && size === 8) delta += setNdOption(b, at, hw0, mask0, hw1 >>> 16, mask1 >>> 16)
    else if (b[at] === ND_OPT_TLL && size === 8)
      delta += setNdOption(
        b,
        at,
        (hw1 << 16) | (hw2 >>> 16),
        (mask1 << 16) | (mask2 >>> 16),
        hw2 & 0xffff,
        mask2 & 0xffff,
      )
    at += size
  }
  fixTransport(b, meta, m, l, delta, false)
  return true
}

const setSctp = (b: Uint8Array, l: Located, value: number, mask: number): boolean => {
  if (l.l4 + 12 > l.end) return false
  const at = l.l4 + 8
  const before = crc32c(b, l.l4, l.end, at)
  write32(b, l.l4, value, mask)
  const diff = before ^ crc32c(b, l.l4, l.end, at)
  for (let i = 0; i < 4; i++) b[at + i] = b[at + i]! ^ (diff >>> (8 * i))
  return true
}

const setTransport = (
  b: Uint8Array,
  meta: Int32Array,
  m: number,
  l: Located,
  proto: number,
  p: Int32Array,
  at: number,
): boolean => {
  if (l.proto !== proto || l.l3 < 0) return false
  // A later fragment has no transport header, though its flow may match the protocol: nothing to write.
  if (l.l4 < 0) return true
  const value = p[at + 1]!
  const mask = p[at + 2]!
  if (l.l4 + 8 > l.end && proto !== ICMP && proto !== ICMPV6) return false
  if (proto === SCTP) return setSctp(b, l, value, mask)
  if (proto !== ICMP && proto !== ICMPV6) {
    fixTransport(b, meta, m, l, write32(b, l.l4, value, mask), false)
    return true
  }
  if (l.l4 + 4 > l.end) return false
  const type = ((value >>> 16) << 24) | ((value & 0xff) << 16)
  const delta = write32(b, l.l4, type, ((mask >>> 16) << 24) | ((mask & 0xff) << 16))
  if (proto === ICMPV6) fixTransport(b, meta, m, l, delta, false)
  else if (delta !== 0 && !isPartial(meta, m, l.l4 + 2)) put16(b, l.l4 + 2, adjusted(be16(b, l.l4 + 2), delta))
  return true
}

/**
 * Runs one `set` instruction: program words [from, to) are its triples (word, value, mask). `l` is scratch. False when the packet does not
 * have the header, or not all of it: the frame is to be dropped as malformed.
 */
export const setHeader = (
  b: Uint8Array,
  meta: Int32Array,
  slot: number,
  op: number,
  p: Int32Array,
  from: number,
  to: number,
  l: Located,
): boolean => {
  const m = slot * META_WORDS
  if (op === OP_SET_ETH) return setEth(b, meta, m, p, from, to)
  if (!locate(b, meta, slot, l)) return false
  switch (op) {
    case OP_SET_IPV4:
      return setIpv4(b, meta, m, l, p, from, to)
    case OP_SET_IPV6:
      return setIpv6(b, meta, m, l, p, from, to)
    case OP_SET_ARP:
      return setArp(b, l, p, from, to)
    case OP_SET_ND:
      return setNd(b, meta, m, l, p, from, to)
    case OP_SET_TCP:
      return setTransport(b, meta, m, l, TCP, p, from)
    case OP_SET_UDP:
      return setTransport(b, meta, m, l, UDP, p, from)
    case OP_SET_SCTP:
      return setTransport(b, meta, m, l, SCTP, p, from)
    case OP_SET_ICMP:
      return setTransport(b, meta, m, l, ICMP, p, from)
    case OP_SET_ICMPV6:
      return setTransport(b, meta, m, l, ICMPV6, p, from)
    case OP_SET_MPLS:
      if ((l.type !== ETH_MPLS && l.type !== ETH_MPLS_MC) || l.typeAt + 6 > l.end || l.l3 !== l.typeAt + 2) return false
      write32(b, l.typeAt + 2, p[from + 1]!, p[from + 2]!)
      return true
    default:
      return false
  }
}
