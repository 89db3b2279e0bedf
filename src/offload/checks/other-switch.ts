/**
 * Does a tunnel's uplink belong to the NIC of the guest? Encapsulating: the outer packets must leave by the switch that the frame entered by. Decapsulating: the
 * outputs must be on the switch by which the outer packets enter.
 */
import { addressText } from '../../flow/address.ts'
import { outputPorts, pushedEntries } from '../pushes.ts'
import type { Refusal } from '../verdict.ts'
import {
  type CheckSubject,
  type CheckView,
  type Entry,
  type EswitchCheck,
  isDecap,
  placeText,
  portName,
  portText,
} from './contract.ts'

const refusal = (out: number, detail: string, view: CheckView): Refusal => ({
  check: 'other-switch',
  what: portName(out, view),
  detail,
  retryOn: ['route-change', 'port-change', 'flow-change'],
})

/** 'vf0 (port 1)', or the uplinks by which the outer packets enter. */
const ingressText = (flow: CheckSubject, { eswitch, entrances }: Entry, view: CheckView): string => {
  const ports = entrances.map(({ port }) => portText(port, view)).join(' and ')
  const of = entrances[0]!.port === flow.inPort ? '' : ` of the packets of ${portText(flow.inPort, view)}`
  return `the ingress ${ports}${of} is on eswitch ${eswitch.name}, switch ID ${eswitch.switchId}`
}

export const otherSwitch: EswitchCheck = (flow, entry, view) => {
  const { eswitch } = entry
  for (const id of pushedEntries(flow.actions)) {
    const encap = view.encap(id)!
    for (const no of outputPorts(encap.actions))
      if (!eswitch.hasPort(no))
        return refusal(
          no,
          `packets to ${addressText(encap.peer)} leave by ${portText(no, view)}, ${placeText(no, view)}; ${ingressText(flow, entry, view)}`,
          view,
        )
  }
  if (!isDecap(entry)) return undefined
  for (const no of outputPorts(flow.actions))
    if (!eswitch.hasPort(no))
      return refusal(
        no,
        `output to ${portText(no, view)}, ${placeText(no, view)}; ${ingressText(flow, entry, view)}`,
        view,
      )
  return undefined
}
