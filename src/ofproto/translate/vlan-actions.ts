/** push_vlan, strip_vlan, mod_vlan_vid, mod_vlan_pcp. IEEE 802.1Q clause 9. */
import { K_VLAN0, K_VLAN1, VLAN_CFI } from '../../flow/key.ts'
import { countTags, ETH_8021Q } from '../vlan.ts'
import type { Xlate } from './context.ts'

const VID = 0x0fff
const PCP = 0xe000

export const pushVlan = (x: Xlate, ethertype: number): void => {
  const { flow } = x
  const n = countTags(flow)
  for (let i = 0; i < n; i++) x.look(K_VLAN0 + i, -1)
  if (n === 2) {
    x.fail('too-many-vlan-tags', 'push_vlan on a packet with two VLAN tags: no more are supported')
    return
  }
  flow[K_VLAN1] = flow[K_VLAN0]!
  flow[K_VLAN0] = (ethertype << 16) | VLAN_CFI
}

export const stripVlan = (x: Xlate): void => {
  const { flow } = x
  const n = countTags(flow)
  if (n === 0) return
  x.look(K_VLAN0, VLAN_CFI)
  if (n > 1) x.look(K_VLAN1, -1)
  flow[K_VLAN0] = flow[K_VLAN1]!
  flow[K_VLAN1] = 0
}

const modify = (x: Xlate, mask: number, bits: number): void => {
  const { flow } = x
  x.look(K_VLAN0, mask | VLAN_CFI)
  const tagged = (flow[K_VLAN0]! & VLAN_CFI) !== 0
  const word = tagged ? flow[K_VLAN0]! : ETH_8021Q << 16
  flow[K_VLAN0] = (word & ~mask) | bits | VLAN_CFI
}

export const modVlanVid = (x: Xlate, vid: number): void => modify(x, VID, vid)
export const modVlanPcp = (x: Xlate, pcp: number): void => modify(x, PCP, pcp << 13)

/** After bits of the outer tag's TCI were written as a field: there is a tag if and only if the CFI bit is set. */
export const settleTag = (flow: Int32Array): void => {
  const word = flow[K_VLAN0]!
  if ((word & VLAN_CFI) === 0) flow[K_VLAN0] = 0
  else if (word >>> 16 === 0) flow[K_VLAN0] = (ETH_8021Q << 16) | word
}
