/**
 * 802.2 LLC with SNAP, IEEE 802 clause 9: the way an Ethernet type travels in an 802.3 frame (RFC 1042).
 *
 *      0      1      2         3                   6         8
 *     +------+------+---------+-------------------+---------+
 *     | DSAP | SSAP | control | OUI               | type    |
 *     | aa   | aa   | 03      | 00 00 00          |         |
 *     +------+------+---------+-------------------+---------+
 */
import { be16, be32 } from './bytes.ts'
import { ETH_TYPE_MIN } from './ethernet.ts'

export const SNAP_HLEN = 8
/** What the key has for a frame without an Ethernet type. */
export const DL_TYPE_NONE = 0x05ff

/**
 * The Ethernet type of the LLC header at `off`, or DL_TYPE_NONE: another LLC, another OUI, cut short, or no type in it.
 */
export const snapType = (b: Uint8Array, off: number, end: number): number => {
  if (end - off < SNAP_HLEN || be32(b, off) !== (0xaaaa0300 | 0) || be16(b, off + 4) !== 0) return DL_TYPE_NONE
  const type = be16(b, off + 6)
  return type >= ETH_TYPE_MIN ? type : DL_TYPE_NONE
}
