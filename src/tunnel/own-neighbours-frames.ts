/**
 * ARP and neighbour discovery as frames, for interfaces that the host's stack does not own: those that are sent (RFC 826; RFC 4861 sections 7.2.2, 7.2.4, 7.2.6), and those
 * that come, checked as RFC 4861 section 7.1 asks. Pure; frames are whole ones without a tag when sent.
 */
import { ARP_LEN, ARP_REPLY, ARP_REQUEST, emitArp, parseArp } from '../packet/arp.ts'
import { be32, be48, put16, put48 } from '../packet/bytes.ts'
import { checksumAdd, checksumFold, pseudoIpv6 } from '../packet/checksum.ts'
import { ETH_DST, ETH_HLEN, ETH_SRC, ETH_TYPE_ARP, ETH_TYPE_IPV6, emitEthernet } from '../packet/ethernet.ts'
import { ICMP_CSUM } from '../packet/icmp.ts'
import {
  emitNeighbourMessage,
  ND_ADVERT,
  ND_HLEN,
  ND_OPT_LEN,
  ND_SOLICIT,
  type NeighbourMessage,
  parseNeighbourMessage,
} from '../packet/icmpv6.ts'
import { IP_PROTO_ICMPV6 } from '../packet/ipv4.ts'
import { emitIpv6, IPV6_DST, IPV6_HLEN, IPV6_HOPS, IPV6_NEXT, IPV6_SRC } from '../packet/ipv6.ts'
import { L_END, L_L3, L_L4, L_TYPE, L_WORDS, parseOffsets } from '../packet/layout.ts'

/** Our end: 6 bytes, and 4 or 16. */
export interface Speaker {
  readonly mac: Uint8Array
  readonly address: Uint8Array
}

const BROADCAST = 0xffffffffffff
const HOP_LIMIT = 255
/** In the first word of an advertisement (RFC 4861 section 4.4). */
const SOLICITED = 0x40000000
const OVERRIDE = 0x20000000

const ALL_NODES = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)

/** RFC 4291 section 2.7.1. */
export const solicitedNode = (address: Uint8Array): Uint8Array =>
  Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, ...address.subarray(13))

/** RFC 2464 section 7. */
const groupMac = (group: Uint8Array): number => 0x333300000000 + (be32(group, 12) >>> 0)

const arpFrame = (dst: number, op: number, from: Speaker, tha: number, to: Uint8Array): Uint8Array => {
  const frame = new Uint8Array(ETH_HLEN + ARP_LEN)
  const src = be48(from.mac, 0)
  emitEthernet(frame, 0, { dst, src, type: ETH_TYPE_ARP })
  emitArp(frame, ETH_HLEN, { op, sha: src, spa: be32(from.address, 0) >>> 0, tha, tpa: be32(to, 0) >>> 0 })
  return frame
}

const ndFrame = (ethDst: number, from: Speaker, dst: Uint8Array, message: NeighbourMessage): Uint8Array => {
  const length = ND_HLEN + ND_OPT_LEN
  const at = ETH_HLEN + IPV6_HLEN
  const frame = new Uint8Array(at + length)
  emitEthernet(frame, 0, { dst: ethDst, src: be48(from.mac, 0), type: ETH_TYPE_IPV6 })
  emitIpv6(frame, ETH_HLEN, {
    trafficClass: 0,
    flowLabel: 0,
    payloadLength: length,
    next: IP_PROTO_ICMPV6,
    hopLimit: HOP_LIMIT,
    src: from.address,
    dst,
  })
  emitNeighbourMessage(frame, at, message)
  const sum = checksumAdd(pseudoIpv6(frame, ETH_HLEN, IP_PROTO_ICMPV6, length), frame, at, length)
  put16(frame, at + ICMP_CSUM, ~checksumFold(sum) & 0xffff)
  return frame
}

/** Who has `target`? To all, or only to the one that is thought to have it. */
export const requestFrame = (from: Speaker, target: Uint8Array, lladdr: Uint8Array | undefined): Uint8Array => {
  const known = lladdr === undefined ? undefined : be48(lladdr, 0)
  if (target.length === 4) return arpFrame(known ?? BROADCAST, ARP_REQUEST, from, 0, target)
  const group = solicitedNode(target)
  const message = { type: ND_SOLICIT, flags: 0, target, sourceMac: be48(from.mac, 0) }
  return known === undefined ? ndFrame(groupMac(group), from, group, message) : ndFrame(known, from, target, message)
}

/** We have it, which all may as well know: after the address or the MAC is new. */
export const announcementFrame = (from: Speaker): Uint8Array => {
  const { address, mac } = from
  if (address.length === 4) return arpFrame(BROADCAST, ARP_REQUEST, from, 0, address)
  const message = { type: ND_ADVERT, flags: OVERRIDE, target: address, targetMac: be48(mac, 0) }
  return ndFrame(groupMac(ALL_NODES), from, ALL_NODES, message)
}

/** One message of a neighbour's. */
export interface Heard {
  /** It asks for `target`; else it answers, or tells unasked. */
  readonly asks: boolean
  /** 6 bytes each. */
  readonly ethDst: Uint8Array
  readonly ethSrc: Uint8Array
  /** Whom it speaks of; absent of who has no address yet. */
  readonly neighbour?: Uint8Array
  /** Where that is, if it says so. */
  readonly lladdr?: Uint8Array
  /** The address that is asked for; of what is told, to whom. */
  readonly target: Uint8Array
  /** It says that it answers a request. ARP has no word for it: every reply does. */
  readonly solicited: boolean
  /** It means to replace what is known. */
  readonly override: boolean
}

/** The answer to a request for `from`'s address. */
export const replyFrame = (from: Speaker, { neighbour, lladdr, ethSrc }: Heard): Uint8Array => {
  const to = lladdr ?? ethSrc
  if (from.address.length === 4)
    return arpFrame(be48(to, 0), ARP_REPLY, from, be48(to, 0), neighbour ?? new Uint8Array(4))
  const flags = (OVERRIDE | (neighbour ? SOLICITED : 0)) >>> 0
  const message = { type: ND_ADVERT, flags, target: from.address, targetMac: be48(from.mac, 0) }
  return neighbour
    ? ndFrame(be48(to, 0), from, neighbour, message)
    : ndFrame(groupMac(ALL_NODES), from, ALL_NODES, message)
}

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)

/** Nobody is at a group's address, or at none. */
const lladdrOf = (mac: number | undefined): { lladdr?: Uint8Array } => {
  if (mac === undefined || mac === 0 || (Math.floor(mac / 0x10000000000) & 1) !== 0) return {}
  const lladdr = new Uint8Array(6)
  put48(lladdr, 0, mac)
  return { lladdr }
}

const ipv4Bytes = (word: number): Uint8Array => Uint8Array.of(word >>> 24, word >>> 16, word >>> 8, word)

const readArp = (frame: Uint8Array, at: number, ends: Pick<Heard, 'ethDst' | 'ethSrc'>): Heard | undefined => {
  const arp = parseArp(frame, at)
  if (arp === undefined || (arp.op !== ARP_REQUEST && arp.op !== ARP_REPLY)) return undefined
  return {
    ...ends,
    asks: arp.op === ARP_REQUEST,
    ...(arp.spa === 0 ? {} : { neighbour: ipv4Bytes(arp.spa) }),
    ...lladdrOf(arp.sha),
    target: ipv4Bytes(arp.tpa),
    solicited: arp.op === ARP_REPLY,
    override: true,
  }
}

const readSolicitation = (
  message: NeighbourMessage,
  src: Uint8Array,
  dst: Uint8Array,
  ends: Pick<Heard, 'ethDst' | 'ethSrc'>,
): Heard | undefined => {
  const { target, sourceMac } = message
  const unspecified = isZero(src)
  // RFC 4861 section 7.1.1.
  if (unspecified && (sourceMac !== undefined || solicitedNode(target).some((byte, i) => byte !== dst[i])))
    return undefined
  return {
    ...ends,
    asks: true,
    ...(unspecified ? {} : { neighbour: src }),
    ...lladdrOf(sourceMac),
    target,
    solicited: false,
    override: true,
  }
}

const readNd = (
  frame: Uint8Array,
  layout: Int32Array,
  ends: Pick<Heard, 'ethDst' | 'ethSrc'>,
  checked: boolean,
): Heard | undefined => {
  const ip = layout[L_L3]!
  const at = layout[L_L4]!
  const end = layout[L_END]!
  // Nor may it come in fragments (RFC 6980), or behind other headers, which nobody has a use for.
  if (at < 0 || frame[ip + IPV6_NEXT] !== IP_PROTO_ICMPV6 || frame[ip + IPV6_HOPS] !== HOP_LIMIT) return undefined
  const sum = checksumAdd(pseudoIpv6(frame, ip, IP_PROTO_ICMPV6, end - at), frame, at, end - at)
  if (!checked && checksumFold(sum) !== 0xffff) return undefined
  const message = parseNeighbourMessage(frame, at, end)
  if (message === undefined || message.target[0] === 0xff) return undefined
  const src = frame.slice(ip + IPV6_SRC, ip + IPV6_SRC + 16)
  const dst = frame.slice(ip + IPV6_DST, ip + IPV6_DST + 16)
  if (message.type === ND_SOLICIT) return readSolicitation(message, src, dst, ends)
  const solicited = (message.flags & SOLICITED) !== 0
  // RFC 4861 section 7.1.2.
  if (solicited && dst[0] === 0xff) return undefined
  return {
    ...ends,
    asks: false,
    neighbour: message.target,
    ...lladdrOf(message.targetMac),
    target: dst,
    solicited,
    override: (message.flags & OVERRIDE) !== 0,
  }
}

/** What a frame with ARP or neighbour discovery says; undefined for what is neither, or not sound. `checked`: its checksum is known to be right, or still to be completed. */
export const readNeighbourFrame = (frame: Uint8Array, checked: boolean): Heard | undefined => {
  const layout = new Int32Array(L_WORDS)
  parseOffsets(frame, 0, frame.length, layout)
  const at = layout[L_L3]!
  if (at < 0) return undefined
  const ends = { ethDst: frame.slice(ETH_DST, ETH_SRC), ethSrc: frame.slice(ETH_SRC, ETH_SRC + 6) }
  if (layout[L_TYPE] === ETH_TYPE_ARP) return readArp(frame, at, ends)
  return layout[L_TYPE] === ETH_TYPE_IPV6 ? readNd(frame, layout, ends, checked) : undefined
}
