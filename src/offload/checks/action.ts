/** Can the eswitch do each action, also on the outer packet? */

import type { Profile } from '../../eswitch/profile.ts'
import type { OdpAction } from '../../flow/odp.ts'
import { isPop } from '../pushes.ts'
import type { CheckView, EswitchCheck } from './contract.ts'

/** The first action that the profile lacks. Of an entry that is not valid the actions are not known. */
export const unableAction = (
  actions: readonly OdpAction[],
  profile: Profile,
  view: Pick<CheckView, 'encap'>,
): string | undefined => {
  for (const a of actions) {
    if (!profile.actions.has(a.type)) return a.type
    if (a.type === 'set' && !profile.set.has(a.header)) return `set(${a.header})`
    if (a.type === 'clone') {
      const inner = unableAction(a.actions, profile, view)
      if (inner) return inner
    }
    if (a.type === 'tnl_push') {
      const entry = view.encap(a.entry)
      const outer = entry?.reason === 'valid' ? unableAction(entry.actions, profile, view) : undefined
      if (outer) return outer
    }
  }
  return undefined
}

const popsBesides = (actions: readonly OdpAction[]): boolean =>
  !isPop(actions) &&
  actions.some((a) => a.type === 'tnl_pop' || (a.type === 'clone' && (isPop(a.actions) || popsBesides(a.actions))))

export const action: EswitchCheck = (flow, { eswitch }, view) => {
  const { profile } = eswitch
  const what = unableAction(flow.actions, profile, view)
  if (what !== undefined)
    return {
      check: 'action',
      what,
      detail: `profile ${profile.name} has no action ${what}`,
      retryOn: ['flow-change'],
    }
  if (popsBesides(flow.actions))
    return {
      check: 'action',
      what: 'tnl_pop',
      detail: 'an eswitch opens a packet only if that is all that is done with it',
      retryOn: ['flow-change'],
    }
  return undefined
}
