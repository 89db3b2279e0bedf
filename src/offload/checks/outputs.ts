/** Are there too many outputs for one rule? Those of encapsulated copies count. */
import { wirePorts } from '../pushes.ts'
import type { EswitchCheck } from './contract.ts'

export const outputs: EswitchCheck = (flow, { eswitch }, view) => {
  const { profile } = eswitch
  const n = wirePorts(flow.actions, (id) => view.encap(id)).length
  if (n <= profile.maxOutputs) return undefined
  return {
    check: 'outputs',
    what: String(n),
    detail: `the flow has ${n} outputs, a rule of profile ${profile.name} has at most ${profile.maxOutputs}`,
    retryOn: ['flow-change'],
  }
}
