/** Questions about a key that several action families ask. */
import { FRAG_LATER, K_DL_TYPE, K_ETH, K_NW } from '../../flow/key.ts'

export const ETH_IP = 0x0800
export const ETH_ARP = 0x0806
export const ETH_IPV6 = 0x86dd
const ETH_MPLS = 0x8847
const ETH_MPLSM = 0x8848

export const PROTO_ICMP = 1
export const PROTO_TCP = 6
export const PROTO_UDP = 17
export const PROTO_ICMPV6 = 58
export const PROTO_SCTP = 132

/** Masks within K_NW. */
export const NW_PROTO = 0xff000000 | 0
export const NW_TOS = 0xff0000
export const NW_DSCP = 0xfc0000
export const NW_TTL = 0xff00
export const NW_FRAG = 0x3

export const ethType = (key: Int32Array): number => key[K_DL_TYPE]! >>> 16
export const ipProto = (key: Int32Array): number => key[K_NW]! >>> 24
export const isMplsType = (type: number): boolean => type === ETH_MPLS || type === ETH_MPLSM

export const isIp = (key: Int32Array): boolean => {
  const type = ethType(key)
  return type === ETH_IP || type === ETH_IPV6
}

export const isLaterFragment = (key: Int32Array): boolean => (key[K_NW]! & FRAG_LATER) !== 0

/** 48-bit numbers. */
export const ethDst = (key: Int32Array): number => (key[K_ETH]! >>> 0) * 0x10000 + (key[K_ETH + 1]! >>> 16)
export const ethSrc = (key: Int32Array): number => (key[K_ETH + 1]! & 0xffff) * 0x100000000 + (key[K_ETH + 2]! >>> 0)
