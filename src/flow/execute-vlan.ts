/** Actions that make a frame longer or shorter in front: VLAN tags and MPLS labels. They move the frame's start within the headroom. */
import { be16, put16, put32 } from '../packet/bytes.ts'
import { M_LEN, M_OFF, META_WORDS } from '../packet/slot.ts'
import { ETH_MPLS, ETH_MPLS_MC, isVlan, type Located, locate } from './execute-locate.ts'
import { shift } from './execute-shift.ts'

/** Puts a tag in front of all others. `tag` is TPID << 16 | TCI. False without headroom. */
export const pushVlan = (b: Uint8Array, meta: Int32Array, slot: number, tag: number): boolean => {
  const m = slot * META_WORDS
  const off = meta[m + M_OFF]!
  if (meta[m + M_LEN]! < 14 || !shift(meta, m, 4)) return false
  b.copyWithin(off - 4, off, off + 12)
  put32(b, off + 8, tag)
  return true
}

/** Takes the outer tag off; a frame without one stays as it is. False when the frame ends inside of it. */
export const popVlan = (b: Uint8Array, meta: Int32Array, slot: number): boolean => {
  const m = slot * META_WORDS
  const off = meta[m + M_OFF]!
  const len = meta[m + M_LEN]!
  if (len < 14) return false
  if (!isVlan((b[off + 12]! << 8) | b[off + 13]!)) return true
  if (len < 18) return false
  b.copyWithin(off + 4, off, off + 12)
  return shift(meta, m, -4)
}

/** Puts a label stack entry behind the Ethernet type, which becomes `type`. */
export const pushMpls = (
  b: Uint8Array,
  meta: Int32Array,
  slot: number,
  type: number,
  lse: number,
  at: Located,
): boolean => {
  // In an LLC frame there is a length in the type's place.
  if (!locate(b, meta, slot, at) || be16(b, at.typeAt) < 0x600) return false
  const m = slot * META_WORDS
  const off = meta[m + M_OFF]!
  if (!shift(meta, m, 4)) return false
  b.copyWithin(off - 4, off, at.typeAt)
  put16(b, at.typeAt - 4, type)
  put32(b, at.typeAt - 2, lse)
  return true
}

/** Takes the outermost label stack entry off. False when there is none. */
export const popMpls = (b: Uint8Array, meta: Int32Array, slot: number, type: number, at: Located): boolean => {
  if (!locate(b, meta, slot, at)) return false
  if ((at.type !== ETH_MPLS && at.type !== ETH_MPLS_MC) || at.typeAt + 6 > at.end || at.l3 !== at.typeAt + 2)
    return false
  const m = slot * META_WORDS
  const off = meta[m + M_OFF]!
  b.copyWithin(off + 4, off, at.typeAt)
  put16(b, at.typeAt + 4, type)
  return shift(meta, m, -4)
}
