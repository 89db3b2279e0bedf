/**
 * VXLAN, RFC 7348 section 5; group policy extension: draft-smith-vxlan-group-policy.
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-+-+-+-+-+-+-+-+-----------------------------------------------+
 *     |G|R|R|R|I|R|R|R|                   Reserved                    |
 *     +-+-+-+-+-+-+-+-+-----------------------------------------------+
 *     |                      VNI                      |   Reserved    |
 *     +-----------------------------------------------+---------------+
 */
import { put32 } from './bytes.ts'

export const VXLAN_HLEN = 8
export const VXLAN_PORT = 4789
/** I: the VNI is valid. */
export const VXLAN_F_VNI = 0x08

/** The caller has checked that VXLAN_HLEN bytes are there. */
export const vxlanVni = (b: Uint8Array, off: number): number => (b[off + 4]! << 16) | (b[off + 5]! << 8) | b[off + 6]!
export const vxlanFlags = (b: Uint8Array, off: number): number => b[off]!

export interface Vxlan {
  readonly vni: number
}

/** Undefined when it is cut short or the VNI is not valid. Reserved bits are ignored, as section 5 asks. */
export const parseVxlan = (b: Uint8Array, off = 0): Vxlan | undefined =>
  b.length - off < VXLAN_HLEN || (vxlanFlags(b, off) & VXLAN_F_VNI) === 0 ? undefined : { vni: vxlanVni(b, off) }

export const emitVxlan = (b: Uint8Array, off: number, { vni }: Vxlan): void => {
  put32(b, off, VXLAN_F_VNI << 24)
  put32(b, off + 4, vni << 8)
}
