/** Are there too many outputs for one rule? */
import type { OdpAction } from '../../flow/odp.ts'
import type { EswitchCheck } from './contract.ts'

/** Ports of all outputs in order, those of clones included. */
export const outputPorts = (actions: readonly OdpAction[], out: number[] = []): number[] => {
  for (const a of actions)
    if (a.type === 'output') out.push(a.port)
    else if (a.type === 'clone') outputPorts(a.actions, out)
  return out
}

export const outputs: EswitchCheck = (flow, eswitch) => {
  const { profile } = eswitch
  const n = outputPorts(flow.actions).length
  if (n <= profile.maxOutputs) return undefined
  return {
    check: 'outputs',
    what: String(n),
    detail: `the flow has ${n} outputs, a rule of profile ${profile.name} has at most ${profile.maxOutputs}`,
    retryOn: ['flow-change'],
  }
}
