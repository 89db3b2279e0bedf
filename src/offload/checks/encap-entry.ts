/** Is all of the outer header known, and where it goes? What the tunnel layer says of the entries that the flow names, and of the way back to a peer. */

import { addressText } from '../../flow/address.ts'
import type { EncapReason } from '../../flow/encap.ts'
import { pushedEntries } from '../pushes.ts'
import type { Refusal } from '../verdict.ts'
import type { EswitchCheck } from './contract.ts'

type Obstacle = Exclude<EncapReason, 'valid'>

const REFUSALS: Readonly<Record<Obstacle, Pick<Refusal, 'check' | 'retryOn'>>> = {
  'no-route': { check: 'no-route', retryOn: ['route-change'] },
  'neighbour-pending': { check: 'neighbour-pending', retryOn: ['neighbour-change', 'route-change'] },
  'neighbour-failed': { check: 'neighbour-failed', retryOn: ['neighbour-change', 'route-change'] },
  'tunnel-loop': { check: 'tunnel-loop', retryOn: ['route-change', 'underlay-change'] },
  'underlay-ambiguous': { check: 'underlay-ambiguous', retryOn: ['route-change', 'underlay-change'] },
  'underlay-drop': { check: 'underlay-drop', retryOn: ['route-change', 'underlay-change'] },
}

/** `peer`: its address as text. */
export const wayRefusal = (why: Obstacle, peer: string, detail: string): Refusal => ({
  ...REFUSALS[why],
  what: peer,
  detail,
})

export const encapEntry: EswitchCheck = (flow, _entry, view) => {
  for (const id of pushedEntries(flow.actions)) {
    const entry = view.encap(id)
    if (!entry) return wayRefusal('no-route', `entry ${id}`, `there is no encap entry ${id}`)
    if (entry.reason !== 'valid') return wayRefusal(entry.reason, addressText(entry.peer), entry.detail)
  }
  return undefined
}
