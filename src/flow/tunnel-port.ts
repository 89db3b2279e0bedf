/**
 * UDP source ports of VXLAN: the entropy that spreads the flows of one tunnel over the underlay's paths (RFC 7348 section 4). One function for all tiers. Hot path.
 */
import { be16, be32 } from '../packet/bytes.ts'
import { IP_PROTO_SCTP, IP_PROTO_TCP, IP_PROTO_UDP } from '../packet/ipv4.ts'
import { ETH_IPV4, ETH_IPV6, type Located } from './execute-locate.ts'

/** 32768 to 61000: the kernel's default range, as Open vSwitch's. */
const FIRST_PORT = 32768
const PORTS = 28233

const mix = (h: number, word: number): number => {
  const x = Math.imul(h ^ word, 0x9e3779b1)
  return x ^ (x >>> 15)
}

/**
 * Source port for the frame at `off` whose headers are at `l`: of IP, addresses, protocol and, unless it is a fragment, the ports of TCP, UDP and SCTP; of
 * anything else, MAC addresses and type.
 */
export const tunnelSourcePort = (b: Uint8Array, off: number, l: Located): number => {
  let h = 0x7feb352d
  if (l.l3 >= 0 && (l.type === ETH_IPV4 || l.type === ETH_IPV6)) {
    const from = l.type === ETH_IPV4 ? l.l3 + 12 : l.l3 + 8
    const to = from + (l.type === ETH_IPV4 ? 8 : 32)
    for (let i = from; i < to; i += 4) h = mix(h, be32(b, i))
    h = mix(h, l.proto)
    const { proto } = l
    if (
      l.l4 >= 0 &&
      l.l4 + 4 <= l.end &&
      !l.fragment &&
      (proto === IP_PROTO_TCP || proto === IP_PROTO_UDP || proto === IP_PROTO_SCTP)
    )
      h = mix(h, be32(b, l.l4))
  } else {
    for (let i = 0; i < 12; i += 4) h = mix(h, be32(b, off + i))
    h = mix(h, be16(b, off + 12))
  }
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  return FIRST_PORT + ((h >>> 0) % PORTS)
}
