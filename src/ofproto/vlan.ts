/**
 * VLAN settings of a port, and the tags of one packet while NORMAL handles it. Semantics as in OVS's Port table (vlan_mode, tag, trunks, cvlans).
 */
import { K_VLAN0, K_VLAN1, VLAN_CFI } from '../flow/key.ts'

export type VlanMode = 'access' | 'trunk' | 'native-tagged' | 'native-untagged' | 'dot1q-tunnel'
/** Whether a frame of VLAN 0 leaves with a tag, to carry its priority. */
export type PriorityTags = 'never' | 'if-nonzero' | 'always'

export const ETH_8021Q = 0x8100
export const ETH_8021AD = 0x88a8

/** What a user says of a port's VLANs. Absent: as OVS does. */
export interface VlanSpec {
  /** 0..4095; the native VLAN of native-*, the service VLAN of dot1q-tunnel. */
  readonly tag?: number
  /** Absent or empty: all VLANs. */
  readonly trunks?: readonly number[]
  /** Default: 'access' with a tag, 'trunk' without. */
  readonly vlanMode?: VlanMode
  /** Customer VLANs that a dot1q-tunnel port takes. Absent or empty: all. */
  readonly cvlans?: readonly number[]
  /** TPID of the service tag; default 0x88a8. */
  readonly qinqEthertype?: number
  readonly priorityTags?: PriorityTags
}

/** A set of VLAN numbers, one bit each. */
export class VlanSet {
  readonly #bits = new Uint8Array(512)

  constructor(vlans: Iterable<number>) {
    for (const vlan of vlans) this.add(vlan)
  }

  static all(): VlanSet {
    const set = new VlanSet([])
    set.#bits.fill(0xff)
    return set
  }

  has(vlan: number): boolean {
    return (this.#bits[vlan >> 3]! & (1 << (vlan & 7))) !== 0
  }

  add(vlan: number): void {
    if (!Number.isInteger(vlan) || vlan < 0 || vlan > 4095) throw new RangeError(`VLAN ${vlan}: 0..4095 expected`)
    this.#bits[vlan >> 3] = this.#bits[vlan >> 3]! | (1 << (vlan & 7))
  }

  delete(vlan: number): void {
    this.#bits[vlan >> 3] = this.#bits[vlan >> 3]! & ~(1 << (vlan & 7))
  }
}

/** VlanSpec with every default decided. */
export interface VlanConfig {
  readonly mode: VlanMode
  /** -1 on a trunk. */
  readonly vlan: number
  /** null: all. */
  readonly trunks: VlanSet | null
  readonly cvlans: VlanSet | null
  readonly qinqEthertype: number
  readonly priorityTags: PriorityTags
}

const setOf = (vlans: readonly number[] | undefined): VlanSet | null =>
  vlans === undefined || vlans.length === 0 ? null : new VlanSet(vlans)

/** A native VLAN is always carried, and then VLAN 0 is it and not a VLAN of its own. */
const nativeTrunks = (vlan: number, trunks: VlanSet | null): VlanSet | null => {
  if (vlan === 0 || (trunks?.has(vlan) && !trunks.has(0))) return trunks
  const set = trunks ?? VlanSet.all()
  set.add(vlan)
  set.delete(0)
  return set
}

export const resolveVlan = (spec: VlanSpec): VlanConfig => {
  const mode = spec.vlanMode ?? (spec.tag === undefined ? 'trunk' : 'access')
  if (spec.tag !== undefined && !(spec.tag >= 0 && spec.tag <= 4095))
    throw new RangeError(`tag ${spec.tag}: 0..4095 expected`)
  const vlan = mode === 'trunk' ? -1 : (spec.tag ?? 0)
  const trunks =
    mode === 'trunk'
      ? setOf(spec.trunks)
      : mode === 'native-tagged' || mode === 'native-untagged'
        ? nativeTrunks(vlan, setOf(spec.trunks))
        : null
  return {
    mode,
    vlan,
    trunks,
    cvlans: setOf(spec.cvlans),
    qinqEthertype: spec.qinqEthertype ?? ETH_8021AD,
    priorityTags: spec.priorityTags ?? 'never',
  }
}

export const trunksVlan = (config: VlanConfig, vlan: number): boolean =>
  config.mode !== 'access' && (config.trunks === null || config.trunks.has(vlan))

/** One tag; `vid` 0 with `tpid` 0 is no tag. `pcp` keeps its place in the TCI (0xe000). */
export interface Tag {
  readonly tpid: number
  readonly vid: number
  readonly pcp: number
}

const NO_TAG: Tag = { tpid: 0, vid: 0, pcp: 0 }

/** Tags, outermost first. Three, since a dot1q-tunnel port adds one to a packet that may have two. */
export type Tags = readonly [Tag, Tag, Tag]

export const isVlanType = (type: number): boolean => type === ETH_8021Q || type === ETH_8021AD

const tagOf = (word: number): Tag =>
  (word & VLAN_CFI) === 0 ? NO_TAG : { tpid: word >>> 16, vid: word & 0xfff, pcp: word & 0xe000 }

export const tagsOf = (flow: Int32Array): Tags => {
  const outer = tagOf(flow[K_VLAN0]!)
  return outer === NO_TAG ? [NO_TAG, NO_TAG, NO_TAG] : [outer, tagOf(flow[K_VLAN1]!), NO_TAG]
}

/** The packet's tags inside of the bridge, given the tags it came with on a port. */
export const translateInput = (config: VlanConfig, tags: Tags): Tags => {
  const native: Tag = { tpid: tags[0].tpid || ETH_8021Q, vid: config.vlan, pcp: tags[0].pcp }
  switch (config.mode) {
    case 'access':
      return [native, NO_TAG, NO_TAG]
    case 'trunk':
      return tags
    case 'native-tagged':
    case 'native-untagged':
      return tags[0].vid === 0 ? [native, tags[1], tags[2]] : tags
    case 'dot1q-tunnel':
      return [{ tpid: config.qinqEthertype, vid: config.vlan, pcp: 0 }, tags[0], tags[1]]
  }
}

/** The tags it leaves with on a port, given those inside of the bridge. */
export const translateOutput = (config: VlanConfig, tags: Tags): Tags => {
  switch (config.mode) {
    case 'access':
      return [NO_TAG, NO_TAG, NO_TAG]
    case 'trunk':
    case 'native-tagged':
      return tags
    case 'native-untagged':
      return tags[0].vid === config.vlan ? [tags[1], tags[2], NO_TAG] : tags
    case 'dot1q-tunnel':
      return [tags[1], tags[2], NO_TAG]
  }
}

const wordOf = (tag: Tag): number => ((tag.tpid || ETH_8021Q) << 16) | tag.pcp | tag.vid | VLAN_CFI

/**
 * The key's words for tags, 0 where there is none. An outermost tag that has neither VLAN nor priority says nothing, and is left out unless other tags lie
 * behind it or the port wants it always.
 */
export const tagWords = (tags: Tags, priorityTags: PriorityTags): [number, number, number] => {
  const [outer, inner, third] = tags
  const behind = inner.tpid !== 0
  const kept = (outer.vid | outer.pcp) !== 0 || (outer.tpid !== 0 && (behind || priorityTags === 'always'))
  return [kept ? wordOf(outer) : 0, behind ? wordOf(inner) : 0, third.tpid === 0 ? 0 : wordOf(third)]
}

/** Number of tags that the key knows of (0..2). */
export const countTags = (flow: Int32Array): number =>
  (flow[K_VLAN0]! & VLAN_CFI) === 0 ? 0 : (flow[K_VLAN1]! & VLAN_CFI) === 0 ? 1 : 2
