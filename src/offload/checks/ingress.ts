/**
 * By which ports of which eswitch do the flow's frames enter? Those of a representor by itself; decapsulated packets, which the flow sees on the tunnel's port, by the
 * uplinks that the way back to their peer leads to. Frames of other ports never pass an eswitch.
 */

import type { Eswitch } from '../../eswitch/contract.ts'
import type { IngressMember } from '../../tunnel/contract.ts'
import type { Refusal } from '../verdict.ts'
import {
  type CheckSubject,
  type CheckView,
  type Entrance,
  type Entry,
  placeText,
  portName,
  portText,
} from './contract.ts'
import { wayRefusal } from './encap-entry.ts'

export type EntryResult = Entry | { readonly refusal: Refusal; readonly asked?: Eswitch }

export const findEntry = (flow: CheckSubject, view: CheckView): EntryResult => {
  const eswitch = view.eswitchOf(flow.inPort)
  if (eswitch) return { eswitch, entrances: [{ port: flow.inPort }] }
  if (view.port(flow.inPort)?.kind === 'vxlan') return decapEntry(flow, view)
  return { refusal: noEswitch(flow, view) }
}

const noEswitch = (flow: CheckSubject, view: CheckView): Refusal => {
  const port = view.port(flow.inPort)
  const detail = !port
    ? `the ingress, port ${flow.inPort}, does not exist`
    : port.eswitch
      ? `the ingress, ${portText(flow.inPort, view)}, belongs to eswitch ${port.eswitch}, which is not there`
      : `the ingress, ${portText(flow.inPort, view)}, is a port of kind ${port.kind} on no eswitch`
  return { check: 'no-eswitch', what: portName(flow.inPort, view), detail, retryOn: ['port-change'] }
}

const decapEntry = (flow: CheckSubject, view: CheckView): EntryResult => {
  const found = view.wayIn(flow)
  if (found === 'open')
    return {
      refusal: {
        check: 'match-mask',
        what: 'tun_src',
        detail:
          'the flow of decapsulated packets does not match both outer addresses exactly, so their ingress cannot be told',
        retryOn: ['flow-change'],
      },
    }
  if (!found) return { refusal: noEswitch(flow, view) }
  const { peer, result: way } = found
  if (way.type === 'none') return { refusal: wayRefusal(way.check, peer, way.detail) }
  const { members } = way
  for (const { port } of members)
    if (!view.eswitchOf(port))
      return {
        refusal: {
          check: 'no-eswitch',
          what: portName(port, view),
          detail: `packets from ${peer} enter by ${portText(port, view)}, ${placeText(port, view)}`,
          retryOn: ['port-change', 'route-change'],
        },
      }
  const eswitch = view.eswitchOf(members[0]!.port)!
  for (const member of members)
    if (view.eswitchOf(member.port) !== eswitch) return { refusal: twoSwitches(peer, [members[0]!, member], view) }
  return { eswitch, entrances: entrancesOf(members) }
}

/** The same for all flows of a way. */
const entrances = new WeakMap<readonly IngressMember[], readonly Entrance[]>()

const entrancesOf = (members: readonly IngressMember[]): readonly Entrance[] => {
  let known = entrances.get(members)
  if (!known) {
    known = members.map(({ port, key }) => ({ port, outer: key }))
    entrances.set(members, known)
  }
  return known
}

const twoSwitches = (peer: string, members: readonly IngressMember[], view: CheckView): Refusal => ({
  check: 'other-switch',
  what: portName(members[1]!.port, view),
  detail: `packets from ${peer} may enter by ${members.map(({ port }) => `${portText(port, view)}, ${placeText(port, view)}`).join(', and by ')}`,
  retryOn: ['route-change', 'port-change'],
})
