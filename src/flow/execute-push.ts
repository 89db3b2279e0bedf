/**
 * Encapsulation in VXLAN: puts an entry's outer header (encap-table.ts) in front of a frame and fills in what differs from packet to packet. Any thread.
 *
 * ECN is copied (RFC 6040 section 4.1, normal mode), whatever IP there is inside, behind VLAN tags too. The outer UDP checksum never costs a walk over the
 * payload: a partial inner one makes it computable from the headers ("local checksum offload"); without one it becomes the partial one
 * itself, for the output to complete; in a super-frame it is the pseudo-header's sum, for whoever cuts it.
 */
import { be16, put16 } from '../packet/bytes.ts'
import { checksum, checksumAdd, checksumFold, pseudoIpv4, pseudoIpv6 } from '../packet/checksum.ts'
import { IP_PROTO_TCP, IP_PROTO_UDP } from '../packet/ipv4.ts'
import {
  type Arena,
  GSO_ECN,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  GSO_UDP_TUNNEL_IPV4,
  GSO_UDP_TUNNEL_IPV6,
  M_BASE,
  M_CSUM_OFF,
  M_CSUM_START,
  M_GSO_SIZE,
  M_GSO_TYPE,
  M_INNER_NH,
  M_LEN,
  M_OFF,
  M_OUTER_TH,
  M_TUN_DST,
  M_TUN_ID,
  M_VFLAGS,
  META_WORDS,
  VNET_F_NEEDS_CSUM,
  VNET_F_TUNNEL_CSUM,
} from '../packet/slot.ts'
import { ENCAP_CSUM, ENCAP_DF, ENCAP_TOS_INHERIT, ENCAP_TTL_INHERIT } from './encap.ts'
import { type EncapRow, OUTER_ETH } from './encap-table.ts'
import { createLocated, ETH_IPV4, ETH_IPV6, locate } from './execute-locate.ts'
import { shift } from './execute-shift.ts'
import { LOST_MALFORMED } from './lost.ts'
import { PUSH_TOO_BIG, TUNNEL_OK } from './tunnel-codes.ts'
import { tunnelSourcePort } from './tunnel-port.ts'

const TUNNELLED = GSO_UDP_TUNNEL_IPV4 | GSO_UDP_TUNNEL_IPV6
const UDP_CSUM_OFF = 6
const TCP_CSUM_OFF = 16
const MAX_LENGTH = 65535

export class Encapsulator {
  readonly #bytes: Uint8Array
  readonly #halves: Uint16Array
  readonly #meta: Int32Array
  readonly #at = createLocated()
  /** Identification of the next outer IPv4 packet that may be fragmented (RFC 6864: others have none). */
  #id = Math.floor(Math.random() * 0x10000)

  constructor(arena: Arena) {
    this.#bytes = arena.bytes
    this.#halves = new Uint16Array(arena.bytes.buffer)
    this.#meta = arena.meta
  }

  /**
   * Puts `row`'s header in front of the slot's frame, whatever the row's state. `mtu`: most bytes of an outer IP packet, of a super-frame each segment's; 0: no limit.
   * Returns TUNNEL_OK; PUSH_TOO_BIG; or LOST_MALFORMED for a frame that cannot be put into a tunnel: a super-frame that is in one already or cannot be cut, a
   * checksum outside of it, no headroom. Only with TUNNEL_OK is anything changed. Tunnel metadata is cleared.
   */
  push(slot: number, row: EncapRow, mtu: number): number {
    const b = this.#bytes
    const meta = this.#meta
    const at = this.#at
    const m = slot * META_WORDS
    const off = meta[m + M_OFF]!
    const len = meta[m + M_LEN]!
    const n = row.header.length
    const gso = meta[m + M_GSO_TYPE]!
    if (len < 14 || (gso & TUNNELLED) !== 0 || off - n < meta[m + M_BASE]!) return LOST_MALFORMED
    const needs = (meta[m + M_VFLAGS]! & VNET_F_NEEDS_CSUM) !== 0
    if (needs && meta[m + M_CSUM_START]! + meta[m + M_CSUM_OFF]! + 2 > len) return LOST_MALFORMED
    if (!locate(b, meta, slot, at)) at.type = 0

    let wire = len
    let segments = 1
    if (gso !== 0) {
      const headers = this.#superHeaders(off, gso)
      const size = meta[m + M_GSO_SIZE]!
      if (headers < 0 || size <= 0) return LOST_MALFORMED
      wire = Math.min(len, headers + size)
      segments = Math.max(1, Math.ceil((len - headers) / size))
    }
    if (mtu > 0 && wire + n - OUTER_ETH > mtu) return PUSH_TOO_BIG

    if (gso !== 0 && !needs) this.#makePartial(m, off)
    const port = tunnelSourcePort(b, off, at)
    const inner4 = at.type === ETH_IPV4 && at.l3 >= 0
    const inner6 = at.type === ETH_IPV6 && at.l3 >= 0
    let tos = row.version === 4 ? row.header[OUTER_ETH + 1]! : (be16(row.header, OUTER_ETH) >>> 4) & 0xff
    let ttl = row.header[OUTER_ETH + (row.version === 4 ? 8 : 7)]!
    if (inner4 || inner6) {
      const innerTos = inner4 ? b[at.l3 + 1]! : (be16(b, at.l3) >>> 4) & 0xff
      tos = (row.flags & ENCAP_TOS_INHERIT) !== 0 ? innerTos : (tos & 0xfc) | (innerTos & 3)
      if ((row.flags & ENCAP_TTL_INHERIT) !== 0) ttl = b[at.l3 + (inner4 ? 8 : 7)]!
    }

    const start = off - n
    this.#copyHeader(row, start)
    const ip = start + OUTER_ETH
    const udp = off - 16
    const udpLength = Math.min(len + 16, MAX_LENGTH)
    if (row.version === 4) {
      const total = Math.min(len + n - OUTER_ETH, MAX_LENGTH)
      let id = 0
      if ((row.flags & ENCAP_DF) === 0) {
        id = this.#id
        this.#id = (id + segments) & 0xffff
      }
      b[ip + 1] = tos
      put16(b, ip + 2, total)
      put16(b, ip + 4, id)
      b[ip + 8] = ttl
      put16(b, ip + 10, ~checksumFold(row.ipSum + (0x4500 | tos) + total + id + ((ttl << 8) | IP_PROTO_UDP)))
    } else {
      b[ip] = 0x60 | (tos >>> 4)
      b[ip + 1] = ((tos & 15) << 4) | (row.header[OUTER_ETH + 1]! & 15)
      put16(b, ip + 4, udpLength)
      b[ip + 7] = ttl
    }
    put16(b, udp, port)
    put16(b, udp + 4, udpLength)
    const csum = (row.flags & ENCAP_CSUM) !== 0
    let flags = meta[m + M_VFLAGS]! & VNET_F_NEEDS_CSUM
    const whole = csum && gso === 0 && this.#complete(row, m, off, udp, udpLength, port)
    if (csum && gso === 0 && !whole) flags = 0
    meta[m + M_VFLAGS] = flags
    shift(meta, m, n)
    if (gso !== 0) {
      meta[m + M_GSO_TYPE] = gso | (row.version === 4 ? GSO_UDP_TUNNEL_IPV4 : GSO_UDP_TUNNEL_IPV6)
      meta[m + M_OUTER_TH] = udp - start
      meta[m + M_INNER_NH] = at.l3 - start
      if (csum) meta[m + M_VFLAGS] = flags | VNET_F_TUNNEL_CSUM
    }
    if (csum && !whole) {
      put16(b, udp + UDP_CSUM_OFF, checksumFold(row.pseudoSum + udpLength))
      if (gso === 0) {
        meta[m + M_VFLAGS] = VNET_F_NEEDS_CSUM
        meta[m + M_CSUM_START] = udp - start
        meta[m + M_CSUM_OFF] = UDP_CSUM_OFF
      }
    }
    for (let w = m + M_TUN_ID; w < m + M_TUN_DST + 4; w++) meta[w] = 0
    return TUNNEL_OK
  }

  #copyHeader(row: EncapRow, start: number): void {
    const { halves } = row
    if ((start & 1) === 0) {
      const to = this.#halves
      const at = start >>> 1
      for (let i = 0; i < halves.length; i++) to[at + i] = halves[i]!
    } else this.#bytes.set(row.header, start)
  }

  /** Bytes from the frame's start to the end of the transport header, of a super-frame of a kind that can be cut; -1 if it is none. */
  #superHeaders(off: number, gso: number): number {
    const at = this.#at
    if (at.l3 < 0 || at.l4 < 0 || at.fragment) return -1
    const kind = gso & ~GSO_ECN
    if (kind === GSO_UDP_L4) {
      if (at.proto !== IP_PROTO_UDP || (at.type !== ETH_IPV4 && at.type !== ETH_IPV6)) return -1
      return at.l4 + 8 <= at.end ? at.l4 + 8 - off : -1
    }
    if (at.proto !== IP_PROTO_TCP) return -1
    if (!(kind === GSO_TCPV4 && at.type === ETH_IPV4) && !(kind === GSO_TCPV6 && at.type === ETH_IPV6)) return -1
    if (at.l4 + 20 > at.end) return -1
    const headers = at.l4 + (this.#bytes[at.l4 + 12]! >>> 4) * 4
    return headers >= at.l4 + 20 && headers <= at.end ? headers - off : -1
  }

  /** A super-frame without a partial checksum gets one, for inside of a tunnel that is how the inner transport header is found. */
  #makePartial(m: number, off: number): void {
    const b = this.#bytes
    const meta = this.#meta
    const at = this.#at
    const place = at.proto === IP_PROTO_TCP ? TCP_CSUM_OFF : UDP_CSUM_OFF
    const length = at.end - at.l4
    const sum = at.type === ETH_IPV4 ? pseudoIpv4(b, at.l3, at.proto, length) : pseudoIpv6(b, at.l3, at.proto, length)
    put16(b, at.l4 + place, checksumFold(sum))
    meta[m + M_CSUM_START] = at.l4 - off
    meta[m + M_CSUM_OFF] = place
    meta[m + M_VFLAGS] = meta[m + M_VFLAGS]! | VNET_F_NEEDS_CSUM
  }

  /**
   * Writes the whole outer checksum if there is a partial inner one: what that covers sums up to the complement of what its field holds now. False, and nothing written, without one;
   * one that starts at an odd byte is completed first and then there is none.
   */
  #complete(row: EncapRow, m: number, off: number, udp: number, udpLength: number, port: number): boolean {
    const b = this.#bytes
    const meta = this.#meta
    if ((meta[m + M_VFLAGS]! & VNET_F_NEEDS_CSUM) === 0) return false
    const start = meta[m + M_CSUM_START]!
    const field = off + start + meta[m + M_CSUM_OFF]!
    if ((start & 1) !== 0) {
      put16(b, field, checksum(b, off + start, meta[m + M_LEN]! - start) || 0xffff)
      return false
    }
    const sum = row.pseudoSum + row.udpSum + 2 * udpLength + port + (~be16(b, field) & 0xffff)
    put16(b, udp + UDP_CSUM_OFF, ~checksumFold(checksumAdd(sum, b, off, start)) & 0xffff || 0xffff)
    return true
  }
}
