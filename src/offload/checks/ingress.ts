/** Does the flow enter by a representor? Frames of other ports never pass an eswitch. */
import { type Check, portText } from './contract.ts'

export const ingress: Check = (flow, view) => {
  if (view.eswitchOf(flow.inPort)) return undefined
  const port = view.port(flow.inPort)
  const detail = !port
    ? `the ingress, port ${flow.inPort}, does not exist`
    : port.eswitch
      ? `the ingress, ${portText(flow.inPort, view)}, belongs to eswitch ${port.eswitch}, which is not there`
      : `the ingress, ${portText(flow.inPort, view)}, is a port of kind ${port.kind} on no eswitch`
  return { check: 'no-eswitch', what: port?.name ?? `port ${flow.inPort}`, detail, retryOn: ['port-change'] }
}
