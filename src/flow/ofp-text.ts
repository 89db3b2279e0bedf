/**
 * Rules in ovs-ofctl's syntax (ovs-ofctl(8), "Flow Syntax"): parsed into FlowSpec, and printed as `ovs-ofctl dump-flows` prints them.
 * Control path only.
 *
 * Stricter than ovs-ofctl: where it changes a rule silently (a value cut to its field's width, a field dropped because its protocol is not
 * matched), this throws and says so.
 */
import type { Match } from './key.ts'
import { formatMatch } from './match-text.ts'
import { MatchBuilder } from './match-text-parse.ts'
import { type FlowSpec, OFPP_NONE, type OfpAction } from './ofp.ts'
import { parsePlaced } from './ofp-actions-parse.ts'
import { formatActions } from './ofp-actions-text.ts'
import { type Clause, splitClauses } from './ofp-text-clauses.ts'
import { findInconsistency } from './ofp-text-consistency.ts'
import { type PortNames, parsePort } from './ofp-text-ports.ts'
import { FlowSyntaxError } from './syntax-error.ts'
import { hex, parseInteger } from './text-values.ts'

export { formatMatch } from './match-text.ts'
export { parseMatch } from './match-text-parse.ts'
export { parseActions } from './ofp-actions-parse.ts'
export { formatActions } from './ofp-actions-text.ts'
export type { PortNames } from './ofp-text-ports.ts'
export { FlowSyntaxError } from './syntax-error.ts'

export const DEFAULT_PRIORITY = 32768
const ALL_ONES = 0xffffffffffffffffn

/**
 * What the rule is for. 'add': actions are required, `table` is 0 when absent, `cookie=N` is the new rule's. 'modify': actions are required,
 * `table` is 255 (all) when absent, `cookie=N` is the new cookie and `cookie=N/MASK` restricts. 'delete' (dumps too): no actions, `table` is 255
 * when absent, `cookie=N/MASK` restricts.
 */
export type FlowKind = 'add' | 'modify' | 'delete'

export interface ParseFlowOptions extends PortNames {
  /** 'add' when absent. */
  readonly kind?: FlowKind
}

interface Properties {
  table: number
  priority: number
  cookie: bigint
  cookieMask: bigint
  idleTimeout: number
  hardTimeout: number
  checkOverlap: boolean
  resetCounts: boolean
  outPort: number
}

const NUMBERS: ReadonlyMap<string, { readonly set: (p: Properties, v: number) => void; readonly most: number }> =
  new Map([
    ['table', { set: (p: Properties, v: number) => (p.table = v), most: 255 }],
    ['priority', { set: (p: Properties, v: number) => (p.priority = v), most: 0xffff }],
    ['idle_timeout', { set: (p: Properties, v: number) => (p.idleTimeout = v), most: 0xffff }],
    ['hard_timeout', { set: (p: Properties, v: number) => (p.hardTimeout = v), most: 0xffff }],
  ])

const PROPERTY_KEYS = [...NUMBERS.keys(), 'cookie', 'check_overlap', 'reset_counts', 'out_port', 'actions']

/** Known to OVS, but of no use without controllers: refused by name, so that nobody waits for their effect. */
const UNSUPPORTED = ['send_flow_rem', 'no_packet_counts', 'no_byte_counts', 'importance', 'out_group', 'duration']

/** Parses one rule. Throws FlowSyntaxError, whose position counts in `text`. */
export const parseFlow = (text: string, options: ParseFlowOptions = {}): FlowSpec => {
  const kind = options.kind ?? 'add'
  const head = /(^|[\s,])actions?\s*=/.exec(text)
  const fieldsEnd = head === null ? text.length : head.index
  const properties: Properties = {
    table: kind === 'add' ? 0 : 255,
    priority: DEFAULT_PRIORITY,
    cookie: 0n,
    cookieMask: 0n,
    idleTimeout: 0,
    hardTimeout: 0,
    checkOverlap: false,
    resetCounts: false,
    outPort: OFPP_NONE,
  }
  const builder = new MatchBuilder(options)
  for (const clause of splitClauses(text.slice(0, fieldsEnd), 0)) {
    if (!parseProperty(properties, clause, kind, options)) builder.add(clause, PROPERTY_KEYS)
  }
  const match = builder.finish()
  const actionsAt = head === null ? text.length : head.index + head[0].length
  if (head === null && kind !== 'delete') {
    throw new FlowSyntaxError('the rule has no actions', text.length, '', 'actions=ACTION,... or actions=drop')
  }
  if (head !== null && kind === 'delete') {
    throw new FlowSyntaxError('actions are not allowed here', head.index, head[0].trim(), 'a match alone')
  }
  return {
    ...properties,
    match,
    actions: parseChecked(text.slice(actionsAt), actionsAt, match, properties.table, options),
  }
}

const parseChecked = (text: string, at: number, match: Match, table: number, names: PortNames): OfpAction[] => {
  const placed = parsePlaced(text, names, at, 'rule')
  const actions = placed.map((p) => p.action)
  const wrong = findInconsistency(match, actions, table)
  if (wrong === undefined) return actions
  const { at: position, key } = placed[wrong.index]!
  throw new FlowSyntaxError(wrong.problem, position, key, wrong.expected)
}

/** False when the clause is no property of rules: a match field, then. */
const parseProperty = (p: Properties, clause: Clause, kind: FlowKind, names: PortNames): boolean => {
  const { key, value, valueAt, at } = clause
  if (UNSUPPORTED.includes(key)) throw new FlowSyntaxError(`${key} is not supported`, at, key, 'a rule without it')
  if (key === 'check_overlap' || key === 'reset_counts') {
    if (value !== '') throw new FlowSyntaxError(`${key} takes no value`, valueAt, value, `${key} alone`)
    if (key === 'check_overlap') p.checkOverlap = true
    else p.resetCounts = true
    return true
  }
  const number = NUMBERS.get(key)
  if (number !== undefined) {
    const parsed = parseInteger(value)
    if (parsed === undefined || parsed > BigInt(number.most)) {
      throw new FlowSyntaxError(`invalid ${key} '${value}'`, valueAt, value, `0 to ${number.most}`)
    }
    number.set(p, Number(parsed))
    return true
  }
  if (key === 'cookie') {
    parseCookie(p, clause, kind)
    return true
  }
  if (key === 'out_port') {
    if (kind === 'add') throw new FlowSyntaxError('out_port is for deletions and dumps', at, key, 'a rule without it')
    const port = parsePort(value, names)
    if (port === undefined) throw new FlowSyntaxError(`out_port: '${value}' is no port`, valueAt, value, 'a port')
    p.outPort = port
    return true
  }
  return false
}

const parseCookie = (p: Properties, { value, valueAt }: Clause, kind: FlowKind): void => {
  const slash = value.indexOf('/')
  const cookie = parseInteger(slash < 0 ? value : value.slice(0, slash))
  const maskText = slash < 0 ? undefined : value.slice(slash + 1)
  const mask = maskText === undefined ? undefined : maskText === '-1' ? ALL_ONES : parseInteger(maskText)
  if (
    cookie === undefined ||
    cookie > ALL_ONES ||
    (maskText !== undefined && (mask === undefined || mask > ALL_ONES))
  ) {
    throw new FlowSyntaxError(`invalid cookie '${value}'`, valueAt, value, 'a number of 64 bits, alone or with /MASK')
  }
  if (mask !== undefined && kind === 'add') {
    throw new FlowSyntaxError('a new rule has a cookie, no mask', valueAt, value, 'cookie=NUMBER')
  }
  if (mask === undefined && kind === 'delete') {
    throw new FlowSyntaxError('a cookie restricts by a mask', valueAt, value, `cookie=${value}/-1`)
  }
  p.cookie = mask === undefined ? cookie : cookie & mask
  p.cookieMask = mask ?? 0n
}

/** Match, with the priority in front unless it is the default one, and actions: `priority=10,ip,in_port=1 actions=output:2`. */
const formatBody = (priority: number, match: Match, actions: readonly OfpAction[], names: PortNames): string => {
  const parts = priority === DEFAULT_PRIORITY ? [] : [`priority=${priority}`]
  const text = formatMatch(match, names)
  if (text !== '') parts.push(text)
  const head = parts.join(',')
  return `${head}${head === '' ? '' : ' '}actions=${formatActions(actions, names)}`
}

/** Prints a rule so that parseFlow reads the same again; properties that have their default are left out. */
export const formatRule = (spec: FlowSpec, names: PortNames = {}): string => {
  const out: string[] = []
  if (spec.table !== 0) out.push(`table=${spec.table}`)
  if (spec.cookie !== 0n || spec.cookieMask !== 0n) {
    out.push(`cookie=${hex(spec.cookie)}${spec.cookieMask === 0n ? '' : `/${hex(spec.cookieMask)}`}`)
  }
  if (spec.idleTimeout !== 0) out.push(`idle_timeout=${spec.idleTimeout}`)
  if (spec.hardTimeout !== 0) out.push(`hard_timeout=${spec.hardTimeout}`)
  if (spec.checkOverlap) out.push('check_overlap')
  if (spec.resetCounts) out.push('reset_counts')
  if (spec.outPort !== OFPP_NONE) out.push(`out_port=${spec.outPort}`)
  out.push(formatBody(spec.priority, spec.match, spec.actions, names))
  return out.join(', ')
}

/** A rule in a table, with its statistics. Times in milliseconds. */
export interface FlowStats {
  readonly table: number
  readonly priority: number
  readonly cookie: bigint
  readonly idleTimeout: number
  readonly hardTimeout: number
  /** Since it was added. */
  readonly durationMs: number
  readonly packets: bigint
  readonly bytes: bigint
  /** Since it was last used, or modified. */
  readonly idleMs: number
  /** Since it was last modified; printed when given and different from `durationMs`. */
  readonly hardMs?: number
  readonly match: Match
  readonly actions: readonly OfpAction[]
}

/** One line of `ovs-ofctl dump-flows`, with its leading space; `stats: false` is `--no-stats`. */
export const formatFlowStats = (flow: FlowStats, names: PortNames & { readonly stats?: boolean } = {}): string => {
  const stats = names.stats !== false
  const out: string[] = []
  if (stats || flow.cookie !== 0n) out.push(`cookie=0x${flow.cookie.toString(16)}`)
  if (stats) out.push(`duration=${seconds(flow.durationMs)}s`)
  if (stats || flow.table !== 0) out.push(`table=${flow.table}`)
  if (stats) out.push(`n_packets=${flow.packets}`, `n_bytes=${flow.bytes}`)
  if (flow.idleTimeout !== 0) out.push(`idle_timeout=${flow.idleTimeout}`)
  if (flow.hardTimeout !== 0) out.push(`hard_timeout=${flow.hardTimeout}`)
  if (stats) {
    out.push(`idle_age=${Math.floor(flow.idleMs / 1000)}`)
    const hardAge = flow.hardMs === undefined ? undefined : Math.floor(flow.hardMs / 1000)
    if (hardAge !== undefined && hardAge !== Math.floor(flow.durationMs / 1000)) out.push(`hard_age=${hardAge}`)
  }
  out.push(formatBody(flow.priority, flow.match, flow.actions, names))
  return ` ${out.join(', ')}`
}

/** Whole seconds without a fraction, others with three digits. */
const seconds = (ms: number): string => (ms % 1000 === 0 ? String(ms / 1000) : (ms / 1000).toFixed(3))
