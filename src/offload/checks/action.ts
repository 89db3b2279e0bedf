/** Can the eswitch do each action? */
import type { OdpAction } from '../../flow/odp.ts'
import type { EswitchCheck } from './contract.ts'

export const action: EswitchCheck = (flow, eswitch) => {
  const { profile } = eswitch
  const unable = (actions: readonly OdpAction[]): string | undefined => {
    for (const a of actions) {
      if (!profile.actions.has(a.type)) return a.type
      if (a.type === 'set' && !profile.set.has(a.header)) return `set(${a.header})`
      if (a.type === 'clone') {
        const inner = unable(a.actions)
        if (inner) return inner
      }
    }
    return undefined
  }
  const what = unable(flow.actions)
  return what === undefined
    ? undefined
    : {
        check: 'action',
        what,
        detail: `profile ${profile.name} has no action ${what}`,
        retryOn: ['flow-change'],
      }
}
