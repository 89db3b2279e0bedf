/** The checks in their order: what can never change without the flow changing comes before what may change by itself. */
import type { Eswitch } from '../../eswitch/contract.ts'
import type { Refusal } from '../verdict.ts'
import { action } from './action.ts'
import type { Check, CheckSubject, CheckView, EswitchCheck } from './contract.ts'
import { ingress } from './ingress.ts'
import { matchFields, matchMasks } from './match.ts'
import { outputs } from './outputs.ts'
import { policy } from './policy.ts'
import { retiring } from './retiring.ts'
import { switchId } from './switch-id.ts'
import { worker } from './worker.ts'

const FIRST: readonly Check[] = [policy, ingress]
const OF_ESWITCH: readonly EswitchCheck[] = [matchFields, matchMasks, action, outputs, switchId, worker, retiring]

/** The eswitch to ask, or why none may be. `asked`: the eswitch that refused. Table space is not looked at. */
export type CheckResult = { readonly eswitch: Eswitch } | { readonly refusal: Refusal; readonly asked?: Eswitch }

export const runChecks = (flow: CheckSubject, view: CheckView): CheckResult => {
  for (const check of FIRST) {
    const refusal = check(flow, view)
    if (refusal) return { refusal }
  }
  const eswitch = view.eswitchOf(flow.inPort)!
  for (const check of OF_ESWITCH) {
    const refusal = check(flow, eswitch, view)
    if (refusal) return { refusal, asked: eswitch }
  }
  return { eswitch }
}
