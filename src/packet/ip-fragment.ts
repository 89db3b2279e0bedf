/** Fragmentation at the source: IPv4 (RFC 791 section 2.3) and IPv6 (RFC 8200 section 4.5). Control path. */
import { put16, put32 } from './bytes.ts'
import { checksum } from './checksum.ts'
import { ETH_HLEN, ETH_TYPE_IPV4, ethType } from './ethernet.ts'
import { IPV4_CSUM, IPV4_FRAG, IPV4_MF, IPV4_TOTAL, ipv4HeaderLength, ipv4TotalLength } from './ipv4.ts'
import { EXT_FRAGMENT, IPV6_HLEN, IPV6_NEXT, IPV6_PLEN, ipv6PayloadLength } from './ipv6.ts'

/** Next header, reserved, offset in units of 8 bytes with the more-fragments bit, identification. */
const FRAGMENT_HLEN = 8

/**
 * Frames with the parts of an untagged frame's IP packet, none longer than `mtu` bytes of IP; the frame itself if it fits; none if `mtu` leaves no room. The packet has no options or extension
 * headers and is no fragment. IPv4 keeps its identification, IPv6 gets `id` (32 bits).
 */
export const fragmentIp = (frame: Uint8Array, mtu: number, id: number): Uint8Array[] =>
  ethType(frame, 0) === ETH_TYPE_IPV4 ? fragmentIpv4(frame, mtu) : fragmentIpv6(frame, mtu, id)

const fragmentIpv4 = (frame: Uint8Array, mtu: number): Uint8Array[] => {
  const total = ipv4TotalLength(frame, ETH_HLEN)
  if (total <= mtu) return [frame]
  const header = ipv4HeaderLength(frame, ETH_HLEN)
  const payload = ETH_HLEN + header
  return parts(total - header, mtu - header).map(({ from, to, more }) => {
    const out = new Uint8Array(payload + to - from)
    out.set(frame.subarray(0, payload))
    out.set(frame.subarray(payload + from, payload + to), payload)
    put16(out, ETH_HLEN + IPV4_TOTAL, header + to - from)
    put16(out, ETH_HLEN + IPV4_FRAG, (more ? IPV4_MF : 0) | (from >> 3))
    put16(out, ETH_HLEN + IPV4_CSUM, 0)
    put16(out, ETH_HLEN + IPV4_CSUM, checksum(out, ETH_HLEN, header))
    return out
  })
}

const fragmentIpv6 = (frame: Uint8Array, mtu: number, id: number): Uint8Array[] => {
  const length = ipv6PayloadLength(frame, ETH_HLEN)
  if (IPV6_HLEN + length <= mtu) return [frame]
  const payload = ETH_HLEN + IPV6_HLEN
  return parts(length, mtu - IPV6_HLEN - FRAGMENT_HLEN).map(({ from, to, more }) => {
    const out = new Uint8Array(payload + FRAGMENT_HLEN + to - from)
    out.set(frame.subarray(0, payload))
    put16(out, ETH_HLEN + IPV6_PLEN, FRAGMENT_HLEN + to - from)
    out[ETH_HLEN + IPV6_NEXT] = EXT_FRAGMENT
    out[payload] = frame[ETH_HLEN + IPV6_NEXT]!
    put16(out, payload + 2, from | (more ? 1 : 0))
    put32(out, payload + 4, id)
    out.set(frame.subarray(payload + from, payload + to), payload + FRAGMENT_HLEN)
    return out
  })
}

/** `length` bytes in parts of at most `room`, all but the last a multiple of 8 long. */
const parts = (length: number, room: number): { from: number; to: number; more: boolean }[] => {
  const step = room & ~7
  if (step <= 0) return []
  return Array.from({ length: Math.ceil(length / step) }, (_, i) => {
    const to = Math.min(length, (i + 1) * step)
    return { from: i * step, to, more: to < length }
  })
}
