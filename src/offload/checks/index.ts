/** The checks in their order: what can never change without the flow changing comes before what may change by itself. */
import type { Eswitch } from '../../eswitch/contract.ts'
import type { Refusal } from '../verdict.ts'
import { action } from './action.ts'
import type { CheckSubject, CheckView, Entry, EswitchCheck } from './contract.ts'
import { encapEntry } from './encap-entry.ts'
import { findEntry } from './ingress.ts'
import { matchable } from './match.ts'
import { mtu } from './mtu.ts'
import { otherSwitch } from './other-switch.ts'
import { outerFlow } from './outer-flow.ts'
import { outputs } from './outputs.ts'
import { policy } from './policy.ts'
import { switchId } from './switch-id.ts'
import { worker } from './worker.ts'

const OF_ESWITCH: readonly EswitchCheck[] = [
  matchable,
  action,
  outputs,
  switchId,
  encapEntry,
  otherSwitch,
  mtu,
  worker,
  outerFlow,
]

/** The eswitch to ask, or why none may be. `asked`: the eswitch that refused. Table space is not looked at. */
export type CheckResult = Entry | { readonly refusal: Refusal; readonly asked?: Eswitch }

export const runChecks = (flow: CheckSubject, view: CheckView): CheckResult => {
  const unwanted = policy(flow, view)
  if (unwanted) return { refusal: unwanted }
  const entry = findEntry(flow, view)
  if ('refusal' in entry) return entry
  for (const check of OF_ESWITCH) {
    const refusal = check(flow, entry, view)
    if (refusal) return { refusal, asked: entry.eswitch }
  }
  return entry
}
