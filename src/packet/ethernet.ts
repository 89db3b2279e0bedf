/**
 * Ethernet II and 802.3 framing, IEEE 802.3 clause 3.2.
 *
 *      0                   6                   12        14
 *     +-------------------+-------------------+---------+----------
 *     | destination       | source            | type or |  payload
 *     |                   |                   | length  |
 *     +-------------------+-------------------+---------+----------
 *
 * A value below ETH_TYPE_MIN in the third field is a length, and 802.2 LLC follows (llc.ts). Frames are handled
 * without FCS.
 */
import { be16, be48, put16, put48 } from './bytes.ts'

export const ETH_HLEN = 14
export const ETH_DST = 0
export const ETH_SRC = 6
export const ETH_TYPE = 12

export const ETH_TYPE_MIN = 0x600
export const ETH_TYPE_IPV4 = 0x0800
export const ETH_TYPE_ARP = 0x0806
export const ETH_TYPE_RARP = 0x8035
export const ETH_TYPE_VLAN = 0x8100
export const ETH_TYPE_QINQ = 0x88a8
export const ETH_TYPE_IPV6 = 0x86dd
export const ETH_TYPE_MPLS = 0x8847
export const ETH_TYPE_MPLS_MCAST = 0x8848
export const ETH_TYPE_NSH = 0x894f

export const ethType = (b: Uint8Array, off: number): number => be16(b, off + ETH_TYPE)
export const isMulticast = (b: Uint8Array, off: number): boolean => (b[off]! & 1) !== 0

/** Addresses as numbers below 2^48. */
export interface Ethernet {
  readonly dst: number
  readonly src: number
  readonly type: number
}

/** Undefined when there are fewer than ETH_HLEN bytes. */
export const parseEthernet = (b: Uint8Array, off = 0): Ethernet | undefined =>
  b.length - off < ETH_HLEN
    ? undefined
    : { dst: be48(b, off + ETH_DST), src: be48(b, off + ETH_SRC), type: be16(b, off + ETH_TYPE) }

export const emitEthernet = (b: Uint8Array, off: number, { dst, src, type }: Ethernet): void => {
  put48(b, off + ETH_DST, dst)
  put48(b, off + ETH_SRC, src)
  put16(b, off + ETH_TYPE, type)
}
