/** Can the eswitch match the fields, and with these masks? */
import type { Profile } from '../../eswitch/profile.ts'
import { PROFILE_FIELDS, type ProfileField } from '../../eswitch/profile-fields.ts'
import { K_DL_TYPE, K_DP_WORDS, K_RECIRC_ID, K_TP, K_VLAN0, K_VLAN1, type Match, VLAN_CFI } from '../../flow/key.ts'
import { PREREQUISITES, satisfied } from '../../flow/prerequisites.ts'
import type { Refusal } from '../verdict.ts'
import type { EswitchCheck } from './contract.ts'

/** Every rule has these: in_port in full, and the recirculation id, which is zero for a frame that has just come in. */
const ALWAYS = new Set(['in_port', 'in_port_oxm', 'recirc_id'])

/** Bits that any field describes. The rest of the key is padding: zero for every packet, free to match. */
const described = new Int32Array(K_DP_WORDS)
for (const field of PROFILE_FIELDS) for (const { word, mask } of field.words) described[word]! |= mask

const bitCount = (n: number): number => {
  let count = 0
  for (let v = n >>> 0; v !== 0; v >>>= 1) count += v & 1
  return count
}

const overlap = (field: ProfileField, mask: Int32Array): number =>
  field.words.reduce((sum, w) => sum + bitCount(w.mask & mask[w.word]!), 0)

/** Lower: says more about the packet. Names for any transport come last, then the field with the fewest kinds of packets. */
const vagueness = (field: ProfileField): number =>
  field.prerequisite === 'tp' ? 1000 : PREREQUISITES.get(field.prerequisite)!.alternatives.length

/** The field that a user would say these bits belong to. */
const nameOf = (mask: Int32Array, match: Match): string => {
  let best: ProfileField | undefined
  let score = -Infinity
  for (const field of PROFILE_FIELDS) {
    const bits = overlap(field, mask)
    if (bits === 0) continue
    const rank = (satisfied(match, field.prerequisite) ? 1e6 : 0) + bits * 100 - vagueness(field) * 10
    if (rank > score) {
      best = field
      score = rank
    }
  }
  return best?.name ?? 'key'
}

/** "No such tag" is no look at tags for who matches the type exactly: the type of a frame with the tag would be another. */
const impliedByType = (match: Match, word: number): boolean =>
  (word === K_VLAN0 || word === K_VLAN1) &&
  match.mask[K_DL_TYPE]! >>> 16 === 0xffff &&
  (match.mask[word]! & VLAN_CFI) !== 0 &&
  (match.key[word]! & VLAN_CFI) === 0

const unknownFields = (match: Match, profile: Profile): Refusal | undefined => {
  if (match.key[K_RECIRC_ID] !== 0 && !profile.actions.has('recirc'))
    return {
      check: 'match-field',
      what: 'recirc_id',
      detail: `the flow matches recirculated packets, and profile ${profile.name} does not recirculate`,
      retryOn: ['flow-change'],
    }
  const allowed = new Int32Array(K_DP_WORDS)
  const known = new Int32Array(K_DP_WORDS)
  for (const field of PROFILE_FIELDS) {
    if (!satisfied(match, field.prerequisite)) continue
    const may = ALWAYS.has(field.name) || profile.match.has(field.name)
    for (const { word, mask } of field.words) {
      known[word]! |= mask
      if (may) allowed[word]! |= mask
    }
  }
  // Bits of no field that such a packet has: an eswitch that can look at them for other packets can do so for these.
  for (const field of PROFILE_FIELDS)
    if (profile.match.has(field.name)) for (const { word, mask } of field.words) allowed[word]! |= mask & ~known[word]!
  const beyond = new Int32Array(K_DP_WORDS)
  let refused = false
  for (let i = 0; i < K_DP_WORDS; i++) {
    if (impliedByType(match, i)) continue
    beyond[i] = match.mask[i]! & described[i]! & ~allowed[i]!
    refused ||= beyond[i] !== 0
  }
  if (!refused) return undefined
  const what = nameOf(beyond, match)
  return {
    check: 'match-field',
    what,
    detail: `profile ${profile.name} cannot match ${what}`,
    retryOn: ['flow-change'],
  }
}

const unfitMasks = (match: Match, profile: Profile): Refusal | undefined => {
  for (const field of PROFILE_FIELDS) {
    if (!profile.exactOnly.has(field.name) || !satisfied(match, field.prerequisite)) continue
    const some = field.words.some((w) => (match.mask[w.word]! & w.mask) !== 0)
    const all = field.words.every((w) => (match.mask[w.word]! & w.mask) === w.mask)
    if (!some || all) continue
    const mask = field.words.map((w) => ((match.mask[w.word]! & w.mask) >>> 0).toString(16).padStart(8, '0')).join('')
    return {
      check: 'match-mask',
      what: field.name,
      detail: `profile ${profile.name} matches ${field.name} exactly or not at all, the flow's mask is 0x${mask}`,
      retryOn: ['flow-change'],
    }
  }
  return undefined
}

/** Bits of the key that decide which fields a packet has, or that are asked for by themselves: with the mask, they decide whether a match fits. */
const DECIDING = new Int32Array(K_DP_WORDS)
for (const { alternatives } of PREREQUISITES.values())
  for (const condition of alternatives.flat()) DECIDING[condition.word]! |= condition.mask
DECIDING[K_RECIRC_ID] = -1
DECIDING[K_VLAN0]! |= VLAN_CFI
DECIDING[K_VLAN1]! |= VLAN_CFI
const DECIDING_WORDS = Int32Array.from(DECIDING.keys()).filter((word) => DECIDING[word] !== 0)
/** Of other packets than ICMPv6 the word has ports, which decide nothing. */
const DECIDING_BUT_PORTS = DECIDING_WORDS.filter((word) => word !== K_TP)

/** Matches of a kind fit a profile alike. Made of the match that was asked about first. */
class Kind {
  readonly mask: Int32Array
  readonly answer: Refusal | undefined
  readonly #words: Int32Array
  readonly #values: Int32Array

  constructor(match: Match, answer: Refusal | undefined) {
    this.mask = match.mask
    this.answer = answer
    this.#words = satisfied(match, 'icmp6') ? DECIDING_WORDS : DECIDING_BUT_PORTS
    this.#values = this.#words.map((word) => match.key[word]! & DECIDING[word]!)
  }

  has({ key, mask }: Match): boolean {
    if (mask !== this.mask) return false
    for (let i = 0; i < this.#words.length; i++) {
      const word = this.#words[i]!
      if ((key[word]! & DECIDING[word]!) !== this.#values[i]) return false
    }
    return true
  }
}

/** Kinds that are remembered for one profile. */
const KINDS = 16

/** Remembers what it found for a few kinds of matches: flows come in many of one kind, and tunnelled ones are asked about again and again. */
export class MatchJudge {
  readonly #known = new WeakMap<Profile, Kind[]>()

  /** Why the profile cannot match this, if it cannot. */
  refusal(match: Match, profile: Profile): Refusal | undefined {
    let kinds = this.#known.get(profile)
    if (!kinds) {
      kinds = []
      this.#known.set(profile, kinds)
    }
    for (let i = 0; i < kinds.length; i++) {
      const kind = kinds[i]!
      if (!kind.has(match)) continue
      if (i > 0) {
        kinds[i] = kinds[i - 1]!
        kinds[i - 1] = kind
      }
      return kind.answer
    }
    const kind = new Kind(match, unknownFields(match, profile) ?? unfitMasks(match, profile))
    if (kinds.length === KINDS) kinds.pop()
    kinds.push(kind)
    return kind.answer
  }
}

export const matchable: EswitchCheck = ({ match }, { eswitch }, view) => view.unmatchable(match, eswitch.profile)
