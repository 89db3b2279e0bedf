/**
 * Commit: the datapath actions that turn the packet as it is (`base`) into the packet as it shall be (`flow`). Called before each output; two
 * outputs in a row with no change between them commit once.
 */
import { K_DL_TYPE, K_DP_WORDS, K_IN_PORT, K_MPLS, K_VLAN0, K_VLAN1 } from '../../flow/key.ts'
import { countTags } from '../vlan.ts'
import { commitEthernet, commitMetadata, commitNetwork } from './commit-set.ts'
import type { Xlate } from './context.ts'
import { countLabels, popLabel, pushLabel } from './label-stack.ts'
import { ethType, isMplsType } from './packet.ts'

/** Tags from the innermost on that both have stay; the others are popped and pushed. */
const commitVlan = (x: Xlate): void => {
  const { base, flow } = x
  let b = countTags(base) - 1
  let f = countTags(flow) - 1
  // The inner tag of two becomes the only one, or makes place for one: whether they are equal depends on all of it.
  if (b === 1 && f === 0) x.look(K_VLAN1, -1)
  while (b >= 0 && f >= 0 && base[K_VLAN0 + b] === flow[K_VLAN0 + f]) {
    b--
    f--
  }
  for (; b >= 0; b--) {
    x.look(K_VLAN0 + b, -1)
    x.actions.push({ type: 'pop_vlan' })
  }
  for (; f >= 0; f--) {
    const word = flow[K_VLAN0 + f]!
    x.actions.push({ type: 'push_vlan', tpid: word >>> 16, tci: word & 0xffff })
  }
  base[K_VLAN0] = flow[K_VLAN0]!
  base[K_VLAN1] = flow[K_VLAN1]!
}

/** Labels from the bottom on that both have. */
const commonLabels = (a: Int32Array, an: number, b: Int32Array, bn: number): number => {
  let common = 0
  while (common < Math.min(an, bn) && a[K_MPLS + an - 1 - common] === b[K_MPLS + bn - 1 - common]) common++
  return common
}

const commitMpls = (x: Xlate): void => {
  const { base, flow } = x
  let b = countLabels(base, null)
  const f = countLabels(flow, null)
  let common = commonLabels(flow, f, base, b)
  while (b > common) {
    if (b - 1 === common && f > common) {
      const value = flow[K_MPLS + f - b]!
      x.actions.push({ type: 'set', header: 'mpls', words: [{ word: K_MPLS, value, mask: -1 }] })
      base[K_MPLS] = value
      common++
    } else {
      const type = ethType(flow)
      x.actions.push({ type: 'pop_mpls', ethertype: !isMplsType(type) && b > 1 ? 0x8847 : type })
      popLabel(base, b, type, null)
      // Until the last one is gone the packet still is MPLS.
      if (b > 1 && !isMplsType(type)) base[K_DL_TYPE] = (0x8847 << 16) | (base[K_DL_TYPE]! & 0xffff)
      b--
    }
  }
  while (b < f) {
    const lse = flow[K_MPLS + f - b - 1]!
    x.actions.push({ type: 'push_mpls', ethertype: ethType(flow), lse })
    pushLabel(base, b, ethType(flow), null, false)
    base[K_MPLS] = lse
    b++
  }
}

/** The common case: several outputs in a row, of the packet as it is. */
const isCommitted = ({ base, flow }: Xlate): boolean => {
  for (let word = 0; word < K_DP_WORDS; word++) if (base[word] !== flow[word] && word !== K_IN_PORT) return false
  return true
}

export const commit = (x: Xlate): void => {
  if (isCommitted(x)) return
  commitEthernet(x)
  // Layers 3 and 4 are reached only when no label is in front of them.
  const mplsFirst = isMplsType(ethType(x.base)) && !isMplsType(ethType(x.flow))
  if (mplsFirst) commitMpls(x)
  commitNetwork(x)
  if (!mplsFirst) commitMpls(x)
  commitVlan(x)
  commitMetadata(x)
}
