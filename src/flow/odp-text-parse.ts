/**
 * Parses datapath matches in dpctl's flow syntax. Control path only.
 *
 * As in OVS, what is not written is not matched, except the tags: text without `vlan(...)` means frames without a tag.
 */
import { type FieldBits, fullMask, setField } from './fields.ts'
import * as K from './key.ts'
import { canonicalise } from './match.ts'
import {
  CT_STATE,
  DL_TYPE,
  HEADERS,
  type HeaderName,
  type HeaderPart,
  isHeaderName,
  isScalarName,
  PART_FORM,
  parsePartMask,
  parsePartValue,
  SCALARS,
  TCP_FLAG_BITS,
} from './odp-text-headers.ts'
import { type OdpToken, splitTokens } from './odp-text-tokens.ts'
import { parseTunnel } from './odp-text-tunnel.ts'
import { FlowSyntaxError, suggestion } from './syntax-error.ts'
import { CT_STATES, type FlagNames, flagBits, parseFlags, TCP_FLAGS } from './text-flags.ts'
import { parseInteger } from './text-values.ts'

export interface OdpParseOptions {
  readonly portByName?: (name: string) => number | undefined
}

const NAMES = [
  ...Object.keys(HEADERS),
  ...Object.keys(SCALARS),
  'ct_state',
  'in_port',
  'packet_type',
  'eth_type',
  'vlan',
  'encap',
  'mpls',
  'tcp_flags',
  'tunnel',
]

/** Parses `recirc_id(0),in_port(2),eth(),eth_type(0x0800),...`. Throws FlowSyntaxError. */
export const parseOdpMatch = (text: string, options: OdpParseOptions = {}): K.Match => {
  const match = K.createMatch()
  parseTokens(match, splitTokens(text, 0), 0, options)
  canonicalise(match)
  return match
}

const fail = (token: OdpToken, problem: string, expected: string): FlowSyntaxError =>
  new FlowSyntaxError(`${token.name}: ${problem}`, token.valueAt, token.body ?? token.value ?? '', expected)

const TAG_WORDS = [K.K_VLAN0, K.K_VLAN1] as const

/** One level of tags: 0 is the frame, 1 what is behind its outer tag. */
const parseTokens = (match: K.Match, tokens: readonly OdpToken[], depth: number, options: OdpParseOptions): void => {
  const vlan = tokens.find((token) => token.name === 'vlan')
  const word = TAG_WORDS[depth]
  if (vlan !== undefined && word === undefined) throw fail(vlan, 'too many tags', 'at most two')
  const type = tokens.find((token) => token.name === 'eth_type')
  if (vlan !== undefined) parseTag(match, word!, vlan, type)
  else {
    if (word !== undefined) match.mask[word] = -1
    if (type !== undefined) parseType(match, type)
  }
  const seen = new Set<string>()
  for (const token of tokens) {
    if (seen.has(token.name)) throw new FlowSyntaxError(`${token.name} is given twice`, token.at, token.name, 'it once')
    seen.add(token.name)
    if (token.body === undefined) {
      throw new FlowSyntaxError(`${token.name}: no parentheses`, token.valueAt, '', `${token.name}(...)`)
    }
    if (token.name === 'vlan' || token.name === 'eth_type') continue
    if (token.name === 'encap') {
      if (vlan === undefined) throw fail(token, 'no tag to be behind', 'vlan(...),encap(...)')
      parseTokens(match, token.inside(), depth + 1, options)
    } else parseAttribute(match, token, options)
  }
  checkProtocols(match, tokens)
}

const parseAttribute = (match: K.Match, token: OdpToken, options: OdpParseOptions): void => {
  const { name } = token
  if (isHeaderName(name)) parseHeader(match, name, token)
  else if (isScalarName(name)) parseNumber(match, SCALARS[name], token)
  else if (name === 'ct_state') parseFlagSet(match, CT_STATE, CT_STATES, token)
  else if (name === 'tcp_flags') parseFlagSet(match, TCP_FLAG_BITS, TCP_FLAGS, token)
  else if (name === 'in_port') parseInPort(match, token, options)
  else if (name === 'mpls') parseMpls(match, token)
  else if (name === 'tunnel') parseTunnel(match, token.inside())
  else if (name !== 'packet_type') {
    // packet_type says "Ethernet"; there are no other frames here.
    throw new FlowSyntaxError(
      `unknown attribute '${name}'`,
      token.at,
      name,
      suggestion(name, NAMES, 'a flow attribute'),
    )
  }
}

/** Reads the parts of a header; also for `set` actions. */
export const parseHeader = (match: K.Match, name: HeaderName, token: OdpToken): void => {
  for (const inner of token.inside()) {
    const parts: readonly HeaderPart[] = HEADERS[name]
    const part = parts.find((p) => p.name === inner.name)
    if (part === undefined) {
      const expected = suggestion(
        inner.name,
        parts.map((p) => p.name),
        `one of ${parts.map((p) => p.name).join(', ')}`,
      )
      throw new FlowSyntaxError(`unknown part '${inner.name}' of ${name}`, inner.at, inner.name, expected)
    }
    const text = inner.value ?? ''
    const [valueText = '', maskText] = text.split('/')
    const value = parsePartValue(part.format, valueText)
    const mask = maskText === undefined ? fullMask(part) : parsePartMask(part.format, maskText)
    if (value === undefined || mask === undefined) {
      throw fail(inner, `'${text}' is not right`, `${PART_FORM[part.format]}, alone or with /MASK`)
    }
    put(match, part, value, mask, inner)
  }
}

const put = (match: K.Match, bits: FieldBits, value: bigint, mask: bigint, token: OdpToken): void => {
  const full = fullMask(bits)
  if (value > full || mask > full) throw fail(token, 'out of range', `at most ${full}`)
  setField(match.key, bits, value & mask)
  setField(match.mask, bits, mask)
}

const numbers = (token: OdpToken, text: string): { value: bigint; mask: bigint | undefined } => {
  const [valueText = '', maskText] = text.split('/')
  const value = parseInteger(valueText)
  const mask = maskText === undefined ? undefined : parseInteger(maskText)
  if (value === undefined || (maskText !== undefined && mask === undefined)) {
    throw fail(token, `'${text}' is not a number`, 'a number, alone or with /MASK')
  }
  return { value, mask }
}

/** Reads a header without parts; also for `set` actions. */
export const parseNumber = (match: K.Match, bits: FieldBits, token: OdpToken): void => {
  const { value, mask } = numbers(token, token.body ?? '')
  put(match, bits, value, mask ?? fullMask(bits), token)
}

const parseFlagSet = (match: K.Match, bits: FieldBits, names: FlagNames, token: OdpToken): void => {
  const text = token.body ?? ''
  if (/^\d/.test(text)) {
    parseNumber(match, bits, token)
    return
  }
  const flags = parseFlags(names, text)
  if (typeof flags === 'string') throw fail(token, flags, 'a|b or +a-b')
  put(match, bits, BigInt(flags.value), BigInt(flags.mask ?? flagBits(names)), token)
}

const IN_PORT: FieldBits = { bit: K.K_IN_PORT * 32, bits: 32 }

const parseInPort = (match: K.Match, token: OdpToken, options: OdpParseOptions): void => {
  if (/^\d/.test(token.body ?? '')) {
    parseNumber(match, IN_PORT, token)
    return
  }
  const port = options.portByName?.(token.body ?? '')
  if (port === undefined)
    throw fail(token, `'${token.body}' is no port of this datapath`, 'a number or the name of a port')
  put(match, IN_PORT, BigInt(port), fullMask(IN_PORT), token)
}

const parseType = (match: K.Match, token: OdpToken): void => {
  const { value, mask } = numbers(token, token.body ?? '')
  // Type 0 with a mask says "802.2, no SNAP", which the key has as 0x05ff.
  const type = value === 0n && mask === 0xffffn ? 0x05ffn : value
  put(match, DL_TYPE, type, mask ?? 0xffffn, token)
}

const parseTag = (match: K.Match, word: number, vlan: OdpToken, type: OdpToken | undefined): void => {
  if (type === undefined) throw fail(vlan, 'no eth_type for the tag', 'eth_type(0x8100),vlan(...)')
  const tpid = numbers(type, type.body ?? '')
  if (tpid.value > 0xffffn || (tpid.mask ?? 0n) > 0xffffn) throw fail(type, 'out of range', 'at most 0xffff')
  const { tci, mask } = parseVlanTci(vlan)
  match.key[word] = (Number(tpid.value) << 16) | tci
  match.mask[word] = (Number(tpid.mask ?? 0xffffn) << 16) | mask
}

/** Reads the inside of `vlan(...)` and of `push_vlan(...)`, where `tpid` may stand too. */
export const parseVlanTci = (
  token: OdpToken,
): { tci: number; mask: number; tpid: number | undefined; given: string[] } => {
  let tci = K.VLAN_CFI
  let mask = K.VLAN_CFI
  let tpid: number | undefined
  const given: string[] = []
  for (const inner of token.inside()) {
    const { value, mask: m } = numbers(inner, inner.value ?? '')
    const limit = { vid: 0xfffn, pcp: 7n, cfi: 1n, tpid: 0xffffn }[inner.name]
    if (limit === undefined) throw fail(inner, `unknown part of ${token.name}`, 'vid, pcp or cfi')
    if (value > limit || (m ?? 0n) > limit) throw fail(inner, `${inner.value} is out of range`, `at most ${limit}`)
    given.push(inner.name)
    const v = Number(value)
    const bits = Number(m ?? limit)
    if (inner.name === 'vid') {
      tci |= v
      mask |= bits
    } else if (inner.name === 'pcp') {
      tci |= v << 13
      mask |= bits << 13
    } else if (inner.name === 'cfi') tci = v === 0 ? tci & ~K.VLAN_CFI : tci
    else tpid = v
  }
  return { tci: tci & mask, mask, tpid, given }
}

const LSE_PARTS = { label: [12, 0xfffffn], tc: [9, 7n], ttl: [0, 255n], bos: [8, 1n] } as const

/** Reads `label=..,tc=..,ttl=..,bos=..` or `lse0=..,lse1=..`; also for `set` and `push_mpls`. Returns the names that were there. */
export const parseMpls = (match: K.Match, token: OdpToken, others: readonly string[] = []): string[] => {
  const given: string[] = []
  for (const inner of token.inside()) {
    if (others.includes(inner.name)) continue
    given.push(inner.name)
    const stack = /^lse([0-2])$/.exec(inner.name)
    if (stack !== null) {
      const { value, mask } = numbers(inner, inner.value ?? '')
      put(match, { bit: (K.K_MPLS + Number(stack[1])) * 32, bits: 32 }, value, mask ?? 0xffffffffn, inner)
      continue
    }
    if (!Object.hasOwn(LSE_PARTS, inner.name))
      throw fail(inner, `unknown part of ${token.name}`, 'label, tc, ttl or bos')
    const [shift, limit] = LSE_PARTS[inner.name as keyof typeof LSE_PARTS]
    // tc and bos have their masks in hexadecimal without 0x, as OVS prints them; one digit at most, so both readings agree.
    const { value, mask } = numbers(inner, inner.value ?? '')
    const bits = limit.toString(2).length
    put(match, { bit: K.K_MPLS * 32 + 32 - shift - bits, bits }, value, mask ?? limit, inner)
  }
  return given
}

const NETWORK: Readonly<Record<string, readonly number[]>> = {
  ipv4: [0x0800],
  ipv6: [0x86dd],
  arp: [0x0806, 0x8035],
  mpls: [0x8847, 0x8848],
}
const TRANSPORT: Readonly<Record<string, number>> = {
  tcp: 6,
  tcp_flags: 6,
  udp: 17,
  sctp: 132,
  icmp: 1,
  icmpv6: 58,
  nd: 58,
}

/** A header must follow from what is before it: ipv4 from eth_type(0x0800), tcp from proto=6. */
const checkProtocols = (match: K.Match, tokens: readonly OdpToken[]): void => {
  for (const token of tokens) {
    const types = NETWORK[token.name]
    if (types !== undefined && !types.includes(match.key[K.K_DL_TYPE]! >>> 16)) {
      throw fail(token, 'the Ethernet type is another', `eth_type(0x${types[0]!.toString(16).padStart(4, '0')})`)
    }
    const proto = TRANSPORT[token.name]
    if (proto !== undefined && match.key[K.K_NW]! >>> 24 !== proto) {
      throw fail(token, 'the protocol is another', `proto=${proto} in ipv4 or ipv6`)
    }
  }
}
