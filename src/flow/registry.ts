/**
 * All fields that the key holds, with OVS's names (ovs-fields(7)).
 *
 * Deviations from a plain "bits at an offset", so that text, matching and translation agree; `matchValue` applies them:
 *
 * - `dl_vlan=N` means "tagged, VID N": it also matches the CFI bit. `dl_vlan=0xffff` means "no tag": TCI 0, all 16
 *   bits.
 * - `dl_vlan_pcp`, `vlan_pcp`: also match the CFI bit.
 * - `vlan_vid` is a 12-bit field for `load` and `move`, but as a match its value and mask have 13 bits, with the CFI
 *   bit 0x1000 as OXM has it: `0x1005` is VID 5, `0x1000/0x1000` any tag, `0` no tag (all 16 bits of TCI).
 * - `vlan_tci` is the whole TCI; its CFI bit says whether there is a tag. `vlan_tci=0` matches packets without one.
 * - `nw_tos` is the DSCP in the upper six bits of eight; as a match the two ECN bits are left out. Writing it keeps
 *   them too.
 * - `ct_state` has 16 bits here (OVS: 32, of which 8 are used); `arp_op` 8 (an opcode above 255 is extracted as 0).
 * - `in_port` is the 16-bit number of OpenFlow 1.0, the lower half of its word, for `load` and `move`; `in_port_oxm`
 *   is the whole word, which holds that same number. As a match both cover the whole word.
 * - `tun_src`/`tun_dst` are the last word of the mapped address ::ffff:a.b.c.d; `tun_ipv6_src`/`tun_ipv6_dst` all four.
 * - `tp_src`/`tp_dst` are the ports of whichever of TCP, UDP, SCTP it is, and ICMP's type and code.
 * - For packets of no IP or ARP type the key's IP words are zero.
 */
import type { Field, FieldFormat, FieldMasking } from './fields.ts'
import { fullMask, matchField, setField } from './fields.ts'
import type { Match } from './key.ts'
import * as K from './key.ts'

const NXM0 = 0x0000
const NXM1 = 0x0001
const OXM = 0x8000
const PKT_REG = 0x8001

const id = (cls: number, field: number): number => ((cls << 16) | (field << 9)) >>> 0

interface Extra {
  readonly aliases?: readonly string[]
  readonly masking?: FieldMasking
  readonly readonly?: true
  readonly needs?: string
  readonly nxm?: readonly string[]
  readonly oxm?: number
}

const list: Field[] = []

/** `skip`: bits of the word, from its most significant one, before the field. */
const add = (name: string, word: number, skip: number, bits: number, format: FieldFormat, extra: Extra = {}): void => {
  list.push({
    id: list.length,
    name,
    aliases: extra.aliases ?? [],
    bits,
    bit: word * 32 + skip,
    format,
    masking: extra.masking ?? 'full',
    writable: extra.readonly !== true,
    prerequisite: extra.needs ?? 'none',
    nxm: extra.nxm ?? [],
    oxm: extra.oxm ?? 0,
  })
}

const EXACT = { masking: 'none' } as const
const READ = { readonly: true } as const

// Metadata.
add('recirc_id', K.K_RECIRC_ID, 0, 32, 'hexadecimal', {
  ...EXACT,
  ...READ,
  nxm: ['NXM_NX_RECIRC_ID'],
  oxm: id(NXM1, 36),
})
add('dp_hash', K.K_DP_HASH, 0, 32, 'hexadecimal', { ...READ, nxm: ['NXM_NX_DP_HASH'], oxm: id(NXM1, 35) })
add('in_port', K.K_IN_PORT, 16, 16, 'port', { ...EXACT, nxm: ['NXM_OF_IN_PORT'], oxm: id(NXM0, 0) })
add('in_port_oxm', K.K_IN_PORT, 0, 32, 'port', { ...EXACT, nxm: ['OXM_OF_IN_PORT'], oxm: id(OXM, 0) })
add('skb_priority', K.K_PRIORITY, 0, 32, 'hexadecimal', { ...EXACT, ...READ })
add('pkt_mark', K.K_MARK, 0, 32, 'hexadecimal', { nxm: ['NXM_NX_PKT_MARK'], oxm: id(NXM1, 33) })
add('ct_state', K.K_CT_STATE, 0, 16, 'ct-state', { ...READ, nxm: ['NXM_NX_CT_STATE'], oxm: id(NXM1, 105) })
add('ct_zone', K.K_CT_STATE, 16, 16, 'hexadecimal', {
  ...EXACT,
  ...READ,
  nxm: ['NXM_NX_CT_ZONE'],
  oxm: id(NXM1, 106),
})
add('ct_mark', K.K_CT_MARK, 0, 32, 'hexadecimal', { nxm: ['NXM_NX_CT_MARK'], oxm: id(NXM1, 107) })
add('ct_label', K.K_CT_LABEL, 0, 128, 'hexadecimal', { nxm: ['NXM_NX_CT_LABEL'], oxm: id(NXM1, 108) })

// Tunnel.
add('tun_id', K.K_TUN_ID, 0, 64, 'hexadecimal', {
  aliases: ['tunnel_id'],
  nxm: ['NXM_NX_TUN_ID', 'OXM_OF_TUNNEL_ID'],
  oxm: id(OXM, 38),
})
add('tun_src', K.K_TUN_SRC + 3, 0, 32, 'ipv4', { nxm: ['NXM_NX_TUN_IPV4_SRC'], oxm: id(NXM1, 31) })
add('tun_dst', K.K_TUN_DST + 3, 0, 32, 'ipv4', { nxm: ['NXM_NX_TUN_IPV4_DST'], oxm: id(NXM1, 32) })
add('tun_ipv6_src', K.K_TUN_SRC, 0, 128, 'ipv6', { nxm: ['NXM_NX_TUN_IPV6_SRC'], oxm: id(NXM1, 109) })
add('tun_ipv6_dst', K.K_TUN_DST, 0, 128, 'ipv6', { nxm: ['NXM_NX_TUN_IPV6_DST'], oxm: id(NXM1, 110) })
add('tun_tos', K.K_TUN_META, 0, 8, 'hexadecimal', { ...EXACT, ...READ })
add('tun_ttl', K.K_TUN_META, 8, 8, 'decimal', { ...EXACT, ...READ })
add('tun_flags', K.K_TUN_META, 16, 16, 'tunnel-flags', { nxm: ['NXM_NX_TUN_FLAGS'], oxm: id(NXM1, 104) })
add('tun_gbp_id', K.K_TUN_GBP, 8, 16, 'decimal', { nxm: ['NXM_NX_TUN_GBP_ID'], oxm: id(NXM1, 38) })
add('tun_gbp_flags', K.K_TUN_GBP, 24, 8, 'hexadecimal', { nxm: ['NXM_NX_TUN_GBP_FLAGS'], oxm: id(NXM1, 39) })

// The pipeline's own.
add('metadata', K.K_METADATA, 0, 64, 'hexadecimal', { nxm: ['OXM_OF_METADATA'], oxm: id(OXM, 2) })
for (let i = 0; i < 16; i++) {
  add(`reg${i}`, K.K_REG + i, 0, 32, 'hexadecimal', { nxm: [`NXM_NX_REG${i}`], oxm: id(NXM1, i) })
}
for (let i = 0; i < 8; i++) {
  add(`xreg${i}`, K.K_REG + 2 * i, 0, 64, 'hexadecimal', { nxm: [`OXM_OF_PKT_REG${i}`], oxm: id(PKT_REG, i) })
}
for (let i = 0; i < 4; i++) {
  add(`xxreg${i}`, K.K_REG + 4 * i, 0, 128, 'hexadecimal', { nxm: [`NXM_NX_XXREG${i}`], oxm: id(NXM1, 111 + i) })
}
add('actset_output', K.K_ACTSET_OUTPUT, 0, 32, 'port', {
  ...EXACT,
  ...READ,
  nxm: ['OXM_OF_ACTSET_OUTPUT', 'ONFOXM_ET_ACTSET_OUTPUT'],
  oxm: id(OXM, 43),
})
add('conj_id', K.K_CONJ_ID, 0, 32, 'decimal', { ...EXACT, ...READ, nxm: ['NXM_NX_CONJ_ID'], oxm: id(NXM1, 37) })

// Layer 2.
add('dl_src', K.K_ETH + 1, 16, 48, 'ethernet', {
  aliases: ['eth_src'],
  nxm: ['NXM_OF_ETH_SRC', 'OXM_OF_ETH_SRC'],
  oxm: id(OXM, 4),
})
add('dl_dst', K.K_ETH, 0, 48, 'ethernet', {
  aliases: ['eth_dst'],
  nxm: ['NXM_OF_ETH_DST', 'OXM_OF_ETH_DST'],
  oxm: id(OXM, 3),
})
add('dl_type', K.K_DL_TYPE, 0, 16, 'hexadecimal', {
  ...EXACT,
  ...READ,
  aliases: ['eth_type'],
  nxm: ['NXM_OF_ETH_TYPE', 'OXM_OF_ETH_TYPE'],
  oxm: id(OXM, 5),
})
add('vlan_tci', K.K_VLAN0, 16, 16, 'hexadecimal', { nxm: ['NXM_OF_VLAN_TCI'], oxm: id(NXM0, 4) })
add('dl_vlan', K.K_VLAN0, 20, 12, 'decimal', EXACT)
add('vlan_vid', K.K_VLAN0, 20, 12, 'decimal', { nxm: ['OXM_OF_VLAN_VID'], oxm: id(OXM, 6) })
add('dl_vlan_pcp', K.K_VLAN0, 16, 3, 'decimal', EXACT)
add('vlan_pcp', K.K_VLAN0, 16, 3, 'decimal', { ...EXACT, needs: 'vlan', nxm: ['OXM_OF_VLAN_PCP'], oxm: id(OXM, 7) })
add('mpls_label', K.K_MPLS, 0, 20, 'decimal', {
  ...EXACT,
  needs: 'mpls',
  nxm: ['OXM_OF_MPLS_LABEL'],
  oxm: id(OXM, 34),
})
add('mpls_tc', K.K_MPLS, 20, 3, 'decimal', { ...EXACT, needs: 'mpls', nxm: ['OXM_OF_MPLS_TC'], oxm: id(OXM, 35) })
add('mpls_bos', K.K_MPLS, 23, 1, 'decimal', {
  ...EXACT,
  ...READ,
  needs: 'mpls',
  nxm: ['OXM_OF_MPLS_BOS'],
  oxm: id(OXM, 36),
})
add('mpls_ttl', K.K_MPLS, 24, 8, 'decimal', { ...EXACT, needs: 'mpls', nxm: ['NXM_NX_MPLS_TTL'], oxm: id(NXM1, 30) })

// Layer 3.
add('nw_src', K.K_NW_SRC, 0, 32, 'ipv4', {
  aliases: ['ip_src'],
  needs: 'ip-or-arp',
  nxm: ['NXM_OF_IP_SRC', 'OXM_OF_IPV4_SRC'],
  oxm: id(OXM, 11),
})
add('nw_dst', K.K_NW_DST, 0, 32, 'ipv4', {
  aliases: ['ip_dst'],
  needs: 'ip-or-arp',
  nxm: ['NXM_OF_IP_DST', 'OXM_OF_IPV4_DST'],
  oxm: id(OXM, 12),
})
add('ipv6_src', K.K_NW_SRC, 0, 128, 'ipv6', {
  needs: 'ipv6',
  nxm: ['NXM_NX_IPV6_SRC', 'OXM_OF_IPV6_SRC'],
  oxm: id(OXM, 26),
})
add('ipv6_dst', K.K_NW_DST, 0, 128, 'ipv6', {
  needs: 'ipv6',
  nxm: ['NXM_NX_IPV6_DST', 'OXM_OF_IPV6_DST'],
  oxm: id(OXM, 27),
})
add('ipv6_label', K.K_IPV6_LABEL, 12, 20, 'hexadecimal', {
  needs: 'ipv6',
  nxm: ['NXM_NX_IPV6_LABEL', 'OXM_OF_IPV6_FLABEL'],
  oxm: id(OXM, 28),
})
add('nw_proto', K.K_NW, 0, 8, 'decimal', {
  ...EXACT,
  ...READ,
  aliases: ['ip_proto'],
  needs: 'ip-any-or-arp',
  nxm: ['NXM_OF_IP_PROTO', 'OXM_OF_IP_PROTO'],
  oxm: id(OXM, 10),
})
add('nw_tos', K.K_NW, 8, 8, 'decimal', { ...EXACT, needs: 'ip-any', nxm: ['NXM_OF_IP_TOS'], oxm: id(NXM0, 5) })
add('ip_dscp', K.K_NW, 8, 6, 'decimal', { ...EXACT, needs: 'ip-any', nxm: ['OXM_OF_IP_DSCP'], oxm: id(OXM, 8) })
add('nw_ecn', K.K_NW, 14, 2, 'decimal', {
  ...EXACT,
  aliases: ['ip_ecn'],
  needs: 'ip-any',
  nxm: ['NXM_NX_IP_ECN', 'OXM_OF_IP_ECN'],
  oxm: id(OXM, 9),
})
add('nw_ttl', K.K_NW, 16, 8, 'decimal', { ...EXACT, needs: 'ip-any', nxm: ['NXM_NX_IP_TTL'], oxm: id(NXM1, 29) })
add('nw_frag', K.K_NW, 30, 2, 'frag', {
  ...READ,
  aliases: ['ip_frag'],
  needs: 'ip-any',
  nxm: ['NXM_NX_IP_FRAG'],
  oxm: id(NXM1, 26),
})
add('arp_op', K.K_NW, 0, 8, 'decimal', {
  ...EXACT,
  needs: 'arp',
  nxm: ['NXM_OF_ARP_OP', 'OXM_OF_ARP_OP'],
  oxm: id(OXM, 21),
})
add('arp_spa', K.K_NW_SRC, 0, 32, 'ipv4', {
  needs: 'arp',
  nxm: ['NXM_OF_ARP_SPA', 'OXM_OF_ARP_SPA'],
  oxm: id(OXM, 22),
})
add('arp_tpa', K.K_NW_DST, 0, 32, 'ipv4', {
  needs: 'arp',
  nxm: ['NXM_OF_ARP_TPA', 'OXM_OF_ARP_TPA'],
  oxm: id(OXM, 23),
})
add('arp_sha', K.K_ARP_HW, 0, 48, 'ethernet', {
  needs: 'arp',
  nxm: ['NXM_NX_ARP_SHA', 'OXM_OF_ARP_SHA'],
  oxm: id(OXM, 24),
})
add('arp_tha', K.K_ARP_HW + 1, 16, 48, 'ethernet', {
  needs: 'arp',
  nxm: ['NXM_NX_ARP_THA', 'OXM_OF_ARP_THA'],
  oxm: id(OXM, 25),
})

// Layer 4.
const port = (name: string, skip: number, needs: string, nxm: readonly string[], field: number): void =>
  add(name, K.K_TP, skip, 16, 'decimal', { needs, nxm, oxm: id(OXM, field) })

add('tp_src', K.K_TP, 0, 16, 'decimal', { needs: 'tp' })
add('tp_dst', K.K_TP, 16, 16, 'decimal', { needs: 'tp' })
port('tcp_src', 0, 'tcp', ['NXM_OF_TCP_SRC', 'OXM_OF_TCP_SRC'], 13)
port('tcp_dst', 16, 'tcp', ['NXM_OF_TCP_DST', 'OXM_OF_TCP_DST'], 14)
add('tcp_flags', K.K_TCP_FLAGS, 4, 12, 'tcp-flags', {
  ...READ,
  needs: 'tcp',
  nxm: ['NXM_NX_TCP_FLAGS', 'OXM_OF_TCP_FLAGS', 'ONFOXM_ET_TCP_FLAGS'],
  oxm: id(OXM, 42),
})
port('udp_src', 0, 'udp', ['NXM_OF_UDP_SRC', 'OXM_OF_UDP_SRC'], 15)
port('udp_dst', 16, 'udp', ['NXM_OF_UDP_DST', 'OXM_OF_UDP_DST'], 16)
port('sctp_src', 0, 'sctp', ['OXM_OF_SCTP_SRC'], 17)
port('sctp_dst', 16, 'sctp', ['OXM_OF_SCTP_DST'], 18)
// icmp_type and icmp_code of text mean ICMP or ICMPv6, whichever the rule names; the OXM names are those of ICMPv4.
add('icmp_type', K.K_TP, 8, 8, 'decimal', {
  ...EXACT,
  needs: 'icmp-any',
  nxm: ['NXM_OF_ICMP_TYPE', 'OXM_OF_ICMPV4_TYPE'],
  oxm: id(OXM, 19),
})
add('icmp_code', K.K_TP, 24, 8, 'decimal', {
  ...EXACT,
  needs: 'icmp-any',
  nxm: ['NXM_OF_ICMP_CODE', 'OXM_OF_ICMPV4_CODE'],
  oxm: id(OXM, 20),
})
add('icmpv6_type', K.K_TP, 8, 8, 'decimal', {
  ...EXACT,
  needs: 'icmp6',
  nxm: ['NXM_NX_ICMPV6_TYPE', 'OXM_OF_ICMPV6_TYPE'],
  oxm: id(OXM, 29),
})
add('icmpv6_code', K.K_TP, 24, 8, 'decimal', {
  ...EXACT,
  needs: 'icmp6',
  nxm: ['NXM_NX_ICMPV6_CODE', 'OXM_OF_ICMPV6_CODE'],
  oxm: id(OXM, 30),
})
add('nd_target', K.K_ND_TARGET, 0, 128, 'ipv6', {
  needs: 'nd',
  nxm: ['NXM_NX_ND_TARGET', 'OXM_OF_IPV6_ND_TARGET'],
  oxm: id(OXM, 31),
})
add('nd_sll', K.K_ARP_HW, 0, 48, 'ethernet', {
  needs: 'nd-solicit',
  nxm: ['NXM_NX_ND_SLL', 'OXM_OF_IPV6_ND_SLL'],
  oxm: id(OXM, 32),
})
add('nd_tll', K.K_ARP_HW + 1, 16, 48, 'ethernet', {
  needs: 'nd-advert',
  nxm: ['NXM_NX_ND_TLL', 'OXM_OF_IPV6_ND_TLL'],
  oxm: id(OXM, 33),
})
add('nd_reserved', K.K_IGMP_GROUP, 0, 32, 'decimal', {
  ...EXACT,
  needs: 'nd',
  nxm: ['ERICOXM_OF_ICMPV6_ND_RESERVED'],
})
add('nd_options_type', K.K_TCP_FLAGS, 8, 8, 'decimal', {
  ...EXACT,
  needs: 'nd',
  nxm: ['ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE'],
})

// NSH. OXM ids are experimenter's, which do not fit into 32 bits.
add('nsh_flags', K.K_NSH, 0, 8, 'decimal', { needs: 'nsh', nxm: ['NXOXM_NSH_FLAGS'] })
add('nsh_ttl', K.K_NSH, 8, 8, 'decimal', { ...EXACT, needs: 'nsh', nxm: ['NXOXM_NSH_TTL'] })
add('nsh_mdtype', K.K_NSH, 16, 8, 'decimal', { ...EXACT, ...READ, needs: 'nsh', nxm: ['NXOXM_NSH_MDTYPE'] })
add('nsh_np', K.K_NSH, 24, 8, 'decimal', { ...EXACT, ...READ, needs: 'nsh', nxm: ['NXOXM_NSH_NP'] })
add('nsh_spi', K.K_NSH + 1, 0, 24, 'hexadecimal', {
  ...EXACT,
  aliases: ['nsp'],
  needs: 'nsh',
  nxm: ['NXOXM_NSH_SPI'],
})
add('nsh_si', K.K_NSH + 1, 24, 8, 'decimal', { ...EXACT, aliases: ['nsi'], needs: 'nsh', nxm: ['NXOXM_NSH_SI'] })
for (let i = 1; i <= 4; i++) {
  add(`nsh_c${i}`, K.K_NSH + 1 + i, 0, 32, 'hexadecimal', {
    aliases: [`nshc${i}`],
    needs: 'nsh',
    nxm: [`NXOXM_NSH_C${i}`],
  })
}

/** All fields; a field's id is its index. */
export const FIELDS: readonly Field[] = list

const byName: ReadonlyMap<string, Field> = new Map(
  list.flatMap((field) => [field.name, ...field.aliases, ...field.nxm].map((name) => [name, field] as const)),
)

/** Finds a field by its name, an alias, or a NXM/OXM name (no `[]`, no `_W`). Names are case sensitive. */
export const fieldByName = (name: string): Field | undefined => byName.get(name)

/** Like `fieldByName`, for names in our own source: a wrong one is a bug, and throws. */
export const fieldNamed = (name: string): Field => {
  const field = byName.get(name)
  if (field === undefined) throw new Error(`no match field '${name}'`)
  return field
}

const TCI = fieldNamed('vlan_tci')
const NO_TAG = 0xffffn

/**
 * Matches `field` as a user means it, with the deviations above. `mask` undefined: exactly. Returns what is wrong
 * with the value or the mask, or undefined; on error the match is unchanged. Prerequisites are not checked here.
 */
export const matchValue = (match: Match, field: Field, value: bigint, mask?: bigint): string | undefined => {
  if (field.name === 'vlan_vid') return matchVlanVid(match, value, mask)
  if (field.name === 'dl_vlan' && value === NO_TAG && (mask === undefined || mask === NO_TAG)) {
    matchField(match, TCI, 0n)
    return undefined
  }
  const full = fullMask(field)
  if (value > full || value < 0n) return `${field.name}: value ${value} does not fit into ${field.bits} bits`
  if (mask !== undefined && (mask > full || mask < 0n)) {
    return `${field.name}: mask 0x${mask.toString(16)} does not fit into ${field.bits} bits`
  }
  if (mask !== undefined && mask !== full && mask !== 0n && field.masking === 'none') {
    return `${field.name}: masks are not supported, an exact value expected`
  }
  if (mask === 0n) return undefined
  switch (field.name) {
    case 'dl_vlan':
      matchField(match, TCI, value | 0x1000n, 0x1fffn)
      return undefined
    case 'dl_vlan_pcp':
    case 'vlan_pcp':
      matchField(match, TCI, (value << 13n) | 0x1000n, 0xf000n)
      return undefined
    case 'nw_tos':
      if ((value & 3n) !== 0n) return `nw_tos: value ${value} has ECN bits set, a multiple of 4 expected`
      matchField(match, field, value, 0xfcn)
      return undefined
    case 'in_port':
    case 'in_port_oxm':
      setField(match.key, IN_PORT_WORD, value)
      setField(match.mask, IN_PORT_WORD, fullMask(IN_PORT_WORD))
      return undefined
    default:
      matchField(match, field, value, mask ?? full)
      return undefined
  }
}

const IN_PORT_WORD = fieldNamed('in_port_oxm')

const matchVlanVid = (match: Match, value: bigint, mask: bigint | undefined): string | undefined => {
  if (value < 0n || value > 0x1fffn) return `vlan_vid: value ${value} is above 0x1fff`
  const m = mask ?? 0x1fffn
  if (m < 0n || m > 0x1fffn) return `vlan_vid: mask 0x${m.toString(16)} is above 0x1fff`
  if ((m & 0x1000n) !== 0n && (value & 0x1000n) === 0n) {
    if ((value & m) !== 0n) return `vlan_vid: ${value} can never match: 0x1000|VID, or 0 for no tag, expected`
    matchField(match, TCI, 0n)
    return undefined
  }
  matchField(match, TCI, value & m, m)
  return undefined
}
