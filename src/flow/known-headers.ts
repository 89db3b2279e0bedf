/**
 * The headers of one frame, remembered to tell whether another frame's key would be the same but for its TCP flags: where headers lie and what extraction (extract.ts) reads of them is
 * equal, what differs from packet to packet of a flow is not looked at. For the plainest and most frequent frames: IPv4 without options or IPv6 without extension headers, no fragment, at
 * most one VLAN tag, TCP, UDP or ICMP for IPv4. Hot path, of one thread; trusts no length.
 */
import { be16 } from '../packet/bytes.ts'
import { ETH_HLEN, ETH_TYPE } from '../packet/ethernet.ts'
import { ICMP_HLEN } from '../packet/icmp.ts'
import {
  IP_PROTO_ICMP,
  IP_PROTO_TCP,
  IP_PROTO_UDP,
  IPV4_FRAG,
  IPV4_HLEN,
  IPV4_MF,
  IPV4_OFFSET_MASK,
  IPV4_PROTO,
  IPV4_SRC,
  IPV4_TOS,
  IPV4_TOTAL,
  IPV4_TTL,
} from '../packet/ipv4.ts'
import { IPV6_HLEN, IPV6_PLEN } from '../packet/ipv6.ts'
import { type Arena, M_FIRST_PIPE, M_LEN, M_OFF, M_PORT, M_USER, META_WORDS } from '../packet/slot.ts'
import { TCP_HLEN, tcpFlags, tcpHeaderLength } from '../packet/tcp.ts'
import { UDP_HLEN } from '../packet/udp.ts'
import { VLAN_HLEN } from '../packet/vlan.ts'
import { createLocated, ETH_IPV4, ETH_IPV6, locate } from './execute-locate.ts'

/** Any transport header that is remembered has as many bytes. */
const LEAST_TRANSPORT = UDP_HLEN
/** Byte of the TCP header that says how long it is; its lower half and the next byte are the flags. */
const TCP_OFFSET = 12
const NOTHING = new Int32Array(0)

/** Ethernet, a tag, IPv6, what is read of TCP, and an odd start. */
const MOST_WORDS = Math.ceil((ETH_HLEN + VLAN_HLEN + IPV6_HLEN + TCP_OFFSET + 1 + 3) / 4)

/** Bits of IPv4's header that the key tells, and all of IPv6's but its length. */
const ofIpv4 = (mask: Uint8Array, at: number): void => {
  mask[at] = 0xff
  mask[at + IPV4_TOS] = 0xff
  mask[at + IPV4_FRAG] = (IPV4_MF | IPV4_OFFSET_MASK) >>> 8
  mask[at + IPV4_FRAG + 1] = IPV4_OFFSET_MASK & 0xff
  mask[at + IPV4_TTL] = 0xff
  mask[at + IPV4_PROTO] = 0xff
  mask.fill(0xff, at + IPV4_SRC, at + IPV4_HLEN)
}

const ofIpv6 = (mask: Uint8Array, at: number): void => {
  mask.fill(0xff, at, at + IPV6_HLEN)
  mask.fill(0, at + IPV6_PLEN, at + IPV6_PLEN + 2)
}

/** Masks of words, the first of which holds the frame's first byte at `align`. */
const maskOf = (align: number, tagged: boolean, v6: boolean, proto: number): Int32Array => {
  const mask = new Uint8Array(4 * MOST_WORDS)
  const l3 = align + ETH_HLEN + (tagged ? VLAN_HLEN : 0)
  mask.fill(0xff, align, l3)
  const l4 = l3 + (v6 ? IPV6_HLEN : IPV4_HLEN)
  if (v6) ofIpv6(mask, l3)
  else ofIpv4(mask, l3)
  mask.fill(0xff, l4, l4 + (proto === IP_PROTO_ICMP ? 2 : 4))
  if (proto === IP_PROTO_TCP) mask[l4 + TCP_OFFSET] = 0xff
  const end = l4 + (proto === IP_PROTO_TCP ? TCP_OFFSET + 1 : 4)
  return new Int32Array(mask.buffer, 0, Math.ceil(end / 4))
}

const masks = new Map<number, Int32Array>()

const masksOf = (align: number, tagged: boolean, v6: boolean, proto: number): Int32Array => {
  const id = (proto << 4) | (align << 2) | (tagged ? 2 : 0) | (v6 ? 1 : 0)
  let known = masks.get(id)
  if (known === undefined) {
    known = maskOf(align, tagged, v6, proto)
    masks.set(id, known)
  }
  return known
}

export class KnownHeaders {
  readonly #bytes: Uint8Array
  readonly #words: Int32Array
  readonly #meta: Int32Array
  readonly #located = createLocated()
  readonly #values = new Int32Array(MOST_WORDS)
  readonly #pipe = new Int32Array(M_USER - M_FIRST_PIPE)
  /** Empty: nothing is remembered. */
  #masks: Int32Array = NOTHING
  #port = 0
  #align = 0
  /** Where the transport header begins, from the frame's first byte. */
  #l4 = 0
  /** Where IP's length is and of what it is counted; the least that it may be. */
  #lengthAt = 0
  #lengthFrom = 0
  #least = 0
  #tcp = false
  /** TCP flags of the frame that was last found alike, or remembered; 0 of other protocols. */
  flags = 0

  constructor(arena: Arena) {
    this.#bytes = arena.bytes
    this.#words = new Int32Array(arena.bytes.buffer)
    this.#meta = arena.meta
  }

  forget(): void {
    this.#masks = NOTHING
  }

  /** Remembers the slot's frame, if it is of those that can be. */
  remember(slot: number): void {
    this.#masks = NOTHING
    const b = this.#bytes
    const meta = this.#meta
    const m = slot * META_WORDS
    const off = meta[m + M_OFF]!
    const len = meta[m + M_LEN]!
    const to = this.#located
    if (!locate(b, meta, slot, to) || to.l4 < 0 || to.fragment) return
    const tagged = to.typeAt !== off + ETH_TYPE
    const l3 = ETH_HLEN + (tagged ? VLAN_HLEN : 0)
    const v6 = to.type === ETH_IPV6
    const l4 = l3 + (v6 ? IPV6_HLEN : IPV4_HLEN)
    // More tags, LLC, options or extension headers.
    if ((!v6 && to.type !== ETH_IPV4) || to.l3 !== off + l3 || to.l4 !== off + l4) return
    if (len < l4 + LEAST_TRANSPORT) return
    const { proto } = to
    const least = leastOf(b, off + l4, len - l4, proto, v6)
    if (least < 0) return
    this.#l4 = l4
    this.#tcp = proto === IP_PROTO_TCP
    this.#lengthAt = l3 + (v6 ? IPV6_PLEN : IPV4_TOTAL)
    this.#lengthFrom = v6 ? l4 : l3
    this.#least = v6 ? least : IPV4_HLEN + least
    if (!this.#isWhole(off, len)) return
    const align = off & 3
    const mask = masksOf(align, tagged, v6, proto)
    const words = this.#words
    const values = this.#values
    const at = off >>> 2
    for (let i = 0; i < mask.length; i++) values[i] = words[at + i]! & mask[i]!
    for (let i = 0; i < M_USER - M_FIRST_PIPE; i++) this.#pipe[i] = meta[m + M_FIRST_PIPE + i]!
    this.#port = meta[m + M_PORT]!
    this.#align = align
    this.flags = this.#tcp ? tcpFlags(b, off + l4) : 0
    this.#masks = mask
  }

  /** True if the key of the slot's frame is that of the one remembered, whose TCP flags are `flags` now. */
  isAlike(slot: number): boolean {
    const masks = this.#masks
    const n = masks.length
    if (n === 0) return false
    const meta = this.#meta
    const m = slot * META_WORDS
    const off = meta[m + M_OFF]!
    const len = meta[m + M_LEN]!
    if ((off & 3) !== this.#align || len < this.#l4 + LEAST_TRANSPORT || meta[m + M_PORT] !== this.#port) return false
    const words = this.#words
    const values = this.#values
    const at = off >>> 2
    if (!this.#isWhole(off, len)) return false
    for (let i = 0; i < n; i++) if ((words[at + i]! & masks[i]!) !== values[i]) return false
    const pipe = this.#pipe
    for (let i = 0; i < M_USER - M_FIRST_PIPE; i++) if (meta[m + M_FIRST_PIPE + i] !== pipe[i]) return false
    if (this.#tcp) this.flags = tcpFlags(this.#bytes, off + this.#l4)
    return true
  }

  /** True if IP's length is one with which extraction sees the transport header: as long as the frame, or less, but for padding, and no shorter than the headers. */
  #isWhole(off: number, len: number): boolean {
    const length = be16(this.#bytes, off + this.#lengthAt)
    const rest = len - this.#lengthFrom - length
    return length >= this.#least && rest >= 0 && rest <= 0xffff
  }
}

/** Least bytes of the transport header at `at`, of which `room` are in the frame; -1 for a protocol that is not remembered, or one that is cut. */
const leastOf = (b: Uint8Array, at: number, room: number, proto: number, v6: boolean): number => {
  if (proto === IP_PROTO_UDP) return UDP_HLEN
  if (proto === IP_PROTO_ICMP) return v6 ? -1 : ICMP_HLEN
  if (proto !== IP_PROTO_TCP || room < TCP_HLEN) return -1
  const header = tcpHeaderLength(b, at)
  return header < TCP_HLEN ? -1 : header
}
