/**
 * Does the largest frame of the ingress still fit when it has its outer header? The eswitch can neither fragment nor answer with an ICMP message: tier 2 does.
 * All figures are bytes of IP packet: the inner Ethernet header counts for the outer packet, so an IPv4 tunnel adds 50, an IPv6 one 70, and a tag of the inner frame 4.
 */

import { addressText } from '../../flow/address.ts'
import type { EncapEntry } from '../../flow/encap.ts'
import { K_VLAN0, K_VLAN1, type Match, VLAN_CFI } from '../../flow/key.ts'
import type { OdpAction } from '../../flow/odp.ts'
import { outputPorts } from '../pushes.ts'
import type { Refusal } from '../verdict.ts'
import { type CheckView, type Entrance, type EswitchCheck, portName, portText } from './contract.ts'

/** Bytes of one tag or label. */
const TAG = 4
/** What decapsulation has taken off, IPv4; with the larger IPv6 header the inner frame is smaller still. */
const OUTER4 = 50

const tagged = ({ key, mask }: Match, word: number): number => ((key[word]! & mask[word]! & VLAN_CFI) !== 0 ? TAG : 0)

export const mtu: EswitchCheck = (flow, { entrances }, view) => {
  const tags = tagged(flow.match, K_VLAN0) + tagged(flow.match, K_VLAN1)
  return inList(flow.actions, tags, entrances, view)
}

const inList = (
  actions: readonly OdpAction[],
  tags: number,
  entrances: readonly Entrance[],
  view: CheckView,
): Refusal | undefined => {
  let bytes = tags
  for (const a of actions) {
    if (a.type === 'push_vlan' || a.type === 'push_mpls') bytes += TAG
    else if (a.type === 'pop_vlan' || a.type === 'pop_mpls') bytes -= TAG
    const refusal =
      a.type === 'clone'
        ? inList(a.actions, bytes, entrances, view)
        : a.type === 'tnl_push'
          ? ofEntry(a.entry, bytes, entrances, view)
          : undefined
    if (refusal) return refusal
  }
  return undefined
}

const ofEntry = (id: number, tags: number, entrances: readonly Entrance[], view: CheckView): Refusal | undefined => {
  const entry = view.encap(id)!
  const more = entry.header.length + tags
  for (const { port, outer } of entrances) {
    const mtu = view.mtu(port)
    if (mtu === 0) continue
    const size = outer === undefined ? mtu : mtu - OUTER4
    for (const out of outputPorts(entry.actions)) {
      const limit = view.mtu(out)
      if (limit > 0 && size + more > limit) return tooBig(port, size, more, entry, limit, portName(out, view), view)
    }
    if (entry.mtu > 0 && size + more > entry.mtu)
      return tooBig(port, size, more, entry, entry.mtu, 'the underlay', view)
  }
  return undefined
}

const tooBig = (
  port: number,
  size: number,
  more: number,
  { peer }: EncapEntry,
  limit: number,
  whose: string,
  view: CheckView,
): Refusal => ({
  check: 'mtu',
  what: `${size}+${more}>${limit}`,
  detail: `packets of ${portText(port, view)} have up to ${size} bytes, ${more} more on the way to ${addressText(peer)}, and the MTU of ${whose} is ${limit}`,
  retryOn: ['mtu-change', 'route-change'],
})
