/**
 * Checks that the actions of a rule fit its match: a field that is written or read must exist in every packet that the rule matches, after
 * what earlier actions have done to it. As OVS, `mod_*` and `strip_vlan` are excused: on other packets they do nothing. Control path only.
 */
import type { Field } from './fields.ts'
import { K_DL_TYPE, K_MPLS, K_NW, K_VLAN0, type Match, VLAN_CFI } from './key.ts'
import { cloneMatch } from './match.ts'
import type { OfpAction } from './ofp.ts'
import { describePrerequisite, satisfied } from './prerequisites.ts'

/** What is wrong, and with which action of the list; undefined when all fit. `table`: where the rule stands, 255 when not known. */
export const findInconsistency = (
  match: Match,
  actions: readonly OfpAction[],
  table: number,
): { readonly index: number; readonly problem: string; readonly expected: string } | undefined => {
  const state = cloneMatch(match)
  for (const [index, action] of actions.entries()) {
    const found = apply(state, action, table)
    if (found !== undefined) return { index, ...found }
  }
  return undefined
}

interface Problem {
  readonly problem: string
  readonly expected: string
}

const needs = (state: Match, field: Field, what: string): Problem | undefined => {
  const prerequisite = field.name === 'vlan_vid' ? 'vlan' : field.prerequisite
  if (satisfied(state, prerequisite)) return undefined
  const problem = field.name === 'vlan_vid' ? 'vlan_vid needs a VLAN tag' : describePrerequisite(field)
  return { problem: `${what}: ${problem}`, expected: 'a match, or an earlier action, that makes sure of it' }
}

const isMpls = (state: Match): boolean => satisfied(state, 'mpls')

const become = (state: Match, ethertype: number): void => {
  state.key[K_DL_TYPE] = (ethertype << 16) | 0
  state.mask[K_DL_TYPE] = 0xffff0000 | 0
  state.key[K_NW] = 0
  state.mask[K_NW] = 0
}

const setTag = (state: Match, tagged: boolean): void => {
  state.key[K_VLAN0] = tagged ? VLAN_CFI : 0
  state.mask[K_VLAN0] = VLAN_CFI
}

/** Checks one action and tells `state` what it did. */
const apply = (state: Match, action: OfpAction, table: number): Problem | undefined => {
  switch (action.type) {
    case 'set_field':
      return needs(state, action.field, `set_field to ${action.field.name}`)
    case 'load':
      return needs(state, action.dst.field, `load to ${action.dst.field.name}`)
    case 'move':
      return (
        needs(state, action.src.field, `move from ${action.src.field.name}`) ??
        needs(state, action.dst.field, `move to ${action.dst.field.name}`)
      )
    case 'output_reg':
      return needs(state, action.src.field, `output to ${action.src.field.name}`)
    case 'push_vlan':
    case 'mod_vlan_vid':
    case 'mod_vlan_pcp':
      setTag(state, true)
      return undefined
    case 'strip_vlan':
      setTag(state, false)
      return undefined
    case 'push_mpls':
      become(state, action.ethertype)
      state.key[K_MPLS] = 0
      return undefined
    case 'pop_mpls': {
      if (state.mask[K_DL_TYPE] !== 0 && !isMpls(state)) {
        return { problem: 'pop_mpls: the packet has no MPLS label', expected: 'a match on mpls or mplsm' }
      }
      become(state, action.ethertype)
      return undefined
    }
    case 'clone':
    case 'write_actions':
      return findInconsistency(state, action.actions, 255)
    case 'goto_table':
      return table !== 255 && action.table <= table
        ? {
            problem: `goto_table:${action.table} does not lead onward from table ${table}`,
            expected: `a table above ${table}`,
          }
        : undefined
    default:
      return undefined
  }
}
