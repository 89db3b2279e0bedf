/**
 * "Too big" answers of a tunnel: ICMP destination unreachable, fragmentation needed (RFC 792, RFC 1191 section 4) and ICMPv6 packet too big (RFC 4443 section 3.2), made from the frame that
 * did not fit. Addressed as the Linux kernel's tunnels do, which have no address of their own on the inside: all addresses of the frame are swapped, as if the
 * inner receiver had answered; VLAN tags stay. Control path.
 *
 *     +---------------+---------------+-------------------------------+
 *     | Type 3 (2)    | Code 4 (0)    |            Checksum           |
 *     +---------------+---------------+-------------------------------+
 *     | unused (ICMPv6: MTU, 32 bits) |          Next-hop MTU         |
 *     +-------------------------------+-------------------------------+
 *     | The packet as far as there is room, from its IP header on     |
 *     +---------------------------------------------------------------+
 */
import { put16, put32 } from './bytes.ts'
import { checksum, checksumAdd, checksumFold, pseudoIpv6 } from './checksum.ts'
import { ETH_DST, ETH_HLEN, ETH_SRC, ETH_TYPE, ETH_TYPE_IPV4, isMulticast } from './ethernet.ts'
import { ICMP_CSUM, ICMP_ECHO, ICMP_ECHO_REPLY, ICMP_HLEN, ICMP_REST, ICMP_UNREACHABLE } from './icmp.ts'
import {
  IP_PROTO_ICMP,
  IP_PROTO_ICMPV6,
  IPV4_CSUM,
  IPV4_DF,
  IPV4_DST,
  IPV4_FRAG,
  IPV4_HLEN,
  IPV4_OFFSET_MASK,
  IPV4_PROTO,
  IPV4_SRC,
  IPV4_TOTAL,
  IPV4_TTL,
  ipv4Frag,
  ipv4HeaderLength,
} from './ipv4.ts'
import { IPV6_DST, IPV6_HLEN, IPV6_HOPS, IPV6_NEXT, IPV6_PLEN, IPV6_SRC } from './ipv6.ts'
import { L_END, L_L3, L_L4, L_PROTO, L_TAGS, L_TYPE } from './layout.ts'
import { VLAN_HLEN } from './vlan.ts'

const FRAGMENTATION_NEEDED = 4
const ICMPV6_TOO_BIG = 2
const ND_REDIRECT = 137
/** Largest answers: what every host takes (RFC 1122 section 3.3.2, RFC 4443 section 2.4 c). */
const MAX_IPV4 = 576
const MAX_IPV6 = 1280
/** Below these no packet need be cut (RFC 791, RFC 8200 section 5). */
const MIN_MTU_IPV4 = 68
const MIN_MTU_IPV6 = 1280

/** ICMP types that are no errors (RFC 1122 section 3.2.2): echo, router discovery, timestamp, information, mask. */
const ICMP_QUERIES: ReadonlySet<number> = new Set([ICMP_ECHO_REPLY, ICMP_ECHO, 9, 10, 13, 14, 15, 16, 17, 18])

/** `layout`: from parseOffsets. True of what has no sound IP header: it has no bit against it. */
export const mayFragment = (frame: Uint8Array, layout: Int32Array): boolean => {
  if (layout[L_PROTO]! < 0) return true
  return layout[L_TYPE] === ETH_TYPE_IPV4 && (ipv4Frag(frame, layout[L_L3]!) & IPV4_DF) === 0
}

/** Whether an answer may be sent: never to errors, to later fragments, nor where it would come from or go to more than one host. */
export const mayAnswerTooBig = (frame: Uint8Array, layout: Int32Array, mtu: number): boolean => {
  const l3 = layout[L_L3]!
  if (layout[L_PROTO]! < 0 || l3 !== ETH_HLEN + VLAN_HLEN * layout[L_TAGS]!) return false
  if (isMulticast(frame, ETH_DST) || isMulticast(frame, ETH_SRC)) return false
  return layout[L_TYPE] === ETH_TYPE_IPV4 ? mayAnswer4(frame, layout, l3, mtu) : mayAnswer6(frame, layout, l3, mtu)
}

const mayAnswer4 = (frame: Uint8Array, layout: Int32Array, ip: number, mtu: number): boolean => {
  const source = frame[ip + IPV4_SRC]!
  // This network, loopback; multicast, reserved and broadcast.
  if (mtu < MIN_MTU_IPV4 || source === 0 || source === 127 || source >= 224 || frame[ip + IPV4_DST]! >= 224)
    return false
  if ((ipv4Frag(frame, ip) & IPV4_OFFSET_MASK) !== 0) return false
  if (layout[L_PROTO] !== IP_PROTO_ICMP) return true
  return layout[L_L4]! >= 0 && ICMP_QUERIES.has(frame[layout[L_L4]!]!)
}

const isUnspecifiedOrLoopback = (frame: Uint8Array, at: number): boolean => {
  for (let i = 0; i < 15; i++) if (frame[at + i] !== 0) return false
  return frame[at + 15]! <= 1
}

const mayAnswer6 = (frame: Uint8Array, layout: Int32Array, ip: number, mtu: number): boolean => {
  if (mtu < MIN_MTU_IPV6 || frame[ip + IPV6_SRC] === 0xff || frame[ip + IPV6_DST] === 0xff) return false
  if (isUnspecifiedOrLoopback(frame, ip + IPV6_SRC)) return false
  // A later fragment, or a chain of headers that is cut short.
  if (layout[L_L4]! < 0) return false
  if (layout[L_PROTO] !== IP_PROTO_ICMPV6) return true
  const type = frame[layout[L_L4]!]!
  return type >= 128 && type !== ND_REDIRECT
}

/**
 * The answer's frame, for one that `mayAnswerTooBig` says yes to. `mtu`: largest inner IP packet that fits. `ipLength`: of the IP packet as it would have been sent; less than in the
 * frame for a super-frame, whose first segment is quoted.
 */
export const tooBigAnswer = (frame: Uint8Array, layout: Int32Array, mtu: number, ipLength: number): Uint8Array => {
  const ip = layout[L_L3]!
  const v4 = layout[L_TYPE] === ETH_TYPE_IPV4
  const header = v4 ? IPV4_HLEN : IPV6_HLEN
  const room = (v4 ? MAX_IPV4 : MAX_IPV6) - header - ICMP_HLEN
  const quoted = Math.min(room, ipLength, layout[L_END]! - ip)
  const out = new Uint8Array(ip + header + ICMP_HLEN + quoted)
  out.set(frame.subarray(ETH_SRC, ETH_SRC + 6), ETH_DST)
  out.set(frame.subarray(ETH_DST, ETH_DST + 6), ETH_SRC)
  out.set(frame.subarray(ETH_TYPE, ip), ETH_TYPE)
  const icmp = ip + header
  out.set(frame.subarray(ip, ip + quoted), icmp + ICMP_HLEN)
  if (v4) {
    quoteIpv4(out, icmp + ICMP_HLEN, ipLength)
    emitIpv4Answer(frame, ip, out, icmp, mtu)
  } else {
    put16(out, icmp + ICMP_HLEN + IPV6_PLEN, ipLength - IPV6_HLEN)
    emitIpv6Answer(frame, ip, out, icmp, mtu)
  }
  return out
}

const quoteIpv4 = (out: Uint8Array, at: number, ipLength: number): void => {
  put16(out, at + IPV4_TOTAL, ipLength)
  put16(out, at + IPV4_CSUM, 0)
  put16(out, at + IPV4_CSUM, checksum(out, at, ipv4HeaderLength(out, at)))
}

const emitIpv4Answer = (frame: Uint8Array, ip: number, out: Uint8Array, icmp: number, mtu: number): void => {
  out[ip] = 0x45
  put16(out, ip + IPV4_TOTAL, out.length - ip)
  put16(out, ip + IPV4_FRAG, IPV4_DF)
  out[ip + IPV4_TTL] = frame[ip + IPV4_TTL]!
  out[ip + IPV4_PROTO] = IP_PROTO_ICMP
  out.set(frame.subarray(ip + IPV4_DST, ip + IPV4_DST + 4), ip + IPV4_SRC)
  out.set(frame.subarray(ip + IPV4_SRC, ip + IPV4_SRC + 4), ip + IPV4_DST)
  put16(out, ip + IPV4_CSUM, checksum(out, ip, IPV4_HLEN))
  out[icmp] = ICMP_UNREACHABLE
  out[icmp + 1] = FRAGMENTATION_NEEDED
  put16(out, icmp + ICMP_REST + 2, Math.min(mtu, 0xffff))
  put16(out, icmp + ICMP_CSUM, checksum(out, icmp, out.length - icmp))
}

const emitIpv6Answer = (frame: Uint8Array, ip: number, out: Uint8Array, icmp: number, mtu: number): void => {
  const length = out.length - icmp
  out[ip] = 0x60
  put16(out, ip + IPV6_PLEN, length)
  out[ip + IPV6_NEXT] = IP_PROTO_ICMPV6
  out[ip + IPV6_HOPS] = frame[ip + IPV6_HOPS]!
  out.set(frame.subarray(ip + IPV6_DST, ip + IPV6_DST + 16), ip + IPV6_SRC)
  out.set(frame.subarray(ip + IPV6_SRC, ip + IPV6_SRC + 16), ip + IPV6_DST)
  out[icmp] = ICMPV6_TOO_BIG
  put32(out, icmp + ICMP_REST, mtu)
  const sum = checksumFold(checksumAdd(pseudoIpv6(out, ip, IP_PROTO_ICMPV6, length), out, icmp, length))
  put16(out, icmp + ICMP_CSUM, ~sum & 0xffff)
}
