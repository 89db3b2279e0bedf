/**
 * Decapsulation of VXLAN: judges a frame's outer headers, takes them off and notes them as tunnel metadata. Trusts no length. Any thread; hot path.
 *
 * What is checked: IPv4's header with its checksum, or IPv6's without extension headers; that it is no fragment; the UDP length, and its checksum unless
 * it is zero (RFC 6935 for IPv6) or the virtio-net facts vouch for it; the I flag (RFC 7348: other flags and reserved bits are ignored); 14
 * inner bytes; ECN (RFC 6040 section 4.2). Bytes behind the UDP datagram are padding and go.
 */
import { be16, be32 } from '../packet/bytes.ts'
import { checksum, checksumFold, checksumPatch16, pseudoIpv4, pseudoIpv6, WideChecksum } from '../packet/checksum.ts'
import { IP_PROTO_UDP } from '../packet/ipv4.ts'
import { SNAP_HLEN, snapType } from '../packet/llc.ts'
import {
  type Arena,
  GSO_UDP_TUNNEL_IPV4,
  GSO_UDP_TUNNEL_IPV6,
  M_CSUM_OFF,
  M_CSUM_START,
  M_FIRST_PIPE,
  M_GSO_TYPE,
  M_INNER_NH,
  M_LEN,
  M_OFF,
  M_OUTER_TH,
  M_PORT,
  M_TUN_DST,
  M_TUN_ID,
  M_TUN_META,
  M_TUN_SRC,
  M_TUN_TP,
  M_VFLAGS,
  META_WORDS,
  VNET_F_DATA_VALID,
  VNET_F_NEEDS_CSUM,
  VNET_F_TUNNEL_CSUM,
} from '../packet/slot.ts'
import { VXLAN_F_VNI, vxlanFlags, vxlanVni } from '../packet/vxlan.ts'
import { ETH_IPV4, ETH_IPV6, isVlan } from './execute-locate.ts'
import { shift } from './execute-shift.ts'
import { LOST_DECAP_CHECKSUM, LOST_DECAP_ECN, LOST_DECAP_MALFORMED, LOST_OUTER_FRAGMENT } from './lost.ts'
import { POP_NEEDS_ECN, TUNNEL_OK } from './tunnel-codes.ts'
import { TUN_F_CSUM, TUN_F_DF, TUN_F_KEY } from './tunnel-flags.ts'

const TUNNELLED = GSO_UDP_TUNNEL_IPV4 | GSO_UDP_TUNNEL_IPV6
const UDP_CSUM_OFF = 6
/** UDP and VXLAN headers. */
const BETWEEN = 16
const INNER_MIN = 14
const ECT1 = 1
const ECT0 = 2
const CE = 3

/** Offset of the IP header of the Ethernet frame at `at`, behind its tags, or -1 if there is none. */
const findIp = (b: Uint8Array, frame: number, end: number): number => {
  let at = frame + 12
  let type = be16(b, at)
  while (isVlan(type)) {
    at += 4
    if (at + 2 > end) return -1
    type = be16(b, at)
  }
  at += 2
  if (type < 0x600) {
    type = snapType(b, at, end)
    at += SNAP_HLEN
  }
  if (type === ETH_IPV4) return at + 20 <= end && b[at]! >>> 4 === 4 ? at : -1
  if (type === ETH_IPV6) return at + 40 <= end && b[at]! >>> 4 === 6 ? at : -1
  return -1
}

/** Where UDP begins: past the IP header at `ip`, which ends before `end`; or a code, less than 0: ~LOST_*. */
const checkIpv4 = (b: Uint8Array, ip: number): number => {
  const header = (b[ip]! & 15) * 4
  const total = be16(b, ip + 2)
  if (header < 20 || total < header) return ~LOST_DECAP_MALFORMED
  if ((be16(b, ip + 6) & 0x3fff) !== 0) return ~LOST_OUTER_FRAGMENT
  if (b[ip + 9] !== IP_PROTO_UDP) return ~LOST_DECAP_MALFORMED
  return ip + header
}

/** The new ECN bits of the inner packet, -1 for those it has, -2: forbidden. RFC 6040, figure 4. */
const decapEcn = (outer: number, inner: number): number => {
  if (outer === CE) return inner === CE ? -1 : inner === 0 ? -2 : CE
  return outer === ECT1 && inner === ECT0 ? ECT1 : -1
}

const writeEcn = (b: Uint8Array, ip: number, ecn: number): void => {
  if (b[ip]! >>> 4 === 4) {
    const from = be16(b, ip)
    b[ip + 1] = (b[ip + 1]! & 0xfc) | ecn
    checksumPatch16(b, ip + 10, from, be16(b, ip), false)
  } else b[ip + 1] = (b[ip + 1]! & 0xcf) | (ecn << 4)
}

export class Decapsulator {
  readonly #bytes: Uint8Array
  readonly #meta: Int32Array
  readonly #sums: WideChecksum

  constructor(arena: Arena) {
    this.#bytes = arena.bytes
    this.#meta = arena.meta
    this.#sums = new WideChecksum(arena.bytes)
  }

  /**
   * Takes the outer headers off the slot's frame. `port`: what M_PORT becomes, -1: it stays. `mayWrite`: the inner packet's ECN may be written. All other metadata
   * of the pipeline is cleared, as of a packet that has just come in; tunnel metadata is set. Returns TUNNEL_OK, POP_NEEDS_ECN or LOST_*; unless it is TUNNEL_OK, the frame is as it was.
   */
  pop(slot: number, port: number, mayWrite: boolean): number {
    const b = this.#bytes
    const meta = this.#meta
    const m = slot * META_WORDS
    const off = meta[m + M_OFF]!
    const end = off + meta[m + M_LEN]!
    if (end - off < 14) return LOST_DECAP_MALFORMED
    const ip = findIp(b, off, end)
    if (ip < 0) return LOST_DECAP_MALFORMED
    const v4 = b[ip]! >>> 4 === 4
    const gso = meta[m + M_GSO_TYPE]!
    let udp = ip + 40
    let ipEnd = end
    if (v4) {
      udp = checkIpv4(b, ip)
      if (udp < 0) return ~udp
      if (udp > end) return LOST_DECAP_MALFORMED
      if (checksum(b, ip, udp - ip) !== 0) return LOST_DECAP_CHECKSUM
      ipEnd = ip + be16(b, ip + 2)
    } else {
      if (b[ip + 6] !== IP_PROTO_UDP) return LOST_DECAP_MALFORMED
      ipEnd = udp + be16(b, ip + 4)
    }
    // A super-frame's own length says more than fields of 16 bits, which are made anew when it is cut.
    if (gso !== 0) ipEnd = end
    const inner = udp + BETWEEN
    if (ipEnd > end || inner + INNER_MIN > ipEnd) return LOST_DECAP_MALFORMED
    const udpEnd = gso !== 0 ? end : udp + be16(b, udp + 4)
    if (udpEnd > ipEnd || inner + INNER_MIN > udpEnd) return LOST_DECAP_MALFORMED
    if ((vxlanFlags(b, udp + 8) & VXLAN_F_VNI) === 0) return LOST_DECAP_MALFORMED

    const facts = meta[m + M_VFLAGS]!
    const needs = (facts & VNET_F_NEEDS_CSUM) !== 0
    const start = off + meta[m + M_CSUM_START]!
    const outerPartial = needs && gso === 0 && start === udp && meta[m + M_CSUM_OFF] === UDP_CSUM_OFF
    if (needs && !outerPartial && (start < inner + INNER_MIN || start + meta[m + M_CSUM_OFF]! + 2 > udpEnd))
      return LOST_DECAP_MALFORMED
    if (gso !== 0) {
      const kind = v4 ? GSO_UDP_TUNNEL_IPV4 : GSO_UDP_TUNNEL_IPV6
      if ((gso & TUNNELLED) !== kind || !needs || off + meta[m + M_OUTER_TH]! !== udp) return LOST_DECAP_MALFORMED
    }
    const stored = be16(b, udp + UDP_CSUM_OFF)
    if (stored !== 0 && (facts & (VNET_F_NEEDS_CSUM | VNET_F_DATA_VALID)) === 0) {
      const length = udpEnd - udp
      const pseudo = v4 ? pseudoIpv4(b, ip, IP_PROTO_UDP, length) : pseudoIpv6(b, ip, IP_PROTO_UDP, length)
      if (checksumFold(this.#sums.add(pseudo, udp, length)) !== 0xffff) return LOST_DECAP_CHECKSUM
    }

    const tos = v4 ? b[ip + 1]! : (be16(b, ip) >>> 4) & 0xff
    const outerEcn = tos & 3
    if (outerEcn === CE || outerEcn === ECT1) {
      const innerIp = findIp(b, inner, udpEnd)
      if (innerIp >= 0) {
        const innerEcn = (b[innerIp]! >>> 4 === 4 ? b[innerIp + 1]! : b[innerIp + 1]! >>> 4) & 3
        const ecn = decapEcn(outerEcn, innerEcn)
        if (ecn === -2) return LOST_DECAP_ECN
        if (ecn >= 0) {
          if (!mayWrite) return POP_NEEDS_ECN
          writeEcn(b, innerIp, ecn)
        }
      }
    }

    const hasCsum = stored !== 0 || (facts & VNET_F_TUNNEL_CSUM) !== 0
    if (gso !== 0) {
      meta[m + M_GSO_TYPE] = gso & ~TUNNELLED
      meta[m + M_OUTER_TH] = 0
      meta[m + M_INNER_NH] = 0
    }
    if (outerPartial) {
      meta[m + M_CSUM_START] = 0
      meta[m + M_CSUM_OFF] = 0
    }
    meta[m + M_VFLAGS] = needs && !outerPartial ? VNET_F_NEEDS_CSUM : 0
    shift(meta, m, off - inner)
    meta[m + M_LEN] = udpEnd - inner
    if (port >= 0) meta[m + M_PORT] = port
    noteTunnel(b, meta, m, ip, udp, v4, tos, hasCsum)
    return TUNNEL_OK
  }
}

const noteTunnel = (
  b: Uint8Array,
  meta: Int32Array,
  m: number,
  ip: number,
  udp: number,
  v4: boolean,
  tos: number,
  hasCsum: boolean,
): void => {
  for (let w = m + M_FIRST_PIPE; w < m + M_TUN_DST + 4; w++) meta[w] = 0
  meta[m + M_TUN_ID + 1] = vxlanVni(b, udp + 8)
  const df = v4 && (b[ip + 6]! & 0x40) !== 0
  const flags = TUN_F_KEY | (df ? TUN_F_DF : 0) | (hasCsum ? TUN_F_CSUM : 0)
  meta[m + M_TUN_META] = (tos << 24) | (b[ip + (v4 ? 8 : 7)]! << 16) | flags
  meta[m + M_TUN_TP] = be32(b, udp)
  if (v4) {
    meta[m + M_TUN_SRC + 2] = 0xffff
    meta[m + M_TUN_SRC + 3] = be32(b, ip + 12)
    meta[m + M_TUN_DST + 2] = 0xffff
    meta[m + M_TUN_DST + 3] = be32(b, ip + 16)
    return
  }
  for (let i = 0; i < 4; i++) {
    meta[m + M_TUN_SRC + i] = be32(b, ip + 8 + 4 * i)
    meta[m + M_TUN_DST + i] = be32(b, ip + 24 + 4 * i)
  }
}
