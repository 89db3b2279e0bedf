/** Finds the headers that actions write, in the frame as it is now. Trusts no length: what is cut off is not there. */
import { be16 } from '../packet/bytes.ts'
import { SNAP_HLEN, snapType } from '../packet/llc.ts'
import { M_LEN, M_OFF, META_WORDS } from '../packet/slot.ts'

export const ETH_IPV4 = 0x0800
export const ETH_ARP = 0x0806
export const ETH_RARP = 0x8035
export const ETH_IPV6 = 0x86dd
export const ETH_MPLS = 0x8847
export const ETH_MPLS_MC = 0x8848
const ETH_VLAN = 0x8100
const ETH_QINQ = 0x88a8

export const isVlan = (type: number): boolean => type === ETH_VLAN || type === ETH_QINQ

const IPV6_HOP = 0
const IPV6_ROUTING = 43
const IPV6_FRAGMENT = 44
const IPV6_AUTH = 51
const IPV6_DEST = 60

/** Offsets are bytes in the arena; -1 means that there is no such header. */
export interface Located {
  /** Of the innermost Ethernet type, after VLAN tags. */
  typeAt: number
  type: number
  /** Header that follows it. */
  l3: number
  /** Transport protocol, -1 when unknown. */
  proto: number
  /** -1 for later fragments and when cut off. */
  l4: number
  /** A fragment of IP, the first one included. */
  fragment: boolean
  /** First byte after the frame. */
  end: number
  /** An IPv6 routing header with segments left: the destination in the header is not the one in the checksum. */
  routed: boolean
}

export const createLocated = (): Located => ({
  typeAt: 0,
  type: 0,
  l3: -1,
  proto: -1,
  l4: -1,
  fragment: false,
  end: 0,
  routed: false,
})

const locateIpv6 = (b: Uint8Array, to: Located): void => {
  let at = to.l3 + 40
  let next = b[to.l3 + 6]!
  for (let headers = 0; headers < 16; headers++) {
    if (
      next !== IPV6_HOP &&
      next !== IPV6_ROUTING &&
      next !== IPV6_DEST &&
      next !== IPV6_AUTH &&
      next !== IPV6_FRAGMENT
    ) {
      to.proto = next
      if (at < to.end) to.l4 = at
      return
    }
    if (at + 8 > to.end) return
    const size = next === IPV6_FRAGMENT ? 8 : next === IPV6_AUTH ? (b[at + 1]! + 2) * 4 : (b[at + 1]! + 1) * 8
    if (next === IPV6_ROUTING && b[at + 3]! > 0) to.routed = true
    if (next === IPV6_FRAGMENT) to.fragment = true
    const later = next === IPV6_FRAGMENT && (be16(b, at + 2) & 0xfff8) !== 0
    next = b[at]!
    at += size
    if (later) {
      to.proto = next
      return
    }
  }
}

/** Fills `to` for the slot's frame. False when the frame is shorter than its Ethernet header and tags. */
export const locate = (b: Uint8Array, meta: Int32Array, slot: number, to: Located): boolean => {
  const off = meta[slot * META_WORDS + M_OFF]!
  to.end = off + meta[slot * META_WORDS + M_LEN]!
  to.l3 = -1
  to.l4 = -1
  to.proto = -1
  to.fragment = false
  to.routed = false
  let at = off + 12
  if (at + 2 > to.end) return false
  let type = be16(b, at)
  while (isVlan(type)) {
    at += 4
    if (at + 2 > to.end) return false
    type = be16(b, at)
  }
  to.typeAt = at
  let l3 = at + 2
  if (type < 0x600) {
    type = snapType(b, l3, to.end)
    l3 += SNAP_HLEN
  }
  to.type = type
  if (type === ETH_IPV4) {
    if (l3 + 20 > to.end || b[l3]! >>> 4 !== 4) return true
    const ihl = (b[l3]! & 15) * 4
    if (ihl < 20) return true
    to.l3 = l3
    to.proto = b[l3 + 9]!
    to.fragment = (be16(b, l3 + 6) & 0x3fff) !== 0
    if ((be16(b, l3 + 6) & 0x1fff) === 0 && l3 + ihl < to.end) to.l4 = l3 + ihl
  } else if (type === ETH_IPV6) {
    if (l3 + 40 > to.end || b[l3]! >>> 4 !== 6) return true
    to.l3 = l3
    locateIpv6(b, to)
  } else if (l3 < to.end) to.l3 = l3
  return true
}
