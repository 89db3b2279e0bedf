/**
 * Datapath actions in dpctl's syntax: `set(ipv4(ttl=63)),push_vlan(vid=10,pcp=0),2`. Control path only; parse(print(a)) equals a, but for `tnl_push`, which is
 * printed with the entry that it names and cannot be written.
 */

import type { EncapEntry } from './encap.ts'
import { fullMask } from './fields.ts'
import * as K from './key.ts'
import type { OdpAction, SetHeader, SetWord } from './odp.ts'
import { formatTnlPush } from './odp-text-encap.ts'
import { formatHeader, formatMpls, formatScalar, formatVlanTci } from './odp-text-format.ts'
import { isHeaderName, SCALARS } from './odp-text-headers.ts'
import { type OdpParseOptions, parseHeader, parseMpls, parseNumber, parseVlanTci } from './odp-text-parse.ts'
import { type OdpToken, splitTokens } from './odp-text-tokens.ts'
import { FlowSyntaxError, suggestion } from './syntax-error.ts'
import { hex4, parseInteger } from './text-values.ts'

export interface OdpActionNames {
  readonly portName?: (port: number) => string | undefined
  /** Content of encap entries; without it, or where it returns undefined, `tnl_push` prints the entry's number. */
  readonly encap?: (entry: number) => EncapEntry | undefined
}

const TPID_8021Q = 0x8100

/** Prints the list; an empty one is `drop`. */
export const formatOdpActions = (actions: readonly OdpAction[], names: OdpActionNames = {}): string =>
  actions.length === 0 ? 'drop' : actions.map((action) => formatAction(action, names)).join(',')

const formatPort = (port: number, names: OdpActionNames): string => names.portName?.(port) ?? String(port)

const formatPush = (id: number, names: OdpActionNames): string => {
  const entry = names.encap?.(id)
  if (entry === undefined) return `tnl_push(entry(${id}))`
  // The underlay puts no further header on: a wrong entry must not make this loop.
  const actions = formatOdpActions(entry.actions, names.portName === undefined ? {} : { portName: names.portName })
  return formatTnlPush(entry, (port) => formatPort(port, names), actions)
}

const formatAction = (action: OdpAction, names: OdpActionNames): string => {
  switch (action.type) {
    case 'output':
      return formatPort(action.port, names)
    case 'tnl_push':
      return formatPush(action.entry, names)
    case 'tnl_pop':
      return `tnl_pop(${formatPort(action.port, names)})`
    case 'reenter':
      return `reenter(${formatPort(action.port, names)})`
    case 'push_vlan': {
      const tpid = action.tpid === TPID_8021Q ? '' : `tpid=${hex4(action.tpid)},`
      return `push_vlan(${tpid}${formatVlanTci(action.tci, 0xffff, false)})`
    }
    case 'pop_vlan':
      return 'pop_vlan'
    case 'push_mpls': {
      const match = K.createMatch()
      match.key[K.K_MPLS] = action.lse
      match.mask[K.K_MPLS] = -1
      return `push_mpls(${formatMpls(match).slice('mpls('.length, -1)},eth_type=0x${action.ethertype.toString(16)})`
    }
    case 'pop_mpls':
      return `pop_mpls(eth_type=0x${action.ethertype.toString(16)})`
    case 'set':
      return `set(${formatSet(action.header, action.words)})`
    case 'recirc':
      return `recirc(0x${action.id.toString(16)})`
    case 'clone':
      return `clone(${formatOdpActions(action.actions, names)})`
    case 'trunc':
      return `trunc(${action.maxLen})`
    case 'drop':
      return `drop(${action.reason})`
  }
}

const formatSet = (header: SetHeader, words: readonly SetWord[]): string => {
  const match = K.createMatch()
  for (const { word, value, mask } of words) {
    match.key[word] = value
    match.mask[word] = mask
  }
  if (header === 'mpls') return formatMpls(match)
  if (header === 'skb_mark' || header === 'skb_priority') return formatScalar(header, match)
  return formatHeader(header, match, false)
}

/** Parses a list. Throws FlowSyntaxError. */
export const parseOdpActions = (text: string, options: OdpParseOptions = {}): OdpAction[] =>
  parseList(splitTokens(text, 0), options)

const parseList = (tokens: readonly OdpToken[], options: OdpParseOptions): OdpAction[] => {
  if (tokens.length === 1 && tokens[0]!.name === 'drop' && tokens[0]!.body === undefined) return []
  return tokens.map((token) => parseAction(token, options))
}

type Parser = (token: OdpToken, options: OdpParseOptions) => OdpAction

const fail = (token: OdpToken, problem: string, expected: string): FlowSyntaxError =>
  new FlowSyntaxError(`${token.name}: ${problem}`, token.valueAt, token.body ?? '', expected)

const integer = (token: OdpToken, text: string | undefined, most: number, what: string): number => {
  const value = text === undefined ? undefined : parseInteger(text)
  if (value === undefined || value > BigInt(most)) throw fail(token, `'${text ?? ''}' is not ${what}`, `0 to ${most}`)
  return Number(value)
}

const ethType = (token: OdpToken): number =>
  integer(token, token.inside().find((t) => t.name === 'eth_type')?.value, 0xffff, 'eth_type=N')

const parsePushVlan: Parser = (token) => {
  const { tci, tpid, given } = parseVlanTci(token)
  if (!given.includes('vid') || !given.includes('pcp'))
    throw fail(token, 'vid or pcp is missing', 'push_vlan(vid=N,pcp=N)')
  if (token.body!.includes('/')) throw fail(token, 'a mask is not allowed', 'push_vlan(vid=N,pcp=N)')
  return { type: 'push_vlan', tpid: tpid ?? TPID_8021Q, tci }
}

const parsePushMpls: Parser = (token) => {
  const match = K.createMatch()
  const given = parseMpls(match, token, ['eth_type'])
  if (['label', 'tc', 'ttl', 'bos'].some((name) => !given.includes(name)) || match.mask[K.K_MPLS] !== -1) {
    throw fail(token, 'incomplete', 'push_mpls(label=N,tc=N,ttl=N,bos=N,eth_type=N)')
  }
  return { type: 'push_mpls', ethertype: ethType(token), lse: match.key[K.K_MPLS]! }
}

const parseSet: Parser = (token) => {
  const [inner, more] = token.inside()
  if (inner === undefined || more !== undefined || inner.body === undefined) {
    throw fail(token, `'${token.body ?? ''}' is not one header`, 'set(HEADER(...))')
  }
  const match = K.createMatch()
  const { name } = inner
  let header: SetHeader
  if (name === 'mpls') {
    parseMpls(match, inner)
    header = name
  } else if (name === 'skb_mark' || name === 'skb_priority') {
    parseNumber(match, SCALARS[name], inner)
    header = name
  } else if (isHeaderName(name)) {
    parseHeader(match, name, inner)
    header = name
  } else {
    const known = [
      'eth',
      'mpls',
      'ipv4',
      'ipv6',
      'arp',
      'nd',
      'tcp',
      'udp',
      'sctp',
      'icmp',
      'icmpv6',
      'skb_mark',
      'skb_priority',
    ]
    throw new FlowSyntaxError(
      `set: unknown header '${name}'`,
      inner.at,
      name,
      suggestion(name, known, 'a header that can be set'),
    )
  }
  const words: SetWord[] = []
  for (let word = 0; word < K.K_DP_WORDS; word++) {
    const mask = match.mask[word]!
    if (mask !== 0) words.push({ word, value: match.key[word]! & mask, mask })
  }
  return { type: 'set', header, words }
}

const parsePort = (token: OdpToken, options: OdpParseOptions): number => {
  const text = token.body ?? ''
  return (/^\d+$/.test(text) ? undefined : options.portByName?.(text)) ?? integer(token, text, 0xffffffff, 'a port')
}

const RECIRC = { bit: 0, bits: 32 }

const PARSERS: Readonly<Record<string, Parser>> = {
  push_vlan: parsePushVlan,
  pop_vlan: () => ({ type: 'pop_vlan' }),
  push_mpls: parsePushMpls,
  pop_mpls: (token) => ({ type: 'pop_mpls', ethertype: ethType(token) }),
  set: parseSet,
  recirc: (token) => ({ type: 'recirc', id: integer(token, token.body, Number(fullMask(RECIRC)), 'a number') }),
  clone: (token, options) => ({ type: 'clone', actions: parseList(token.inside(), options) }),
  trunc: (token) => ({ type: 'trunc', maxLen: integer(token, token.body, 0xffffffff, 'a length') }),
  tnl_pop: (token, options) => ({ type: 'tnl_pop', port: parsePort(token, options) }),
  reenter: (token, options) => ({ type: 'reenter', port: parsePort(token, options) }),
  tnl_push: (token) => {
    throw fail(token, 'encap entries come from tunnel ports alone', 'output to a tunnel port in an OpenFlow rule')
  },
  drop: (token) => {
    if (token.body === undefined) throw fail(token, 'it has company', 'drop as the only action, or drop(REASON)')
    return { type: 'drop', reason: token.body }
  },
}

const parseAction: Parser = (token, options) => {
  if (Object.hasOwn(PARSERS, token.name)) {
    if (token.body === undefined && token.name !== 'pop_vlan' && token.name !== 'drop') {
      throw fail(token, 'no parentheses', `${token.name}(...)`)
    }
    if (token.name === 'pop_vlan' && token.body !== undefined) throw fail(token, 'takes nothing', 'pop_vlan alone')
    return PARSERS[token.name]!(token, options)
  }
  if (token.body === undefined && token.value === undefined) {
    const number = /^\d+$/.test(token.name)
      ? integer(token, token.name, 0xffffffff, 'a port')
      : options.portByName?.(token.name)
    if (number !== undefined) return { type: 'output', port: number }
  }
  const expected = suggestion(token.name, Object.keys(PARSERS), 'a port or an action')
  throw new FlowSyntaxError(`unknown action '${token.name}'`, token.at, token.name, expected)
}
