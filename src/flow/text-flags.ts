/** Named bits: TCP flags, connection states, tunnel flags; both text syntaxes write them alike. Control path only. */
import type { FieldFormat } from './fields.ts'
import { TUN_F_CSUM, TUN_F_DF, TUN_F_KEY, TUN_F_OAM } from './tunnel-flags.ts'

/** `[name, bit]`, in printing order. */
export type FlagNames = readonly (readonly [string, number])[]

export const TCP_FLAGS: FlagNames = [
  ['fin', 0x001],
  ['syn', 0x002],
  ['rst', 0x004],
  ['psh', 0x008],
  ['ack', 0x010],
  ['urg', 0x020],
  ['ece', 0x040],
  ['cwr', 0x080],
  ['ns', 0x100],
  ['[200]', 0x200],
  ['[400]', 0x400],
  ['[800]', 0x800],
]

export const CT_STATES: FlagNames = [
  ['new', 0x01],
  ['est', 0x02],
  ['rel', 0x04],
  ['rpl', 0x08],
  ['inv', 0x10],
  ['trk', 0x20],
  ['snat', 0x40],
  ['dnat', 0x80],
]

export const TUNNEL_FLAGS: FlagNames = [
  ['oam', TUN_F_OAM],
  ['df', TUN_F_DF],
  ['csum', TUN_F_CSUM],
  ['key', TUN_F_KEY],
]

export const flagNamesOf = (format: FieldFormat): FlagNames | undefined =>
  format === 'tcp-flags'
    ? TCP_FLAGS
    : format === 'ct-state'
      ? CT_STATES
      : format === 'tunnel-flags'
        ? TUNNEL_FLAGS
        : undefined

export const flagBits = (names: FlagNames): number => names.reduce((bits, [, bit]) => bits | bit, 0)

/** `syn|ack`; bits without a name as one hexadecimal number, none at all as `0`. */
export const formatFlags = (names: FlagNames, value: number): string => {
  const words = names.filter(([, bit]) => (value & bit) !== 0).map(([name]) => name)
  const rest = value & ~flagBits(names)
  if (rest !== 0) words.push(`0x${(rest >>> 0).toString(16)}`)
  return words.length === 0 ? '0' : words.join('|')
}

/** `+syn-ack`: every bit of the mask with its sign. Bits without a name are left out. */
export const formatMaskedFlags = (names: FlagNames, value: number, mask: number): string =>
  names
    .filter(([, bit]) => (mask & bit) !== 0)
    .map(([name, bit]) => ((value & bit) !== 0 ? '+' : '-') + name)
    .join('')

export interface ParsedFlags {
  readonly value: number
  /** undefined: exact. */
  readonly mask: number | undefined
}

/** Parses `syn|ack` (exact), `+syn-ack` (masked) or `0`. Numbers are for the caller. Returns what is wrong, as a string. */
export const parseFlags = (names: FlagNames, text: string): ParsedFlags | string => {
  const bitOf = (name: string): number | undefined => names.find(([n]) => n === name)?.[1]
  const unknown = (name: string): string =>
    `unknown flag '${name}', one of ${names.map(([n]) => n).join(', ')} expected`
  if (text === '') return 'a flag expected'
  if (!/^[+-]/.test(text)) {
    let value = 0
    for (const name of text.split('|')) {
      const bit = bitOf(name) ?? (/^0x[0-9a-f]{1,4}$/.test(name) ? Number(name) : undefined)
      if (bit === undefined) return unknown(name)
      value |= bit
    }
    return { value, mask: undefined }
  }
  let value = 0
  let mask = 0
  for (const [, sign, name] of text.matchAll(/([+-])([^+-]*)/g)) {
    const bit = bitOf(name!)
    if (bit === undefined) return unknown(name!)
    if ((mask & bit) !== 0) return `flag '${name}' is given twice`
    mask |= bit
    if (sign === '+') value |= bit
  }
  return { value, mask }
}
