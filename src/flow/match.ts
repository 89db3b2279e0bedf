/**
 * Operations on matches (key.ts): key and mask of K_WORDS words each. Control path only: tier 1's tables, the offload module, texts. The hot
 * path compares words by itself.
 */
import { K_WORDS, type Match } from './key.ts'

export const cloneMatch = (m: Match): Match => ({ key: m.key.slice(), mask: m.mask.slice() })

/** Clears, in place, the key's bits outside of the mask. All other functions here expect that this holds. */
export const canonicalise = (m: Match): void => {
  for (let i = 0; i < K_WORDS; i++) m.key[i] = m.key[i]! & m.mask[i]!
}

/** True if `m` matches every packet. */
export const isCatchAll = (m: Match): boolean => m.mask.every((word) => word === 0)

/** Same packets, same bits looked at. */
export const equalMatch = (a: Match, b: Match): boolean => {
  for (let i = 0; i < K_WORDS; i++) if (a.key[i] !== b.key[i] || a.mask[i] !== b.mask[i]) return false
  return true
}

/** True if `m` matches a packet with this key. */
export const matchesKey = (m: Match, key: Int32Array): boolean => {
  for (let i = 0; i < K_WORDS; i++) if (((m.key[i]! ^ key[i]!) & m.mask[i]!) !== 0) return false
  return true
}

/**
 * True if every packet that `specific` matches is matched by `general`: what loose modifications and deletions ask. An empty intersection of
 * fields is no cover: `general` must look at nothing that `specific` leaves open.
 */
export const covers = (general: Match, specific: Match): boolean => {
  for (let i = 0; i < K_WORDS; i++) {
    const mask = general.mask[i]!
    if ((mask & ~specific.mask[i]!) !== 0 || ((general.key[i]! ^ specific.key[i]!) & mask) !== 0) return false
  }
  return true
}

/** True if some packet is matched by both (OpenFlow's overlap, CHECK_OVERLAP). */
export const overlaps = (a: Match, b: Match): boolean => {
  for (let i = 0; i < K_WORDS; i++) if (((a.key[i]! ^ b.key[i]!) & a.mask[i]! & b.mask[i]!) !== 0) return false
  return true
}

/** `into |= mask`: what a translation looked at, collected. */
export const uniteMask = (into: Int32Array, mask: Int32Array): void => {
  for (let i = 0; i < K_WORDS; i++) into[i] = into[i]! | mask[i]!
}

/** True if `inner` has no bit that `outer` lacks. */
export const isSubMask = (inner: Int32Array, outer: Int32Array): boolean => {
  for (let i = 0; i < K_WORDS; i++) if ((inner[i]! & ~outer[i]!) !== 0) return false
  return true
}

/** Equal strings if and only if the masks are equal: the name of a classifier's tuple. */
export const maskId = (mask: Int32Array): string => {
  let id = ''
  for (let i = 0; i < K_WORDS; i++) if (mask[i] !== 0) id += `${i.toString(36)}.${(mask[i]! >>> 0).toString(36)},`
  return id
}

/** Equal strings if and only if `a.key & mask` and `b.key & mask` are equal, for one and the same mask. */
export const maskedKeyId = (key: Int32Array, mask: Int32Array): string => {
  let id = ''
  for (let i = 0; i < K_WORDS; i++) if (mask[i] !== 0) id += `${((key[i]! & mask[i]!) >>> 0).toString(36)},`
  return id
}

/** Equal strings if and only if the matches are equal: the key of a Map of rules. */
export const matchId = (m: Match): string => `${maskId(m.mask)}=${maskedKeyId(m.key, m.mask)}`
