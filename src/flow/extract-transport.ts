/**
 * Layer 4 of extraction. Which headers are looked for depends on the protocol number alone, not on the version of IP
 * (as Open vSwitch has it): ICMPv6 inside IPv4 fills the same fields, and prerequisites keep rules from seeing them.
 * Hot path.
 */
import { be16, be32 } from '../packet/bytes.ts'
import { ICMP_HLEN } from '../packet/icmp.ts'
import { isNd, ND_HLEN, ND_OPT_LEN, ND_OPT_SOURCE, ND_OPT_TARGET, ND_RESERVED, ND_TARGET } from '../packet/icmpv6.ts'
import { IGMP_GROUP, IGMP_HLEN } from '../packet/igmp.ts'
import {
  IP_PROTO_ICMP,
  IP_PROTO_ICMPV6,
  IP_PROTO_IGMP,
  IP_PROTO_SCTP,
  IP_PROTO_TCP,
  IP_PROTO_UDP,
} from '../packet/ipv4.ts'
import { SCTP_HLEN } from '../packet/sctp.ts'
import { tcpCheck, tcpFlags } from '../packet/tcp.ts'
import { UDP_HLEN } from '../packet/udp.ts'
import { K_ARP_HW, K_IGMP_GROUP, K_ND_TARGET, K_TCP_FLAGS, K_TP } from './key.ts'

/** Fills the transport words from the header at `at`; `end` is where IP's payload ends. Not for later fragments. */
export const extractTransport = (bytes: Uint8Array, at: number, end: number, proto: number, key: Int32Array): void => {
  switch (proto) {
    case IP_PROTO_TCP:
      if (tcpCheck(bytes, at, end) < 0) return
      key[K_TP] = be32(bytes, at)
      key[K_TCP_FLAGS] = tcpFlags(bytes, at) << 16
      return
    case IP_PROTO_UDP:
      if (end - at >= UDP_HLEN) key[K_TP] = be32(bytes, at)
      return
    case IP_PROTO_SCTP:
      if (end - at >= SCTP_HLEN) key[K_TP] = be32(bytes, at)
      return
    case IP_PROTO_ICMP:
      if (end - at >= ICMP_HLEN) key[K_TP] = typeAndCode(bytes, at)
      return
    case IP_PROTO_IGMP:
      if (end - at < IGMP_HLEN) return
      key[K_TP] = typeAndCode(bytes, at)
      key[K_IGMP_GROUP] = be32(bytes, at + IGMP_GROUP)
      return
    case IP_PROTO_ICMPV6:
      if (end - at < ICMP_HLEN) return
      key[K_TP] = typeAndCode(bytes, at)
      if (isNd(bytes, at)) extractNd(bytes, at, end, key)
      return
  }
}

const typeAndCode = (bytes: Uint8Array, at: number): number => (bytes[at]! << 16) | bytes[at + 1]!

/**
 * Target and link-layer options of neighbour discovery. A malformed option ends the parse and what was found stays; a
 * link-layer option given twice voids target and addresses, but neither the reserved word nor the type of the first
 * option.
 */
const extractNd = (bytes: Uint8Array, at: number, end: number, key: Int32Array): void => {
  key[K_IGMP_GROUP] = be32(bytes, at + ND_RESERVED)
  if (end - at < ND_HLEN) return
  for (let i = 0; i < 4; i++) key[K_ND_TARGET + i] = be32(bytes, at + ND_TARGET + 4 * i)
  let option = at + ND_HLEN
  while (end - option >= ND_OPT_LEN) {
    const type = bytes[option]!
    const length = bytes[option + 1]! << 3
    if (length === 0 || length > end - option) return
    if (length === ND_OPT_LEN && (type === ND_OPT_SOURCE || type === ND_OPT_TARGET)) {
      if (hasAddress(key, type)) {
        for (let i = 0; i < 4; i++) key[K_ND_TARGET + i] = 0
        for (let i = 0; i < 3; i++) key[K_ARP_HW + i] = 0
        return
      }
      setAddress(key, type, be16(bytes, option + 2), be32(bytes, option + 4))
      if (key[K_TCP_FLAGS] === 0) key[K_TCP_FLAGS] = type << 16
    }
    option += length
  }
}

const hasAddress = (key: Int32Array, type: number): boolean =>
  type === ND_OPT_SOURCE
    ? key[K_ARP_HW] !== 0 || key[K_ARP_HW + 1]! >>> 16 !== 0
    : (key[K_ARP_HW + 1]! & 0xffff) !== 0 || key[K_ARP_HW + 2] !== 0

const setAddress = (key: Int32Array, type: number, high: number, low: number): void => {
  if (type === ND_OPT_SOURCE) {
    key[K_ARP_HW] = (high << 16) | (low >>> 16)
    key[K_ARP_HW + 1] = (key[K_ARP_HW + 1]! & 0xffff) | (low << 16)
  } else {
    key[K_ARP_HW + 1] = (key[K_ARP_HW + 1]! & 0xffff0000) | high
    key[K_ARP_HW + 2] = low
  }
}
