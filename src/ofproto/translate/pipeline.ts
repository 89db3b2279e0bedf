/** Movement through tables: look-up, resubmit, goto_table; clone; the action set. */
import { FRAG_ANY, K_ACTSET_OUTPUT, K_IN_PORT, K_NW, K_TP } from '../../flow/key.ts'
import { OFPP_IN_PORT, type OfpAction } from '../../flow/ofp.ts'
import type { Rule } from '../rule.ts'
import { orderActionSet } from './action-set.ts'
import { commit } from './commit.ts'
import type { Xlate } from './context.ts'
import { MAX_ACTIONS, MAX_DEPTH, MAX_RESUBMITS } from './limits.ts'

/** actset_output while the action set outputs nowhere. */
export const OFPP_UNSET = 0xfff7

const withinLimits = (x: Xlate): boolean => {
  if (x.wasMpls) {
    x.fail('recirculation-unsupported', 'a look-up behind pop_mpls needs recirculation, which is not supported')
  } else if (x.limits.depth >= MAX_DEPTH) {
    x.fail('recursion-too-deep', `over max translation depth ${MAX_DEPTH}`)
  } else if (x.limits.resubmits >= MAX_RESUBMITS) {
    x.fail('too-many-resubmits', `over ${MAX_RESUBMITS} resubmit actions`)
  } else if (x.actions.length > MAX_ACTIONS) {
    x.fail('too-many-actions', `over ${MAX_ACTIONS} datapath actions`)
  } else return true
  return false
}

/** Finds the rule, as if the packet had come by `inPort`, and records it. */
export const lookup = (x: Xlate, table: number, inPort: number): Rule | null => {
  const { flow } = x
  const port = flow[K_IN_PORT]!
  const tp = flow[K_TP]!
  flow[K_IN_PORT] = inPort
  // Rules see no ports in any fragment, the first included: all fragments of a packet must go the same way.
  if ((flow[K_NW]! & FRAG_ANY) !== 0) flow[K_TP] = 0
  const rule = x.bridge.lookup(table, flow, x.wc)
  flow[K_IN_PORT] = port
  flow[K_TP] = tp
  if (rule !== null) x.effects.push(rule.effect)
  return rule
}

/** Looks up in `table` and runs what is found; a miss drops. `run` differs for a patch port's far side. */
export const runTable = (x: Xlate, table: number, inPort: number, run = x.run): void => {
  if (!withinLimits(x)) return
  const oldTable = x.table
  const oldRule = x.rule
  const deeper = table <= oldTable ? 1 : 0
  x.table = table
  const rule = lookup(x, table, inPort)
  x.reporter?.table(table, rule)
  if (rule === null) x.reporter?.drop()
  else {
    x.limits.resubmits++
    x.limits.depth += deeper
    x.rule = rule
    run(x, rule.actions)
    x.limits.depth -= deeper
    x.rule = oldRule
  }
  x.reporter?.leave()
  x.table = oldTable
}

export const resubmit = (x: Xlate, port: number, table: number): void =>
  runTable(x, table === 255 ? x.table : table, port === OFPP_IN_PORT ? x.flow[K_IN_PORT]! : port)

export const writeActions = (x: Xlate, actions: readonly OfpAction[]): void => {
  for (const action of actions) if (action.type === 'output') x.flow[K_ACTSET_OUTPUT] = action.port
  x.actionSet.push(...actions)
  x.reporter?.setContents('is', orderActionSet(x.actionSet))
}

export const clearActions = (x: Xlate): void => {
  x.reporter?.setContents('was', orderActionSet(x.actionSet))
  x.actionSet = []
  x.flow[K_ACTSET_OUTPUT] = OFPP_UNSET
}

export const runActionSet = (x: Xlate): void => {
  const actions = orderActionSet(x.actionSet)
  x.actionSet = []
  if (actions.length === 0) return
  x.reporter?.actionSet()
  x.run(x, actions)
  x.reporter?.leave()
}

/** Label stacks cannot be rebuilt from the key alone: what was popped is not in it. */
const isReversible = (x: Xlate, from: number): boolean => {
  for (let i = from; i < x.actions.length; i++) {
    const { type } = x.actions[i]!
    if (type === 'push_mpls' || type === 'pop_mpls') return false
  }
  return true
}

const attempt = (x: Xlate, actions: readonly OfpAction[]): void => {
  const flow = x.flow.slice()
  const set = x.actionSet
  const wasMpls = x.wasMpls
  x.actionSet = [...set]
  x.run(x, actions)
  if (x.error === null) runActionSet(x)
  x.flow.set(flow)
  x.actionSet = set
  x.wasMpls = wasMpls
}

/**
 * Runs actions as on a copy of the packet. Mostly the datapath needs no copy: what was changed is changed back by the next commit. Only if
 * it cannot be, they become a `clone` of the datapath.
 */
export const runCloned = (x: Xlate, actions: readonly OfpAction[]): void => {
  const at = x.actions.length
  const effects = x.effects.length
  const base = x.base.slice()
  const { reporter } = x
  attempt(x, actions)
  if (x.error !== null || isReversible(x, at)) return
  // Doing it twice counts, since nested ones would double with every level.
  if (++x.limits.resubmits > MAX_RESUBMITS) {
    x.fail('too-many-resubmits', `over ${MAX_RESUBMITS} resubmit actions`)
    return
  }
  x.actions.length = at
  x.effects.length = effects
  x.base.set(base)
  commit(x)
  const outer = x.actions
  const before = x.base.slice()
  x.actions = []
  // Told once already.
  x.reporter = null
  attempt(x, actions)
  x.reporter = reporter
  if (x.actions.length > 0) outer.push({ type: 'clone', actions: x.actions })
  x.actions = outer
  x.base.set(before)
}
