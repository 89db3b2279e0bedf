/** Moves a frame's start within its slot: what every action does that makes a frame longer or shorter in front. */
import {
  GSO_UDP_TUNNEL_IPV4,
  GSO_UDP_TUNNEL_IPV6,
  M_BASE,
  M_CSUM_START,
  M_GSO_TYPE,
  M_HDR_LEN,
  M_INNER_NH,
  M_LEN,
  M_OFF,
  M_OUTER_TH,
  M_VFLAGS,
  VNET_F_NEEDS_CSUM,
} from '../packet/slot.ts'

/** Moves the frame's start by `by` bytes towards the headroom (negative: away) and all facts that count from there. False without room. */
export const shift = (meta: Int32Array, m: number, by: number): boolean => {
  const off = meta[m + M_OFF]! - by
  if (off < meta[m + M_BASE]!) return false
  meta[m + M_OFF] = off
  meta[m + M_LEN] = meta[m + M_LEN]! + by
  if ((meta[m + M_VFLAGS]! & VNET_F_NEEDS_CSUM) !== 0) meta[m + M_CSUM_START] = meta[m + M_CSUM_START]! + by
  const gso = meta[m + M_GSO_TYPE]!
  if (gso !== 0) meta[m + M_HDR_LEN] = Math.max(0, meta[m + M_HDR_LEN]! + by)
  if ((gso & (GSO_UDP_TUNNEL_IPV4 | GSO_UDP_TUNNEL_IPV6)) !== 0) {
    meta[m + M_OUTER_TH] = meta[m + M_OUTER_TH]! + by
    meta[m + M_INNER_NH] = meta[m + M_INNER_NH]! + by
  }
  return true
}
