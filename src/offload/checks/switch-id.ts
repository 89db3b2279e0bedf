/** Do all outputs leave by the switch that the frame entered by? Of decapsulated packets only whether they leave by a switch: which one, other-switch.ts asks. */
import { outputPorts } from '../pushes.ts'
import { type EswitchCheck, isDecap, placeText, portName, portText } from './contract.ts'

export const switchId: EswitchCheck = (flow, entry, view) => {
  const { eswitch } = entry
  for (const no of outputPorts(flow.actions)) {
    if (eswitch.hasPort(no) || (isDecap(entry) && view.eswitchOf(no))) continue
    return {
      check: 'switch-id',
      what: portName(no, view),
      detail: `output to ${portText(no, view)}, ${placeText(no, view)}; the ingress ${portText(flow.inPort, view)} is on switch ID ${eswitch.switchId}`,
      retryOn: ['port-change', 'flow-change'],
    }
  }
  return undefined
}
