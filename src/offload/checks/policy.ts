/** Is offload wanted at all, and for this ingress port? */
import { type Check, portText } from './contract.ts'

export const policy: Check = (flow, view) => {
  if (!view.enabled) return { check: 'policy', what: 'offload', detail: 'offload is switched off', retryOn: ['policy'] }
  if (!view.portEnabled(flow.inPort))
    return {
      check: 'policy',
      what: view.port(flow.inPort)?.name ?? `port ${flow.inPort}`,
      detail: `offload is switched off for flows from ${portText(flow.inPort, view)}`,
      retryOn: ['policy'],
    }
  return undefined
}
