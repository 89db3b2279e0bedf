/**
 * Translation: what tier 1's rules make of one packet, as datapath actions, and the bits of the packet on which that depends. Two packets that agree in
 * those bits translate to the same actions and the same bits, so the flows that are made of them never disagree where they overlap.
 */
import { K_ACTSET_OUTPUT, K_IN_PORT, K_RECIRC_ID } from '../../flow/key.ts'
import type { OdpAction } from '../../flow/odp.ts'
import { Xlate, type XlateInput, type XlateResult } from './context.ts'
import { lookup, OFPP_UNSET, runActionSet } from './pipeline.ts'
import { runActions } from './run-actions.ts'
import { finishWildcards, startWildcards } from './wildcards.ts'

const runFirst = (x: Xlate): void => {
  const { inPort, actions, key } = x.input
  if (key[K_RECIRC_ID] !== 0) {
    x.fail('no-recirculation-context', `Recirculation context not found for ID ${key[K_RECIRC_ID]!.toString(16)}`)
    return
  }
  if (actions !== undefined) {
    runActions(x, actions)
    return
  }
  const rule = lookup(x, 0, inPort.no)
  x.reporter?.table(0, rule)
  x.rule = rule
  if (rule === null) x.reporter?.drop()
  // The rule is found and counted even for a port that takes nothing in, as in Open vSwitch.
  else if (!inPort.flags.noReceive) runActions(x, rule.actions)
  x.reporter?.leave()
}

const finalActions = (x: Xlate): readonly OdpAction[] => {
  if (x.error !== null) return [{ type: 'drop', reason: x.error }]
  if (x.actions.length === 0 && x.emptyReason !== null) return [{ type: 'drop', reason: x.emptyReason }]
  return x.actions
}

export const translate = (input: XlateInput): XlateResult => {
  const x = new Xlate(input, runActions)
  startWildcards(x.wc, input.key)
  x.flow[K_IN_PORT] = input.inPort.no
  x.base[K_IN_PORT] = input.inPort.no
  x.flow[K_ACTSET_OUTPUT] = OFPP_UNSET
  x.reporter?.bridge(x.bridge)
  if (input.inPort.kind === 'tunnel') x.effects.push({ type: 'decap', port: input.inPort })
  runFirst(x)
  if (x.error === null) runActionSet(x)
  x.reporter?.leave()
  finishWildcards(x.wc, input.key, x.flow)
  const { wc, effects, error, flow, handed } = x
  return { actions: finalActions(x), wc, effects, error, flow, handed: error === null ? handed : [] }
}
