/**
 * The slow and obvious twin of the addon's kernels (native/checksum.h, segment.h): the oracle of the property tests. Works on plain arrays of
 * bytes, one frame at a time, and copies whatever it likes.
 */
import {
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP,
  GSO_UDP_L4,
  GSO_UDP_TUNNEL_IPV4,
  GSO_UDP_TUNNEL_IPV6,
  VNET_F_NEEDS_CSUM,
} from '../../../src/packet/slot.ts'

/** The virtio-net facts of a frame, as in the slot's metadata. */
export interface Facts {
  flags: number
  gsoType: number
  gsoSize: number
  csumStart: number
  csumOff: number
  outerTh: number
  innerNh: number
}

export const TUNNEL_CSUM = 8
const TUNNEL = GSO_UDP_TUNNEL_IPV4 | GSO_UDP_TUNNEL_IPV6
const TCP = 6
const UDP = 17
const HEADER_MAX = 512
const PIECES_MAX = 8192

/** RFC 1071: sum of big-endian words with carries folded back; an odd last byte is a word's high half. */
export const sum = (bytes: readonly number[], initial = 0): number => {
  let total = initial
  for (let i = 0; i < bytes.length; i += 2) total += bytes[i]! * 256 + (bytes[i + 1] ?? 0)
  while (total > 0xffff) total = (total % 0x10000) + Math.floor(total / 0x10000)
  return total
}

class Malformed extends Error {}

const insist = (condition: boolean, what: string): void => {
  if (!condition) throw new Malformed(what)
}

const u16 = (b: readonly number[], off: number): number => b[off]! * 256 + b[off + 1]!
const u32 = (b: readonly number[], off: number): number => u16(b, off) * 0x10000 + u16(b, off + 2)
const put16 = (b: number[], off: number, value: number): void => {
  b[off] = (value >> 8) & 0xff
  b[off + 1] = value & 0xff
}

interface Ip {
  version: number
  protocol: number
  nh: number
  th: number
  /** Source and destination of the pseudo-header. */
  addresses: number[]
}

const finalDestination = (head: readonly number[], at: number, length: number, dst: number[]): number[] => {
  const type = head[at + 2]
  if (head[at + 3] === 0 || length < 24) return dst
  if (type === 2 || type === 4) return head.slice(at + 8, at + 24)
  if (type !== 0) return dst
  const count = Math.floor((length - 8) / 16)
  return head.slice(at + 8 + (count - 1) * 16, at + 8 + count * 16)
}

/** `head`: as much of the frame as may hold headers; the transport header must begin within. */
const parseIp = (head: readonly number[], nh: number): Ip => {
  insist(nh < head.length, 'no network header')
  const version = head[nh]! >> 4
  if (version === 4) {
    insist(nh + 20 <= head.length, 'IPv4 header cut')
    const th = nh + (head[nh]! & 15) * 4
    insist(th >= nh + 20 && th < head.length, 'IPv4 header length')
    insist((u16(head, nh + 6) & 0x3fff) === 0, 'fragment')
    return { version, protocol: head[nh + 9]!, nh, th, addresses: head.slice(nh + 12, nh + 20) }
  }
  insist(version === 6, 'version')
  insist(nh + 40 < head.length, 'IPv6 header cut')
  let protocol = head[nh + 6]!
  let th = nh + 40
  const src = head.slice(nh + 8, nh + 24)
  let dst = head.slice(nh + 24, nh + 40)
  while ([0, 43, 44, 51, 60].includes(protocol)) {
    insist(protocol !== 44, 'fragment')
    insist(th + 8 <= head.length, 'extension header cut')
    const length = protocol === 51 ? (head[th + 1]! + 2) * 4 : (head[th + 1]! + 1) * 8
    insist(th + length < head.length, 'extension header too long')
    if (protocol === 43) dst = finalDestination(head, th, length, dst)
    protocol = head[th]!
    th += length
  }
  return { version, protocol, nh, th, addresses: [...src, ...dst] }
}

const networkHeader = (head: readonly number[]): number => {
  let at = 12
  for (let tags = 0; tags < 2; tags++) if ([0x8100, 0x88a8, 0x9100].includes(u16(head, at))) at += 4
  insist(at + 2 < head.length, 'Ethernet header cut')
  const version = head[at + 2]! >> 4
  const type = u16(head, at)
  insist((type === 0x0800 && version === 4) || (type === 0x86dd && version === 6), 'no IP')
  return at + 2
}

const insistPlausible = (length: number, facts: Facts): void => {
  const { flags, gsoType, gsoSize, csumStart, csumOff, outerTh, innerNh } = facts
  const needsCsum = (flags & VNET_F_NEEDS_CSUM) !== 0
  insist(!needsCsum || csumStart + csumOff + 2 <= length, 'checksum outside')
  const base = gsoType & ~(TUNNEL | GSO_ECN)
  const tunnel = gsoType & TUNNEL
  insist([GSO_NONE, GSO_TCPV4, GSO_UDP, GSO_TCPV6, GSO_UDP_L4].includes(base), 'type')
  insist(base !== GSO_NONE || tunnel === 0, 'tunnel without segmentation')
  insist(base === GSO_NONE || gsoSize > 0, 'no size')
  if (tunnel === 0) return
  insist(tunnel !== TUNNEL && base !== GSO_UDP && needsCsum, 'tunnel')
  insist(outerTh + 8 <= innerNh && innerNh < csumStart, 'tunnel offsets')
}

const setIp = (b: number[], ip: Ip, index: number): void => {
  if (ip.version === 6) {
    put16(b, ip.nh + 4, b.length - ip.nh - 40)
    return
  }
  put16(b, ip.nh + 2, b.length - ip.nh)
  put16(b, ip.nh + 4, u16(b, ip.nh + 4) + index)
  put16(b, ip.nh + 10, 0)
  put16(b, ip.nh + 10, ~sum(b.slice(ip.nh, ip.th)))
}

const setTransportSum = (b: number[], ip: Ip, field: number): void => {
  put16(b, field, 0)
  const length = b.length - ip.th
  const value = ~sum(b.slice(ip.th), sum(ip.addresses, ip.protocol + length)) & 0xffff
  put16(b, field, value === 0 && ip.protocol === UDP ? 0xffff : value)
}

const complete = (frame: readonly number[], facts: Facts): number[] => {
  const b = [...frame]
  if ((facts.flags & VNET_F_NEEDS_CSUM) === 0) return b
  insist(facts.csumStart + facts.csumOff + 2 <= b.length, 'checksum outside')
  const value = ~sum(b.slice(facts.csumStart)) & 0xffff
  put16(b, facts.csumStart + facts.csumOff, value === 0 && facts.csumOff === 6 ? 0xffff : value)
  return b
}

const cut = (frame: readonly number[], facts: Facts): number[][] => {
  const head = frame.slice(0, HEADER_MAX)
  let nh = networkHeader(head)
  let outer: Ip | undefined
  if ((facts.gsoType & TUNNEL) !== 0) {
    outer = parseIp(head, nh)
    const version = (facts.gsoType & GSO_UDP_TUNNEL_IPV4) !== 0 ? 4 : 6
    insist(outer.version === version && outer.protocol === UDP && outer.th === facts.outerTh, 'outer headers')
    nh = facts.innerNh
    insist(nh < head.length && (nh - outer.th) % 2 === 0, 'inner header')
  }
  const ip = parseIp(head, nh)
  const base = facts.gsoType & ~(TUNNEL | GSO_ECN)
  const wanted = { [GSO_TCPV4]: [4, TCP], [GSO_TCPV6]: [6, TCP], [GSO_UDP_L4]: [ip.version, UDP] }[base]
  insist(wanted !== undefined && wanted[0] === ip.version && wanted[1] === ip.protocol, 'another protocol')
  const tcp = ip.protocol === TCP
  const least = tcp ? 20 : 8
  insist(ip.th + least <= head.length, 'transport header cut')
  const size = tcp ? (head[ip.th + 12]! >> 4) * 4 : 8
  insist(size >= least && ip.th + size <= head.length, 'transport header length')
  const field = ip.th + (tcp ? 16 : 6)
  if ((facts.flags & VNET_F_NEEDS_CSUM) !== 0)
    insist(facts.csumStart === ip.th && facts.csumStart + facts.csumOff === field, 'checksum elsewhere')

  const headers = ip.th + size
  const payload = frame.slice(headers)
  insist(Math.floor(payload.length / facts.gsoSize) < PIECES_MAX, 'too many pieces')
  insist(headers - (outer ?? ip).nh + Math.min(payload.length, facts.gsoSize) <= 65535, 'too long')
  const outerSum =
    outer !== undefined && ((facts.flags & TUNNEL_CSUM) !== 0 || u16(head, outer.th + 6) !== 0) ? outer : undefined

  const pieces: number[][] = []
  for (let done = 0; done < payload.length || pieces.length === 0; done += facts.gsoSize) {
    const b = [...frame.slice(0, headers), ...payload.slice(done, done + facts.gsoSize)]
    const last = done + facts.gsoSize >= payload.length
    setIp(b, ip, pieces.length)
    if (tcp) {
      const seq = (u32(b, ip.th + 4) + done) % 2 ** 32
      put16(b, ip.th + 4, Math.floor(seq / 0x10000))
      put16(b, ip.th + 6, seq % 0x10000)
      if (!last) b[ip.th + 13] = b[ip.th + 13]! & ~0x09
      if (done > 0) b[ip.th + 13] = b[ip.th + 13]! & ~0x80
    } else {
      put16(b, ip.th + 4, b.length - ip.th)
    }
    setTransportSum(b, ip, field)
    if (outer !== undefined) {
      setIp(b, outer, pieces.length)
      put16(b, outer.th + 4, b.length - outer.th)
      if (outerSum !== undefined) setTransportSum(b, outer, outer.th + 6)
    }
    pieces.push(b)
  }
  return pieces
}

const orNull = <T>(act: () => T): T | null => {
  try {
    return act()
  } catch (error) {
    if (error instanceof Malformed) return null
    throw error
  }
}

/** The frame with its partial checksum completed, or null. */
export const twinComplete = (frame: readonly number[], facts: Facts): number[] | null =>
  orNull(() => complete(frame, facts))

/** The wire frames of a super-frame (or the one frame, completed), or null when it cannot be cut. */
export const twinSegment = (frame: readonly number[], facts: Facts): number[][] | null =>
  orNull(() => {
    insist(frame.length >= 14, 'runt')
    insistPlausible(frame.length, facts)
    const base = facts.gsoType & ~(TUNNEL | GSO_ECN)
    return base === GSO_NONE ? [complete(frame, facts)] : cut(frame, facts)
  })
