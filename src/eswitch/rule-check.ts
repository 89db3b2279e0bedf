/** What every provider refuses, as its caller's mistake. */
import { K_IN_PORT } from '../flow/key.ts'
import type { OdpAction } from '../flow/odp.ts'
import type { EswitchRule } from './contract.ts'

const looksUpAgain = (action: OdpAction): boolean =>
  action.type === 'tnl_pop' ||
  action.type === 'reenter' ||
  action.type === 'recirc' ||
  (action.type === 'clone' && action.actions.some(looksUpAgain))

/** Throws for a rule that leaves in_port open, or looks packets up again other than by a `tnl_pop` alone. */
export const checkRule = ({ id, match, actions }: EswitchRule): void => {
  if (match.mask[K_IN_PORT] !== -1) throw new Error(`rule ${id}: an exact match on in_port expected`)
  if (actions.length === 1 && actions[0]!.type === 'tnl_pop') return
  const again = actions.find(looksUpAgain)
  if (again?.type === 'tnl_pop') throw new Error(`rule ${id}: tnl_pop as the only action expected`)
  if (again !== undefined)
    throw new Error(`rule ${id}: an eswitch has no action that looks packets up again (${again.type})`)
}
