/** The encap entries that a flow's actions name, which must stay while the flow does. */
import type { OdpAction } from '../flow/odp.ts'

const NONE: readonly number[] = []
const mayPush = ({ type }: OdpAction): boolean => type === 'tnl_push' || type === 'clone'

/** Each as often as it is named. */
export const encapsOf = (actions: readonly OdpAction[]): readonly number[] => {
  if (!actions.some(mayPush)) return NONE
  const ids: number[] = []
  for (const action of actions) {
    if (action.type === 'tnl_push') ids.push(action.entry)
    else if (action.type === 'clone') ids.push(...encapsOf(action.actions))
  }
  return ids
}
