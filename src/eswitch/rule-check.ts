/** What every provider refuses, as its caller's mistake. */
import { K_IN_PORT } from '../flow/key.ts'
import type { OdpAction } from '../flow/odp.ts'
import type { EswitchRule } from './contract.ts'

const crossesTunnel = (action: OdpAction): boolean =>
  action.type === 'tnl_pop' ||
  action.type === 'reenter' ||
  (action.type === 'clone' && action.actions.some(crossesTunnel))

/** Throws for a rule that leaves in_port open, has a `tnl_pop` beside other actions, or sends packets into tier 2's second pass. */
export const checkRule = ({ id, match, actions }: EswitchRule): void => {
  if (match.mask[K_IN_PORT] !== -1) throw new Error(`rule ${id}: an exact match on in_port expected`)
  if (actions.length === 1 && actions[0]!.type === 'tnl_pop') return
  if (actions.some(crossesTunnel)) throw new Error(`rule ${id}: tnl_pop as the only action, and no reenter, expected`)
}
