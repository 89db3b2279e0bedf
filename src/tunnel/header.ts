/**
 * The outer header of a tunnel's packets as a template: Ethernet, IP, UDP and VXLAN (RFC 7348 section 5), 50 or 70 bytes. What differs by packet is zero and filled
 * in by the workers: lengths, IPv4 identification and checksum, UDP source port and checksum, ECN, and DSCP and TTL where inherited.
 */
import { ENCAP_CSUM, ENCAP_DF, ENCAP_TOS_INHERIT, ENCAP_TTL_INHERIT } from '../flow/encap.ts'
import { put16, put32 } from '../packet/bytes.ts'
import { ETH_DST, ETH_HLEN, ETH_SRC, ETH_TYPE, ETH_TYPE_IPV4, ETH_TYPE_IPV6 } from '../packet/ethernet.ts'
import {
  IP_PROTO_UDP,
  IPV4_DF,
  IPV4_DST,
  IPV4_FRAG,
  IPV4_HLEN,
  IPV4_PROTO,
  IPV4_SRC,
  IPV4_TOS,
  IPV4_TTL,
} from '../packet/ipv4.ts'
import { IPV6_DST, IPV6_HLEN, IPV6_HOPS, IPV6_NEXT, IPV6_SRC } from '../packet/ipv6.ts'
import { UDP_DST, UDP_HLEN } from '../packet/udp.ts'
import { emitVxlan, VXLAN_HLEN } from '../packet/vxlan.ts'
import type { EncapSpec } from './contract.ts'

/** Where the inner packet is no IP, inherited values are these. */
export const DEFAULT_TTL = 64
export const DEFAULT_TOS = 0

/** ENCAP_* of a spec. */
export const encapFlags = ({ tos, ttl, df, csum }: EncapSpec): number =>
  (tos === 'inherit' ? ENCAP_TOS_INHERIT : 0) |
  (ttl === 'inherit' ? ENCAP_TTL_INHERIT : 0) |
  (csum ? ENCAP_CSUM : 0) |
  (df ? ENCAP_DF : 0)

/** What the way to the peer adds: absent parts are zero in the header. */
export interface OuterAddresses {
  readonly local: Uint8Array | undefined
  /** 6 bytes each. */
  readonly ethSrc: Uint8Array | undefined
  readonly ethDst: Uint8Array | undefined
}

export const encapHeader = (spec: EncapSpec, { local, ethSrc, ethDst }: OuterAddresses): Uint8Array => {
  const v4 = spec.peer.length === 4
  const ip = ETH_HLEN
  const udp = ip + (v4 ? IPV4_HLEN : IPV6_HLEN)
  const h = new Uint8Array(udp + UDP_HLEN + VXLAN_HLEN)
  const tos = spec.tos === 'inherit' ? DEFAULT_TOS : spec.tos
  const ttl = spec.ttl === 'inherit' ? DEFAULT_TTL : spec.ttl
  if (ethDst) h.set(ethDst, ETH_DST)
  if (ethSrc) h.set(ethSrc, ETH_SRC)
  put16(h, ETH_TYPE, v4 ? ETH_TYPE_IPV4 : ETH_TYPE_IPV6)
  if (v4) {
    h[ip] = 0x40 | (IPV4_HLEN >> 2)
    h[ip + IPV4_TOS] = tos
    put16(h, ip + IPV4_FRAG, spec.df ? IPV4_DF : 0)
    h[ip + IPV4_TTL] = ttl
    h[ip + IPV4_PROTO] = IP_PROTO_UDP
    if (local) h.set(local, ip + IPV4_SRC)
    h.set(spec.peer, ip + IPV4_DST)
  } else {
    put32(h, ip, (6 << 28) | (tos << 20))
    h[ip + IPV6_NEXT] = IP_PROTO_UDP
    h[ip + IPV6_HOPS] = ttl
    if (local) h.set(local, ip + IPV6_SRC)
    h.set(spec.peer, ip + IPV6_DST)
  }
  put16(h, udp + UDP_DST, spec.dstPort)
  emitVxlan(h, udp + UDP_HLEN, { vni: spec.vni })
  return h
}
