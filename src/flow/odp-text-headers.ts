/**
 * The headers of dpctl's flow syntax and their parts, as bits of the key: `ipv4(src=..,dst=..)`. One table for keys, for `set` actions, and for both
 * directions. Control path only.
 */
import type { FieldBits } from './fields.ts'
import * as K from './key.ts'
import {
  formatEthernet,
  formatIpv4,
  formatIpv6,
  hex,
  parseEthernet,
  parseInteger,
  parseIpv4,
  parseIpv6,
} from './text-values.ts'

/** 'decimal' writes masks in hexadecimal. */
export type PartFormat = 'decimal' | 'hexadecimal' | 'ethernet' | 'ipv4' | 'ipv6' | 'frag'

export interface HeaderPart extends FieldBits {
  readonly name: string
  readonly format: PartFormat
}

const part = (name: string, word: number, skip: number, bits: number, format: PartFormat): HeaderPart => ({
  name,
  bit: word * 32 + skip,
  bits,
  format,
})

const ports = [part('src', K.K_TP, 0, 16, 'decimal'), part('dst', K.K_TP, 16, 16, 'decimal')]
const icmp = [part('type', K.K_TP, 8, 8, 'decimal'), part('code', K.K_TP, 24, 8, 'decimal')]
const frag = part('frag', K.K_NW, 30, 2, 'frag')

/** mpls, vlan and tunnel are not here: they have syntaxes of their own. */
export const HEADERS = {
  eth: [part('src', K.K_ETH + 1, 16, 48, 'ethernet'), part('dst', K.K_ETH, 0, 48, 'ethernet')],
  ipv4: [
    part('src', K.K_NW_SRC, 0, 32, 'ipv4'),
    part('dst', K.K_NW_DST, 0, 32, 'ipv4'),
    part('proto', K.K_NW, 0, 8, 'decimal'),
    part('tos', K.K_NW, 8, 8, 'hexadecimal'),
    part('ttl', K.K_NW, 16, 8, 'decimal'),
    frag,
  ],
  ipv6: [
    part('src', K.K_NW_SRC, 0, 128, 'ipv6'),
    part('dst', K.K_NW_DST, 0, 128, 'ipv6'),
    part('label', K.K_IPV6_LABEL, 12, 20, 'hexadecimal'),
    part('proto', K.K_NW, 0, 8, 'decimal'),
    part('tclass', K.K_NW, 8, 8, 'hexadecimal'),
    part('hlimit', K.K_NW, 16, 8, 'decimal'),
    frag,
  ],
  arp: [
    part('sip', K.K_NW_SRC, 0, 32, 'ipv4'),
    part('tip', K.K_NW_DST, 0, 32, 'ipv4'),
    part('op', K.K_NW, 0, 8, 'decimal'),
    part('sha', K.K_ARP_HW, 0, 48, 'ethernet'),
    part('tha', K.K_ARP_HW + 1, 16, 48, 'ethernet'),
  ],
  nd: [
    part('target', K.K_ND_TARGET, 0, 128, 'ipv6'),
    part('sll', K.K_ARP_HW, 0, 48, 'ethernet'),
    part('tll', K.K_ARP_HW + 1, 16, 48, 'ethernet'),
  ],
  tcp: ports,
  udp: ports,
  sctp: ports,
  icmp,
  icmpv6: icmp,
} as const satisfies Record<string, readonly HeaderPart[]>

export type HeaderName = keyof typeof HEADERS

export const isHeaderName = (name: string): name is HeaderName => Object.hasOwn(HEADERS, name)

/** Numbers without parts: `skb_mark(0x5/0xff)`. */
export const SCALARS = {
  skb_priority: { bit: K.K_PRIORITY * 32, bits: 32 },
  skb_mark: { bit: K.K_MARK * 32, bits: 32 },
  ct_zone: { bit: K.K_CT_STATE * 32 + 16, bits: 16 },
  ct_mark: { bit: K.K_CT_MARK * 32, bits: 32 },
  ct_label: { bit: K.K_CT_LABEL * 32, bits: 128 },
  recirc_id: { bit: K.K_RECIRC_ID * 32, bits: 32 },
  dp_hash: { bit: K.K_DP_HASH * 32, bits: 32 },
} as const satisfies Record<string, FieldBits>

export type ScalarName = keyof typeof SCALARS

export const isScalarName = (name: string): name is ScalarName => Object.hasOwn(SCALARS, name)

export const CT_STATE: FieldBits = { bit: K.K_CT_STATE * 32, bits: 16 }
export const DL_TYPE: FieldBits = { bit: K.K_DL_TYPE * 32, bits: 16 }
export const TCP_FLAG_BITS: FieldBits = { bit: K.K_TCP_FLAGS * 32 + 4, bits: 12 }

const FRAG_WORDS = ['no', 'first', '', 'later'] as const

/** frag=later is stored as both bits; its first bit says nothing more. */
const fragWord = (value: bigint): string => FRAG_WORDS[Number(value)] || 'later'

export const formatPartValue = (format: PartFormat, value: bigint): string => {
  switch (format) {
    case 'ethernet':
      return formatEthernet(value)
    case 'ipv4':
      return formatIpv4(value)
    case 'ipv6':
      return formatIpv6(value)
    case 'hexadecimal':
      return hex(value)
    case 'frag':
      return fragWord(value)
    case 'decimal':
      return value.toString()
  }
}

export const formatPartMask = (format: PartFormat, mask: bigint): string =>
  format === 'decimal' || format === 'frag' ? hex(mask) : formatPartValue(format, mask)

export const parsePartValue = (format: PartFormat, text: string): bigint | undefined => {
  switch (format) {
    case 'ethernet':
      return parseEthernet(text)
    case 'ipv4':
      return parseIpv4(text)
    case 'ipv6':
      return parseIpv6(text)
    case 'frag': {
      const index = FRAG_WORDS.findIndex((word) => word === text && word !== '')
      return index < 0 ? undefined : BigInt(index)
    }
    default:
      return parseInteger(text)
  }
}

export const parsePartMask = (format: PartFormat, text: string): bigint | undefined =>
  format === 'frag' ? parseInteger(text) : parsePartValue(format, text)

/** What a user is told that a part's value looks like. */
export const PART_FORM: Readonly<Record<PartFormat, string>> = {
  decimal: 'a number',
  hexadecimal: 'a number',
  ethernet: 'an Ethernet address',
  ipv4: 'an IPv4 address',
  ipv6: 'an IPv6 address',
  frag: 'no, first or later',
}
