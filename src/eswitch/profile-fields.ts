/**
 * What a capability profile may name: the match fields of the registry that the datapath's key holds, and parts of that key that OpenFlow has no field
 * for. As bits of key words, so that checks work on masks as tier 1 makes them, whichever of several overlapping fields it thought of.
 */
import type { Field } from '../flow/fields.ts'
import { K_DP_WORDS, K_MPLS, K_TUN_TP, K_VLAN0, K_VLAN1 } from '../flow/key.ts'
import { FIELDS, fieldByName } from '../flow/registry.ts'

export interface ProfileField {
  readonly name: string
  /** Prerequisite's name (flow/prerequisites.ts). */
  readonly prerequisite: string
  /** Words of the key that it lies in, and its bits there. */
  readonly words: readonly { readonly word: number; readonly mask: number }[]
}

/** Whoever matches a VLAN's id or priority matches that there is a tag (registry.ts). */
const CFI_TOO = new Set(['dl_vlan', 'vlan_vid', 'dl_vlan_pcp', 'vlan_pcp'])

const wordsOf = (field: Field): { word: number; mask: number }[] => {
  const words: { word: number; mask: number }[] = []
  const end = field.bit + field.bits
  for (let word = field.bit >> 5; word < (end + 31) >> 5; word++) {
    const from = Math.max(field.bit - word * 32, 0)
    const to = Math.min(end - word * 32, 32)
    words.push({ word, mask: ((0xffffffff >>> from) & (to === 32 ? -1 : ~(0xffffffff >>> to))) | 0 })
  }
  if (CFI_TOO.has(field.name)) words[0]!.mask |= 0x1000
  return words
}

const keyOnly = (name: string, ...words: { word: number; mask: number }[]): ProfileField => ({
  name,
  prerequisite: 'none',
  words,
})

/** All of them. Registry fields first, in its order. */
export const PROFILE_FIELDS: readonly ProfileField[] = [
  ...FIELDS.filter((field) => field.bit < K_DP_WORDS * 32).map((field) => ({
    name: field.name,
    prerequisite: field.prerequisite,
    words: wordsOf(field),
  })),
  keyOnly('vlan_tpid', { word: K_VLAN0, mask: 0xffff0000 | 0 }),
  keyOnly('inner_vlan', { word: K_VLAN1, mask: -1 }),
  keyOnly('mpls_inner', { word: K_MPLS + 1, mask: -1 }, { word: K_MPLS + 2, mask: -1 }),
  keyOnly('tun_tp', { word: K_TUN_TP, mask: -1 }),
]

const byName = new Map(PROFILE_FIELDS.map((field) => [field.name, field]))

/** By name or a registry alias ('eth_type' is 'dl_type'); undefined for unknown names and fields of tier 1's pipeline. */
export const profileFieldByName = (name: string): ProfileField | undefined =>
  byName.get(name) ?? byName.get(fieldByName(name)?.name ?? '')
