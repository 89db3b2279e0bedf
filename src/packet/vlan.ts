/**
 * VLAN tags, IEEE 802.1Q clause 9.6: 0x8100 (customer) or 0x88a8 (service) where the type would be, the tag, then the
 * next type.
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------------------------------+-----+-+-----------------------+
 *     | TPID                          | PCP |D| VID                   |
 *     +-------------------------------+-----+-+-----------------------+
 *
 * The key uses bit D (DEI, formerly CFI) to say that a tag is there (flow/key.ts), so DEI itself is not carried
 * through a rewrite.
 */
import { be16 } from './bytes.ts'
import { ETH_TYPE_QINQ, ETH_TYPE_VLAN } from './ethernet.ts'

export const VLAN_HLEN = 4
export const VLAN_VID_MASK = 0xfff
export const VLAN_PCP_SHIFT = 13

export const isVlanType = (type: number): boolean => type === ETH_TYPE_VLAN || type === ETH_TYPE_QINQ

/** TCI of the tag whose TPID is at `off`. */
export const vlanTci = (b: Uint8Array, off: number): number => be16(b, off + 2)
export const tciVid = (tci: number): number => tci & VLAN_VID_MASK
export const tciPcp = (tci: number): number => (tci >> VLAN_PCP_SHIFT) & 7

export interface VlanTag {
  readonly tpid: number
  readonly vid: number
  readonly pcp: number
  readonly dei: boolean
}

/** Undefined when there is no tag at `off`, or it is cut short (the type after it belongs to it). */
export const parseVlan = (b: Uint8Array, off: number): VlanTag | undefined => {
  if (b.length - off < VLAN_HLEN + 2) return undefined
  const tpid = be16(b, off)
  if (!isVlanType(tpid)) return undefined
  const tci = vlanTci(b, off)
  return { tpid, vid: tciVid(tci), pcp: tciPcp(tci), dei: (tci & 0x1000) !== 0 }
}

/** The 32 bits of a tag. */
export const vlanWord = ({ tpid, vid, pcp, dei }: VlanTag): number =>
  (tpid << 16) | (pcp << VLAN_PCP_SHIFT) | (dei ? 0x1000 : 0) | vid
