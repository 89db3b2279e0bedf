/** The key's MPLS label stack. RFC 3032; three entries are known. */
import { K_DL_TYPE, K_DP_HASH, K_DP_WORDS, K_MPLS, K_NW, K_NW_SRC } from '../../flow/key.ts'
import { ETH_IPV6, ethType, isIp, isMplsType, NW_DSCP, NW_TTL } from './packet.ts'

export const MAX_LABELS = 3
/** Bottom of stack. */
const BOS = 0x100

/** Labels of the packet; `wc`: looks at the bottom-of-stack bits that it read. */
export const countLabels = (key: Int32Array, wc: Int32Array | null): number => {
  if (!isMplsType(ethType(key))) return 0
  let count = 0
  for (let i = 0; i < MAX_LABELS; i++) {
    if (wc) wc[K_MPLS + i] = wc[K_MPLS + i]! | BOS
    if ((key[K_MPLS + i]! & BOS) !== 0) return i + 1
    if (key[K_MPLS + i] !== 0) count++
  }
  return count
}

const setType = (key: Int32Array, type: number): void => {
  key[K_DL_TYPE] = (type << 16) | (key[K_DL_TYPE]! & 0xffff)
}

/** Pushes onto a key that has `n` labels. `clear`: what is above layer 2 is hidden from now on. */
export const pushLabel = (key: Int32Array, n: number, type: number, wc: Int32Array | null, clear: boolean): void => {
  if (n > 0) {
    if (wc) wc.fill(-1, K_MPLS, K_MPLS + n)
    key.copyWithin(K_MPLS + 1, K_MPLS, K_MPLS + n)
    key[K_MPLS] = key[K_MPLS + 1]! & ~BOS
  } else {
    // Explicit null label of the protocol below; class and TTL are taken over.
    const label = ethType(key) === ETH_IPV6 ? 2 : 0
    const ip = isIp(key)
    if (ip && wc) wc[K_NW] = wc[K_NW]! | NW_DSCP | NW_TTL
    const tc = ip ? ((key[K_NW]! & NW_DSCP) >> 18) & 7 : 0
    const ttl = (ip && (key[K_NW]! & NW_TTL) >> 8) || 64
    key[K_MPLS] = (label << 12) | (tc << 9) | BOS | ttl
    if (clear) {
      key.fill(0, K_NW_SRC, K_DP_WORDS)
      key[K_DP_HASH] = 0
    }
  }
  setType(key, type)
}

/** Pops one of `n` labels. False: there is none, or what would take its place is not known. */
export const popLabel = (key: Int32Array, n: number, type: number, wc: Int32Array | null): boolean => {
  if (n === 0) return false
  if (n === MAX_LABELS) {
    if (wc) wc[K_MPLS + n - 1] = wc[K_MPLS + n - 1]! | BOS
    if ((key[K_MPLS + n - 1]! & BOS) === 0) return false
  }
  if (wc) wc.fill(-1, K_MPLS + 1, K_MPLS + n)
  key.copyWithin(K_MPLS, K_MPLS + 1, K_MPLS + n)
  key[K_MPLS + n - 1] = 0
  setType(key, type)
  return true
}
