/**
 * What a rule change must fulfil before anything is touched, as values: `checkSpec` gives the first thing that is wrong, in words and with OpenFlow's name for
 * it, or null. Follows what `ovs-ofctl add-flow` accepts: OpenFlow 1.0's own actions (mod_*, dec_ttl, ...) and pop_mpls need no match on the protocol, they do nothing to
 * packets of another; set_field, load and move need their field's prerequisites, from the match or from actions before.
 */

import { type Field, fullMask } from '../flow/fields.ts'
import { K_DL_TYPE, K_VLAN0, K_VLAN1, K_WORDS, type Match, VLAN_CFI } from '../flow/key.ts'
import { cloneMatch } from '../flow/match.ts'
import {
  type FlowSpec,
  OFPP_ALL,
  OFPP_CONTROLLER,
  OFPP_FLOOD,
  OFPP_IN_PORT,
  OFPP_LOCAL,
  OFPP_MAX,
  OFPP_NORMAL,
  OFPP_TABLE,
  type OfpAction,
  type Subfield,
} from '../flow/ofp.ts'
import { describePrerequisite, PREREQUISITES, satisfied } from '../flow/prerequisites.ts'
import { CodedError, outOfRange } from '../lib/errors.ts'
import { ALL_TABLES, MAX_TABLE } from './table.ts'

/** OpenFlow's names of errors (`ovs-ofctl` shows them), which a connection to a controller sends. */
export type FlowModCode =
  | 'OFPFMFC_TABLE_FULL'
  | 'OFPFMFC_OVERLAP'
  | 'OFPFMFC_BAD_TABLE_ID'
  | 'OFPFMFC_BAD_TIMEOUT'
  | 'OFPFMFC_UNKNOWN'
  | 'OFPBAC_BAD_OUT_PORT'
  | 'OFPBAC_BAD_ARGUMENT'
  | 'OFPBAC_BAD_TAG'
  | 'OFPBAC_BAD_SET_ARGUMENT'
  | 'OFPBAC_MATCH_INCONSISTENT'
  | 'OFPBAC_TOO_MANY'
  | 'OFPBIC_BAD_TABLE_ID'
  | 'OFPBIC_UNSUP_INST'

export class FlowModError extends CodedError {
  declare readonly code: FlowModCode

  constructor(code: FlowModCode, message: string) {
    super(code, message)
    this.name = 'FlowModError'
  }
}

/** Actions of one rule, nested ones included, and how deep they nest. */
export const MAX_ACTIONS = 4096
export const MAX_DEPTH = 16

const RESERVED_OUTPUTS: ReadonlySet<number> = new Set([
  OFPP_IN_PORT,
  OFPP_TABLE,
  OFPP_NORMAL,
  OFPP_FLOOD,
  OFPP_ALL,
  OFPP_CONTROLLER,
  OFPP_LOCAL,
])

const range = (
  code: FlowModCode,
  what: string,
  value: number | bigint,
  min: number,
  max: number,
): FlowModError | null =>
  value >= min && value <= max && (typeof value === 'bigint' || Number.isInteger(value))
    ? null
    : new FlowModError(code, outOfRange(what, value, min, max))

/** Checks numbers that every command uses: also those that select rules. */
export const checkSelector = (spec: FlowSpec): FlowModError | null =>
  range('OFPFMFC_BAD_TABLE_ID', 'table', spec.table, 0, ALL_TABLES) ??
  range('OFPFMFC_UNKNOWN', 'priority', spec.priority, 0, 0xffff) ??
  checkLayout(spec.match)

const checkLayout = ({ key, mask }: Match): FlowModError | null =>
  key.length === K_WORDS && mask.length === K_WORDS
    ? null
    : new FlowModError('OFPFMFC_UNKNOWN', `match has ${key.length} and ${mask.length} words: expected ${K_WORDS} each`)

/** Checks a rule that is to be added, or the actions of a modification (`selects`: then the table may be 255, for all). */
export const checkSpec = (spec: FlowSpec, selects = false): FlowModError | null => {
  const wrong =
    checkSelector(spec) ??
    range('OFPFMFC_BAD_TIMEOUT', 'idle timeout', spec.idleTimeout, 0, 0xffff) ??
    range('OFPFMFC_BAD_TIMEOUT', 'hard timeout', spec.hardTimeout, 0, 0xffff)
  if (wrong) return wrong
  if (spec.table === ALL_TABLES && !selects) {
    const problem = `table ${ALL_TABLES} stands for all tables and holds no rules: expected 0..${MAX_TABLE}`
    return new FlowModError('OFPFMFC_BAD_TABLE_ID', problem)
  }
  const check = new ActionCheck()
  return check.list(spec.actions, cloneMatch(spec.match), 0) ?? checkGoto(spec.actions, spec.table)
}

/** A rule's goto_table must go to a later table than its own. A `table` of 255 is checked when the rules are known. */
export const checkGoto = (actions: readonly OfpAction[], table: number): FlowModError | null => {
  for (const action of actions) {
    if (action.type !== 'goto_table') continue
    if (!Number.isInteger(action.table) || action.table < 0 || action.table > MAX_TABLE)
      return new FlowModError('OFPBIC_BAD_TABLE_ID', outOfRange('goto_table', action.table, 0, MAX_TABLE))
    if (table !== ALL_TABLES && action.table <= table) {
      const expected = table === MAX_TABLE ? 'none, this is the last table' : `${table + 1}..${MAX_TABLE}`
      const problem = `goto_table:${action.table} does not go forward from table ${table}: expected ${expected}`
      return new FlowModError('OFPBIC_BAD_TABLE_ID', problem)
    }
  }
  return null
}

/** Fields that share words of the key with another protocol: what actions on them need, narrower than what a match needs. */
const ACTION_PREREQUISITES: ReadonlyMap<string, readonly string[]> = new Map([
  ['nw_src', ['ip']],
  ['nw_dst', ['ip']],
  ['nw_proto', ['ip-any']],
  ['tp_src', ['tcp', 'udp', 'sctp']],
  ['tp_dst', ['tcp', 'udp', 'sctp']],
])

/** Walks through a list with what is known of the packet at each action; counts actions over all lists of a rule. */
class ActionCheck {
  #count = 0

  list(actions: readonly OfpAction[], known: Match, depth: number): FlowModError | null {
    if (depth > MAX_DEPTH) return new FlowModError('OFPBAC_TOO_MANY', `actions nest deeper than ${MAX_DEPTH} levels`)
    for (const action of actions) {
      if (++this.#count > MAX_ACTIONS)
        return new FlowModError('OFPBAC_TOO_MANY', `a rule cannot have more than ${MAX_ACTIONS} actions`)
      const wrong = this.#action(action, known, depth)
      if (wrong) return wrong
    }
    return null
  }

  #action(action: OfpAction, known: Match, depth: number): FlowModError | null {
    switch (action.type) {
      case 'output':
        return checkOutput(action.port)
      case 'output_reg':
        return checkSubfield('output', action.src, known)
      case 'push_vlan':
        return pushVlan(action.ethertype, known)
      case 'strip_vlan':
        known.key[K_VLAN0] = known.key[K_VLAN1]!
        known.mask[K_VLAN0] = known.mask[K_VLAN1]!
        know(known, K_VLAN1, 0, -1)
        return null
      case 'mod_vlan_vid':
        know(known, K_VLAN0, VLAN_CFI, VLAN_CFI)
        return range('OFPBAC_BAD_ARGUMENT', 'mod_vlan_vid', action.vid, 0, 0xfff)
      case 'mod_vlan_pcp':
        know(known, K_VLAN0, VLAN_CFI, VLAN_CFI)
        return range('OFPBAC_BAD_ARGUMENT', 'mod_vlan_pcp', action.pcp, 0, 7)
      case 'push_mpls':
        if (action.ethertype !== 0x8847 && action.ethertype !== 0x8848)
          return badEthertype('push_mpls', action.ethertype, '0x8847 or 0x8848')
        know(known, K_DL_TYPE, action.ethertype << 16, 0xffff0000)
        return null
      case 'pop_mpls':
        know(known, K_DL_TYPE, action.ethertype << 16, 0xffff0000)
        return range('OFPBAC_BAD_ARGUMENT', 'pop_mpls', action.ethertype, 0, 0xffff)
      case 'mod':
        return checkWrite(action.name, action.field, action.value, fullMask(action.field))
      case 'set_field':
        return (
          checkWrite('set_field', action.field, action.value, action.mask) ??
          checkPrerequisite('set_field', action.field, known) ??
          written(action.field, action.value, action.mask, known)
        )
      case 'load': {
        const { field, start, bits } = action.dst
        const wrong = checkSubfield('load', action.dst, known)
        if (wrong) return wrong
        const shift = BigInt(start)
        const mask = ((1n << BigInt(bits)) - 1n) << shift
        return (
          checkWrite('load', field, action.value << shift, mask) ?? written(field, action.value << shift, mask, known)
        )
      }
      case 'move':
        if (action.src.bits !== action.dst.bits) {
          const problem = `move: ${action.src.bits} bits do not fit ${action.dst.bits}: expected equal widths`
          return new FlowModError('OFPBAC_BAD_ARGUMENT', problem)
        }
        return (
          checkSubfield('move', action.src, known) ??
          checkSubfield('move', action.dst, known) ??
          checkWritable('move', action.dst.field)
        )
      case 'resubmit':
        return range('OFPBAC_BAD_ARGUMENT', 'resubmit: table', action.table, 0, ALL_TABLES)
      case 'clone':
      case 'write_actions':
        return this.list(action.actions, cloneMatch(known), depth + 1)
      case 'goto_table':
        return depth === 0
          ? null
          : new FlowModError(
              'OFPBIC_UNSUP_INST',
              'goto_table inside of another action: expected at the end of the rule',
            )
      default:
        return null
    }
  }
}

const inconsistent = (message: string): FlowModError => new FlowModError('OFPBAC_MATCH_INCONSISTENT', message)

const badEthertype = (what: string, given: number, expected: string): FlowModError =>
  new FlowModError('OFPBAC_BAD_ARGUMENT', `${what}:0x${given.toString(16)}: expected ${expected}`)

/** Notes what the packet is known to hold from here on. */
const know = (known: Match, word: number, value: number, mask: number): void => {
  known.key[word] = (known.key[word]! & ~mask) | value
  known.mask[word] = known.mask[word]! | mask
}

const checkOutput = (port: number): FlowModError | null =>
  (Number.isInteger(port) && port >= 0 && port < OFPP_MAX) || RESERVED_OUTPUTS.has(port)
    ? null
    : new FlowModError('OFPBAC_BAD_OUT_PORT', `output to port ${port}: expected 0..${OFPP_MAX - 1} or a reserved port`)

const pushVlan = (ethertype: number, known: Match): FlowModError | null => {
  if (ethertype !== 0x8100 && ethertype !== 0x88a8) return badEthertype('push_vlan', ethertype, '0x8100 or 0x88a8')
  if ((known.key[K_VLAN1]! & known.mask[K_VLAN1]! & VLAN_CFI) !== 0)
    return new FlowModError('OFPBAC_BAD_TAG', 'push_vlan: the packet has two VLAN tags: no more can be pushed')
  known.key[K_VLAN1] = known.key[K_VLAN0]!
  known.mask[K_VLAN1] = known.mask[K_VLAN0]!
  know(known, K_VLAN0, (ethertype << 16) | VLAN_CFI, 0xffff0000 | VLAN_CFI)
  return null
}

const checkWritable = (what: string, field: Field): FlowModError | null =>
  field.writable ? null : new FlowModError('OFPBAC_BAD_SET_ARGUMENT', `${what}: ${field.name} is read-only`)

/** `value` and `mask` within the field's width, and the field one that actions may write. */
const checkWrite = (what: string, field: Field, value: bigint, mask: bigint): FlowModError | null => {
  const fits = value >= 0n && mask >= 0n && mask <= fullMask(field) && (value & ~mask) === 0n
  const problem = `${what}: 0x${value.toString(16)} does not fit into ${field.name}: expected bits of 0x${mask.toString(16)}`
  return checkWritable(what, field) ?? (fits ? null : new FlowModError('OFPBAC_BAD_SET_ARGUMENT', problem))
}

const checkSubfield = (what: string, { field, start, bits }: Subfield, known: Match): FlowModError | null => {
  if (Number.isInteger(start) && Number.isInteger(bits) && start >= 0 && bits > 0 && start + bits <= field.bits)
    return checkPrerequisite(what, field, known)
  const problem = `${what}: bits ${start}..${start + bits - 1} are not in ${field.name}: expected within 0..${field.bits - 1}`
  return new FlowModError('OFPBAC_BAD_ARGUMENT', problem)
}

const checkPrerequisite = (what: string, field: Field, known: Match): FlowModError | null => {
  const narrower = ACTION_PREREQUISITES.get(field.name)
  if (narrower !== undefined) {
    if (narrower.some((name) => satisfied(known, name))) return null
    const expected = narrower.map((name) => PREREQUISITES.get(name)!.text).join('; or ')
    return inconsistent(`${what}: ${field.name} needs ${expected}`)
  }
  // Only mod_vlan_vid and push_vlan make a tag.
  if (field.name === 'vlan_vid' && !satisfied(known, 'vlan'))
    return inconsistent(`${what}: vlan_vid needs ${PREREQUISITES.get('vlan')!.text}`)
  return satisfied(known, field.prerequisite) ? null : inconsistent(`${what}: ${describePrerequisite(field)}`)
}

/** Writing the TCI may add or remove the tag, on which later actions depend. */
const written = (field: Field, value: bigint, mask: bigint, known: Match): null => {
  if (field.name === 'vlan_tci' && (mask & BigInt(VLAN_CFI)) !== 0n)
    know(known, K_VLAN0, Number(value) & VLAN_CFI, VLAN_CFI)
  return null
}
