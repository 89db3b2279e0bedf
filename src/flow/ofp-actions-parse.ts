/** Parses action lists in ovs-ofctl's syntax (ovs-actions(7)), instructions included. Control path only. */
import type { Field } from './fields.ts'
import { fullMask } from './fields.ts'
import { parseFieldValue } from './match-text-values.ts'
import { OFPP_CONTROLLER, OFPP_IN_PORT, OFPP_MAX, OFPP_NONE, type OfpAction } from './ofp.ts'
import { CONTROLLER_MAX_LEN } from './ofp-actions-text.ts'
import { type Clause, splitClauses } from './ofp-text-clauses.ts'
import { checkInstructions } from './ofp-text-instructions.ts'
import { type PortNames, parsePort, RESERVED_NAMES } from './ofp-text-ports.ts'
import { parseSubfield } from './ofp-text-subfields.ts'
import { FIELDS, fieldByName, fieldNamed } from './registry.ts'
import { FlowSyntaxError, suggestion } from './syntax-error.ts'
import { hex, parseInteger } from './text-values.ts'

/** Where a list stands: instructions are allowed in a rule only, some actions not in an action set. */
export type ActionContext = 'rule' | 'clone' | 'action set'

export interface PlacedAction {
  readonly action: OfpAction
  readonly at: number
  readonly key: string
}

/** Parses `output:1,resubmit(,2)`; `drop` and the empty string are the empty list. Throws FlowSyntaxError. */
export const parseActions = (text: string, names: PortNames = {}, base = 0): OfpAction[] =>
  parsePlaced(text, names, base, 'rule').map((placed) => placed.action)

/** As parseActions, with positions for whoever checks further. */
export const parsePlaced = (text: string, names: PortNames, base: number, context: ActionContext): PlacedAction[] => {
  const clauses = splitClauses(text, base)
  const placed: PlacedAction[] = []
  for (const clause of clauses) {
    if (clause.key.toLowerCase() === 'drop') {
      if (clauses.length > 1)
        throw new FlowSyntaxError("'drop' has company", clause.at, 'drop', "'drop' as the only action")
      if (clause.delimiter !== '') throw takesNothing(clause)
      continue
    }
    placed.push({ action: parseAction(clause, names), at: clause.at, key: clause.key })
  }
  checkInstructions(placed, context)
  return placed
}

type ActionParser = (clause: Clause, names: PortNames) => OfpAction

const takesNothing = (clause: Clause): FlowSyntaxError =>
  new FlowSyntaxError(`${clause.key} takes no argument`, clause.valueAt, clause.value, `${clause.key} alone`)

const bad = (clause: Clause, problem: string, expected: string): FlowSyntaxError =>
  new FlowSyntaxError(`${clause.key}: ${problem}`, clause.valueAt, clause.value, expected)

const integer = (clause: Clause, text: string, least: number, most: number, what: string): number => {
  const value = parseInteger(text)
  if (value === undefined || value < BigInt(least) || value > BigInt(most)) {
    throw bad(clause, `'${text}' is not ${what}`, `${least} to ${most}`)
  }
  return Number(value)
}

const plain =
  (type: 'strip_vlan' | 'pop_queue' | 'clear_actions'): ActionParser =>
  (clause) => {
    if (clause.value !== '') throw takesNothing(clause)
    return { type }
  }

const ethertype =
  (type: 'push_vlan' | 'push_mpls' | 'pop_mpls', allowed: readonly number[]): ActionParser =>
  (clause) => {
    const value = integer(clause, clause.value, 0, 0xffff, 'an Ethernet type')
    if (allowed.length > 0 && !allowed.includes(value)) {
      throw bad(clause, `'${clause.value}' is not allowed`, allowed.map((v) => hex(v)).join(' or '))
    }
    return { type, ethertype: value }
  }

const mod = (name: string, fieldName: string): [string, ActionParser] => {
  const field = fieldNamed(fieldName)
  return [
    name,
    (clause, names) => {
      const value = exactValue(clause, field, clause.value, names)
      if (fieldName === 'nw_tos' && (value & 3n) !== 0n) {
        throw bad(clause, `'${clause.value}' is not a valid TOS`, 'a multiple of 4: the two ECN bits are mod_nw_ecn')
      }
      return { type: 'mod', name, field, value }
    },
  ]
}

const exactValue = (clause: Clause, field: Field, text: string, names: PortNames): bigint => {
  const parsed = parseFieldValue(field, text, names)
  if (typeof parsed === 'string') throw bad(clause, parsed, `a value of ${field.name}`)
  if (parsed.mask !== undefined) throw bad(clause, 'a mask is not allowed', `a value of ${field.name}`)
  return parsed.value
}

/** Splits `A->B`. */
const arrow = (clause: Clause): [source: string, target: string, targetAt: number] => {
  const i = clause.value.indexOf('->')
  if (i < 0) throw bad(clause, `no '->' in '${clause.value}'`, `${clause.key}:SOURCE->TARGET`)
  return [clause.value.slice(0, i), clause.value.slice(i + 2), clause.valueAt + i + 2]
}

const port = (clause: Clause, text: string, names: PortNames): number => {
  const number = parsePort(text, names)
  if (number === undefined)
    throw bad(clause, `'${text}' is no port`, 'a number below 65280, a reserved name, or a port of the bridge')
  return number
}

const outputTo = (clause: Clause, number: number): number => {
  if (number === OFPP_NONE) throw bad(clause, 'nothing can be sent to the port ANY', 'another port')
  return number
}

const parseOutput: ActionParser = (clause, names) => {
  const { value } = clause
  if (clause.delimiter === '(') {
    const parts = new Map(splitClauses(value, clause.valueAt).map((c) => [c.key, c.value]))
    const maxLen = parts.get('max_len')
    const to = parts.get('port')
    if (parts.size !== 2 || maxLen === undefined || to === undefined) {
      throw bad(clause, `'${value}' is incomplete`, 'output(port=PORT,max_len=BYTES)')
    }
    const number = outputTo(clause, port(clause, to, names))
    return { type: 'output', port: number, maxLen: integer(clause, maxLen, 14, 0xffffffff, 'a length') }
  }
  const number = parsePort(value, names)
  if (number !== undefined) return output(outputTo(clause, number))
  const looksLikeField = /\[.*\]$/.test(value) || fieldByName(value) !== undefined
  if (looksLikeField) return { type: 'output_reg', src: parseSubfield(value, clause.valueAt) }
  throw bad(clause, `'${value}' is no port`, 'a number below 65280, a reserved name, a port of the bridge, or a field')
}

const output = (number: number): OfpAction =>
  number === OFPP_CONTROLLER
    ? { type: 'output', port: number, maxLen: CONTROLLER_MAX_LEN }
    : { type: 'output', port: number }

const parseController: ActionParser = (clause) => {
  let text = clause.value
  if (clause.delimiter === '(') {
    for (const part of splitClauses(text, clause.valueAt)) {
      if (part.key !== 'max_len') throw bad(part, 'not supported here', 'max_len=BYTES alone')
      text = part.value
    }
  }
  const maxLen = text === '' ? CONTROLLER_MAX_LEN : integer(clause, text, 0, 0xffff, 'a length')
  return { type: 'output', port: OFPP_CONTROLLER, maxLen }
}

const parseSetField: ActionParser = (clause, names) => {
  const [source, target, targetAt] = arrow(clause)
  const field = fieldByName(target)
  if (field === undefined || field.nxm.includes(target)) {
    const known = FIELDS.flatMap((f) => [f.name, ...f.aliases])
    throw new FlowSyntaxError(
      `unknown field '${target}'`,
      targetAt,
      target,
      suggestion(target, known, 'the name of a field'),
    )
  }
  writable(field, targetAt, target)
  const parsed = parseFieldValue(field, source, names)
  if (typeof parsed === 'string') throw bad(clause, parsed, `a value of ${field.name}`)
  const full = fullMask(field)
  if (parsed.mask !== undefined && parsed.mask !== full && field.masking === 'none') {
    throw bad(clause, `${field.name} cannot be set in part`, 'a value without a mask')
  }
  if (field.name === 'nw_tos' && (parsed.value & 3n) !== 0n) {
    throw bad(clause, `'${source}' is not a valid TOS`, 'a multiple of 4: the two ECN bits are nw_ecn')
  }
  if (field.name === 'vlan_vid' && (parsed.value & 0x1000n) === 0n) {
    throw bad(
      clause,
      `'${source}' lacks the bit 0x1000 that says "tagged"`,
      `${parsed.value | 0x1000n} for VLAN ${parsed.value}`,
    )
  }
  // That bit is no part of the 12 bits that are written.
  const mask = (parsed.mask ?? full) & full
  return { type: 'set_field', field, value: parsed.value & mask, mask }
}

const writable = (field: Field, at: number, token: string): void => {
  if (!field.writable)
    throw new FlowSyntaxError(`${field.name} is read-only`, at, token, 'a field that actions may write')
  if (field.name.startsWith('ct_')) {
    throw new FlowSyntaxError(
      `${field.name} can be set by a ct action only`,
      at,
      token,
      'a field that actions may write',
    )
  }
}

const parseLoad: ActionParser = (clause) => {
  const [source, target, targetAt] = arrow(clause)
  const dst = parseSubfield(target, targetAt)
  writable(dst.field, targetAt, target)
  const value = parseInteger(source)
  if (value === undefined) throw bad(clause, `'${source}' is not a number`, 'load:NUMBER->FIELD[]')
  if (value >> BigInt(dst.bits) !== 0n)
    throw bad(clause, `${source} does not fit into ${dst.bits} bits`, 'a smaller number')
  return { type: 'load', dst, value }
}

const parseMove: ActionParser = (clause) => {
  const [source, target, targetAt] = arrow(clause)
  const src = parseSubfield(source, clause.valueAt)
  const dst = parseSubfield(target, targetAt)
  writable(dst.field, targetAt, target)
  if (src.bits !== dst.bits) {
    throw bad(clause, `the source is ${src.bits} bits wide but the target ${dst.bits}`, 'fields of equal width')
  }
  return { type: 'move', src, dst }
}

const parseResubmit: ActionParser = (clause, names) => {
  const parts = clause.delimiter === '(' ? clause.value.split(',') : [clause.value]
  if (parts.length > 2) throw bad(clause, `'${clause.value}' is too long`, 'resubmit(PORT,TABLE)')
  const [inPort = '', tableText = ''] = parts.map((part) => part.trim())
  const from = inPort === '' ? OFPP_IN_PORT : port(clause, inPort, names)
  const table = tableText === '' ? 255 : integer(clause, tableText, 0, 255, 'a table')
  if (from === OFPP_IN_PORT && table === 255) {
    throw bad(clause, 'neither a port nor a table is given', 'resubmit(PORT,TABLE), resubmit(,TABLE) or resubmit:PORT')
  }
  return { type: 'resubmit', port: from, table }
}

const parseNote: ActionParser = (clause) => {
  const digits = clause.value.replace(/\./g, '')
  if (!/^(?:[0-9a-fA-F]{2}\.?)*$/.test(clause.value)) {
    throw bad(clause, `'${clause.value}' is not hexadecimal`, 'pairs of digits, with or without dots: 01.02.ff')
  }
  return { type: 'note', data: Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)) }
}

const parseWriteMetadata: ActionParser = (clause, names) => {
  const parsed = parseFieldValue(fieldNamed('metadata'), clause.value, names)
  if (typeof parsed === 'string') throw bad(clause, parsed, 'write_metadata:VALUE or write_metadata:VALUE/MASK')
  return { type: 'write_metadata', value: parsed.value, mask: parsed.mask ?? 0xffffffffffffffffn }
}

const nested =
  (type: 'clone' | 'write_actions', context: ActionContext): ActionParser =>
  (clause, names) => {
    if (clause.delimiter !== '(') throw bad(clause, 'a list is missing', `${type}(ACTION,...)`)
    return { type, actions: parsePlaced(clause.value, names, clause.valueAt, context).map((p) => p.action) }
  }

const parseDecTtl: ActionParser = (clause) => {
  if (clause.value.trim() !== '' && clause.value.trim() !== '0') {
    throw bad(clause, 'controller ids are not supported here', 'dec_ttl alone')
  }
  return { type: 'dec_ttl' }
}

/** A number of more than 32 bits needs set_tunnel64, and is printed so. */
const parseSetTunnel: ActionParser = (clause, names) => {
  const field = fieldNamed('tun_id')
  const value = exactValue(clause, field, clause.value, names)
  const wide = clause.key.toLowerCase() === 'set_tunnel64' || value > 0xffffffffn
  return { type: 'mod', name: wide ? 'set_tunnel64' : 'set_tunnel', field, value }
}

/** Known to OVS and not built here: refused by name, so that nobody looks for a typing error. */
const UNSUPPORTED: ReadonlySet<string> = new Set(
  (
    'bundle bundle_load check_pkt_larger conjunction controller2 ct ct_clear debug_recirc debug_slow dec_mpls_ttl dec_nsh_ttl decap ' +
    'delete_field encap enqueue exit fin_timeout group learn meter multipath pop push sample set_mpls_label set_mpls_tc set_mpls_ttl stack'
  ).split(' '),
)

const PARSERS: ReadonlyMap<string, ActionParser> = new Map<string, ActionParser>([
  ['output', parseOutput],
  ['controller', parseController],
  ['push_vlan', ethertype('push_vlan', [0x8100, 0x88a8])],
  ['strip_vlan', plain('strip_vlan')],
  ['pop_vlan', plain('strip_vlan')],
  ['mod_vlan_vid', (c) => ({ type: 'mod_vlan_vid', vid: integer(c, c.value, 0, 4095, 'a VLAN ID') })],
  ['mod_vlan_pcp', (c) => ({ type: 'mod_vlan_pcp', pcp: integer(c, c.value, 0, 7, 'a VLAN priority') })],
  ['push_mpls', ethertype('push_mpls', [0x8847, 0x8848])],
  ['pop_mpls', ethertype('pop_mpls', [])],
  mod('mod_dl_src', 'dl_src'),
  mod('mod_dl_dst', 'dl_dst'),
  mod('mod_nw_src', 'nw_src'),
  mod('mod_nw_dst', 'nw_dst'),
  mod('mod_nw_tos', 'nw_tos'),
  mod('mod_nw_ecn', 'nw_ecn'),
  mod('mod_nw_ttl', 'nw_ttl'),
  mod('mod_tp_src', 'tp_src'),
  mod('mod_tp_dst', 'tp_dst'),
  ['set_field', parseSetField],
  ['set_tunnel', parseSetTunnel],
  ['set_tunnel64', parseSetTunnel],
  ['load', parseLoad],
  ['move', parseMove],
  ['resubmit', parseResubmit],
  ['clone', nested('clone', 'clone')],
  ['dec_ttl', parseDecTtl],
  ['set_queue', (c) => ({ type: 'set_queue', queue: integer(c, c.value, 0, 0xffffffff, 'a queue') })],
  ['pop_queue', plain('pop_queue')],
  ['note', parseNote],
  ['clear_actions', plain('clear_actions')],
  ['write_actions', nested('write_actions', 'action set')],
  ['write_metadata', parseWriteMetadata],
  ['goto_table', (c) => ({ type: 'goto_table', table: integer(c, c.value, 0, 254, 'a table') })],
])

const parseAction = (clause: Clause, names: PortNames): OfpAction => {
  const parser = PARSERS.get(clause.key.toLowerCase())
  if (parser !== undefined) return parser(clause, names)
  const number = parsePort(clause.key, names)
  if (number === undefined && UNSUPPORTED.has(clause.key.toLowerCase())) {
    throw new FlowSyntaxError(`${clause.key} is not supported`, clause.at, clause.key, 'another action')
  }
  if (number === undefined) {
    const known = [...PARSERS.keys(), ...[...RESERVED_NAMES.keys()].filter((n) => n !== 'ANY' && n !== 'NONE'), 'drop']
    throw new FlowSyntaxError(
      `unknown action '${clause.key}'`,
      clause.at,
      clause.key,
      suggestion(clause.key, known, 'an action or a port'),
    )
  }
  if (clause.value !== '') throw takesNothing(clause)
  if (number < OFPP_MAX && clause.delimiter !== '') throw takesNothing(clause)
  return output(outputTo(clause, number))
}
