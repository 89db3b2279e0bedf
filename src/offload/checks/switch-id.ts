/** Do all outputs leave by the switch that the frame entered by? */
import { type EswitchCheck, portText } from './contract.ts'
import { outputPorts } from './outputs.ts'

export const switchId: EswitchCheck = (flow, eswitch, view) => {
  for (const no of outputPorts(flow.actions)) {
    if (eswitch.hasPort(no)) continue
    const port = view.port(no)
    const other = view.eswitchOf(no)
    const where = !port
      ? 'which does not exist'
      : other
        ? `which is on eswitch ${other.name}, switch ID ${other.switchId}`
        : `which is a port of kind ${port.kind} on no switch`
    return {
      check: 'switch-id',
      what: port?.name ?? `port ${no}`,
      detail: `output to ${portText(no, view)}, ${where}; the ingress ${portText(flow.inPort, view)} is on switch ID ${eswitch.switchId}`,
      retryOn: ['port-change', 'flow-change'],
    }
  }
  return undefined
}
