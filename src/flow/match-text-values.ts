/** Values of one field in ovs-ofctl's syntax, as matches and as `set_field` write them. Control path only. */
import type { Field } from './fields.ts'
import { fullMask } from './fields.ts'
import type { PortNames } from './ofp-text-ports.ts'
import { formatPort, parsePort } from './ofp-text-ports.ts'
import { flagBits, flagNamesOf, formatFlags, formatMaskedFlags, parseFlags } from './text-flags.ts'
import { formatEthernet, formatPrefix, hex, hex4, parseEthernet, parseInteger, parsePrefix } from './text-values.ts'

export interface FieldValue {
  readonly value: bigint
  /** undefined: exact. */
  readonly mask: bigint | undefined
}

/** nw_frag's words: value and mask of its two bits (key.ts). */
const FRAG_WORDS: ReadonlyMap<string, FieldValue> = new Map([
  ['no', { value: 0n, mask: 3n }],
  ['yes', { value: 1n, mask: 1n }],
  ['first', { value: 1n, mask: 3n }],
  ['later', { value: 2n, mask: 2n }],
  ['not_later', { value: 0n, mask: 2n }],
])

/**
 * Parses a value with an optional mask. Returns what is wrong, as a string; whether the value fits into the field is checked here, whether a
 * mask is allowed by matchValue (registry.ts).
 */
export const parseFieldValue = (field: Field, text: string, names: PortNames = {}): FieldValue | string => {
  if (text === '') return `${field.name}: a value expected`
  switch (field.format) {
    case 'ipv4':
    case 'ipv6': {
      const bits = field.format === 'ipv4' ? 32 : 128
      const form = bits === 32 ? 'an IPv4 address A.B.C.D' : 'an IPv6 address'
      return parsePrefix(text, bits) ?? `${field.name}: '${text}' is not ${form}, alone or with /LENGTH or /MASK`
    }
    case 'ethernet': {
      const parsed = withMask(text, parseEthernet)
      return parsed ?? `${field.name}: '${text}' is not an Ethernet address XX:XX:XX:XX:XX:XX, alone or with /MASK`
    }
    case 'port': {
      const port = parsePort(text, names)
      return port === undefined
        ? `${field.name}: '${text}' is no port: a number below 65280, a reserved name such as LOCAL, or a port of the bridge expected`
        : { value: BigInt(port), mask: undefined }
    }
    case 'frag':
      return FRAG_WORDS.get(text) ?? `${field.name}: '${text}' is not one of ${[...FRAG_WORDS.keys()].join(', ')}`
    case 'tcp-flags':
    case 'ct-state':
    case 'tunnel-flags':
      return parseFlagsField(field, text)
    default:
      return parseNumber(field, text)
  }
}

const withMask = (text: string, parse: (part: string) => bigint | undefined): FieldValue | undefined => {
  const slash = text.indexOf('/')
  const value = parse(slash < 0 ? text : text.slice(0, slash))
  if (value === undefined) return undefined
  if (slash < 0) return { value, mask: undefined }
  const mask = parse(text.slice(slash + 1))
  return mask === undefined ? undefined : { value, mask }
}

/** vlan_vid holds OXM's 13 bits in text; dl_vlan's 0xffff says "no tag". */
const textLimit = (field: Field): bigint =>
  field.name === 'vlan_vid' ? 0x1fffn : field.name === 'dl_vlan' ? 0xffffn : fullMask(field)

const parseNumber = (field: Field, text: string): FieldValue | string => {
  const parsed = withMask(text, parseInteger)
  if (parsed === undefined) return `${field.name}: '${text}' is not a number, alone or with /MASK`
  const limit = textLimit(field)
  if (parsed.value > limit) return `${field.name}: ${text} is out of range, at most ${fullMask(field)} expected`
  if (parsed.mask !== undefined && parsed.mask > limit) {
    return `${field.name}: mask ${hex(parsed.mask)} is out of range, at most ${hex(limit)} expected`
  }
  return parsed
}

const parseFlagsField = (field: Field, text: string): FieldValue | string => {
  if (/^[0-9]/.test(text)) return parseNumber(field, text)
  const flags = parseFlags(flagNamesOf(field.format)!, text)
  if (typeof flags === 'string') return `${field.name}: ${flags}`
  return { value: BigInt(flags.value), mask: flags.mask === undefined ? undefined : BigInt(flags.mask) }
}

/** `name=value` or `name=value/mask`, for a mask that is not zero. */
export const formatFieldMasked = (field: Field, value: bigint, mask: bigint, names: PortNames = {}): string => {
  const exact = mask === fullMask(field)
  const masked = (text: (v: bigint) => string): string => `${field.name}=${text(value)}${exact ? '' : `/${text(mask)}`}`
  switch (field.format) {
    case 'ipv4':
      return `${field.name}=${formatPrefix(value, mask, 32)}`
    case 'ipv6':
      return `${field.name}=${formatPrefix(value, mask, 128)}`
    case 'ethernet':
      return masked(formatEthernet)
    case 'port':
      return `${field.name}=${formatPort(Number(value), names)}`
    case 'frag':
      return `${field.name}=${fragWord(value, mask)}`
    case 'tcp-flags':
    case 'ct-state':
    case 'tunnel-flags':
      return `${field.name}=${formatFlagsField(field, Number(value), Number(mask))}`
    case 'hexadecimal':
      if (field.name === 'dl_type') return masked(hex4)
      if (field.name === 'ipv6_label') return masked((v) => `0x${v.toString(16).padStart(5, '0')}`)
      if (field.name === 'ct_zone') return masked((v) => (exact ? v.toString() : hex(v)))
      return masked(hex)
    default:
      return masked((v) => (exact ? v.toString() : hex(v)))
  }
}

const fragWord = (value: bigint, mask: bigint): string => {
  if (mask === 1n) return value === 0n ? 'no' : 'yes'
  if (mask === 2n) return value === 0n ? 'not_later' : 'later'
  return (value & 2n) !== 0n ? 'later' : value === 1n ? 'first' : 'no'
}

const formatFlagsField = (field: Field, value: number, mask: number): string => {
  const names = flagNamesOf(field.format)!
  if (mask === Number(fullMask(field))) return formatFlags(names, value)
  if ((mask & ~flagBits(names)) !== 0) return `${hex(value)}/${hex(mask)}`
  return formatMaskedFlags(names, value, mask)
}

/** The names that OVS prints in actions where they differ from those it prints in matches. */
const ACTION_NAMES: ReadonlyMap<string, string> = new Map([
  ['dl_src', 'eth_src'],
  ['dl_dst', 'eth_dst'],
  ['nw_src', 'ip_src'],
  ['nw_dst', 'ip_dst'],
])

export const actionFieldName = (field: Field): string => ACTION_NAMES.get(field.name) ?? field.name

/** The part of `set_field` before the arrow: `10.0.0.1`, `0x5/0xf`. */
export const formatSetValue = (field: Field, value: bigint, mask: bigint, names: PortNames = {}): string => {
  const exact = mask === fullMask(field)
  const both = (text: (v: bigint) => string, m: (v: bigint) => string = text): string =>
    exact ? text(value) : `${text(value)}/${m(mask)}`
  switch (field.format) {
    case 'ipv4':
      return formatPrefix(value, mask, 32)
    case 'ipv6':
      return formatPrefix(value, mask, 128)
    case 'ethernet':
      return both(formatEthernet)
    case 'port':
      return formatPort(Number(value), names)
    case 'tcp-flags':
    case 'ct-state':
    case 'tunnel-flags':
      return formatFlagsField(field, Number(value), Number(mask))
    case 'hexadecimal':
      return both(hex)
    default:
      if (field.name === 'vlan_vid')
        return exact ? String(value | 0x1000n) : `${value | 0x1000n}/${hex(mask | 0x1000n)}`
      return both(
        (v) => v.toString(),
        (v) => hex(v),
      )
  }
}
