/**
 * Matches in ovs-ofctl's syntax (ovs-fields(7)): `tcp,in_port=1,nw_src=10.0.0.0/8,tp_dst=80`. Parsing: match-text-parse.ts. Control path only.
 *
 * parse(print(m)) equals m for each m that names fields together with their prerequisites. Print order and spelling are those of
 * `ovs-ofctl dump-flows`: first the metadata, then the protocol's shorthand, then the rest from the outside in.
 */
import type { Field } from './fields.ts'
import { getField } from './fields.ts'
import { K_DL_TYPE, K_MPLS, K_NW, K_VLAN0, K_VLAN1, type Match, VLAN_CFI } from './key.ts'
import { formatFieldMasked } from './match-text-values.ts'
import type { PortNames } from './ofp-text-ports.ts'
import { formatPort } from './ofp-text-ports.ts'
import { fieldNamed } from './registry.ts'

const ETH_TYPES: ReadonlyMap<number, string> = new Map([
  [0x0806, 'arp'],
  [0x8035, 'rarp'],
  [0x8847, 'mpls'],
  [0x8848, 'mplsm'],
])

const IP_PROTOS: ReadonlyMap<number, string> = new Map([
  [6, 'tcp'],
  [17, 'udp'],
  [132, 'sctp'],
])

interface Protocol {
  /** Printed first; empty when there is no shorthand. */
  readonly shorthand: string
  readonly saysProto: boolean
  /** The rule fixes the Ethernet type; 0 when it does not. */
  readonly dlType: number
  /** The rule fixes the IP protocol; -1 when it does not. */
  readonly proto: number
}

const protocolOf = (m: Match): Protocol => {
  const dlType = m.mask[K_DL_TYPE]! >>> 16 === 0xffff ? m.key[K_DL_TYPE]! >>> 16 : 0
  const proto = m.mask[K_NW]! >>> 24 === 0xff ? m.key[K_NW]! >>> 24 : -1
  const is6 = dlType === 0x86dd
  if (dlType === 0x0800 || is6) {
    const icmp = proto === (is6 ? 58 : 1)
    const word = icmp ? 'icmp' : IP_PROTOS.get(proto)
    if (word !== undefined) return { shorthand: is6 ? `${word}6` : word, saysProto: true, dlType, proto }
    return { shorthand: is6 ? 'ipv6' : 'ip', saysProto: false, dlType, proto }
  }
  return { shorthand: ETH_TYPES.get(dlType) ?? '', saysProto: false, dlType, proto }
}

const METADATA_FIRST = [
  'pkt_mark',
  'recirc_id',
  'dp_hash',
  'conj_id',
  'skb_priority',
  'actset_output',
  'ct_state',
  'ct_zone',
  'ct_mark',
  'ct_label',
]
const REGISTERS = Array.from({ length: 16 }, (_, i) => `reg${i}`)
const NSH = [
  'nsh_flags',
  'nsh_ttl',
  'nsh_mdtype',
  'nsh_np',
  'nsh_spi',
  'nsh_si',
  'nsh_c1',
  'nsh_c2',
  'nsh_c3',
  'nsh_c4',
]
const named = (names: readonly string[]): readonly Field[] => names.map(fieldNamed)

const FIRST = named(METADATA_FIRST)
const REGS = named(REGISTERS)
const TUNNEL_FLAGS_LAST = named(['tun_gbp_id', 'tun_gbp_flags', 'tun_tos', 'tun_ttl', 'tun_flags'])
const TUN_ID = fieldNamed('tun_id')
const TUN_ADDRESSES = [
  [fieldNamed('tun_src'), fieldNamed('tun_ipv6_src')],
  [fieldNamed('tun_dst'), fieldNamed('tun_ipv6_dst')],
] as const
const METADATA = fieldNamed('metadata')
const IN_PORT = fieldNamed('in_port_oxm')
const ETH = named(['dl_src', 'dl_dst'])
const IPV6 = named(['ipv6_src', 'ipv6_dst', 'ipv6_label'])
const ARP_IP = named(['arp_spa', 'arp_tpa'])
const IP = named(['nw_src', 'nw_dst'])
const ARP_HW = named(['arp_sha', 'arp_tha'])
const IP_REST = named(['nw_ecn', 'nw_ttl'])
const MPLS = named(['mpls_label', 'mpls_tc', 'mpls_ttl', 'mpls_bos'])
const NSH_FIELDS = named(NSH)
const ICMP = named(['icmp_type', 'icmp_code'])
const ND = named(['nd_target', 'nd_sll', 'nd_tll', 'nd_reserved', 'nd_options_type'])
const TP = named(['tp_src', 'tp_dst'])
const TCP_FLAGS = fieldNamed('tcp_flags')
const FRAG = fieldNamed('nw_frag')
const NW_TOS = fieldNamed('nw_tos')

/** Prints the match; an empty string matches everything. */
export const formatMatch = (m: Match, names: PortNames = {}): string => {
  const out: string[] = []
  const field = (f: Field): void => {
    const mask = getField(m.mask, f)
    if (mask !== 0n) out.push(formatFieldMasked(f, getField(m.key, f), mask, names))
  }
  const fields = (list: readonly Field[]): void => list.forEach(field)
  const protocol = protocolOf(m)
  const isArp = protocol.dlType === 0x0806 || protocol.dlType === 0x8035
  const isIp6 = protocol.dlType === 0x86dd
  const isIp = protocol.dlType === 0x0800 || isIp6

  fields(FIRST)
  if (protocol.shorthand !== '') out.push(protocol.shorthand)
  fields(REGS)
  field(TUN_ID)
  for (const [v4, v6] of TUN_ADDRESSES) field(isMappedMask(m, v4, v6) ? v4 : v6)
  fields(TUNNEL_FLAGS_LAST)
  field(METADATA)
  if (m.mask[IN_PORT.bit >> 5] !== 0) out.push(`in_port=${formatPort(m.key[IN_PORT.bit >> 5]! & 0xffff, names)}`)
  out.push(...formatVlans(m))
  fields(ETH)
  if (protocol.shorthand === '') field(fieldNamed('dl_type'))
  if (isIp6) fields(IPV6)
  else if (isArp) fields(ARP_IP)
  else fields(IP)
  const protoMask = m.mask[K_NW]! >>> 24
  if (!protocol.saysProto && protoMask !== 0) out.push(`${isArp ? 'arp_op' : 'nw_proto'}=${m.key[K_NW]! >>> 24}`)
  if (isArp) fields(ARP_HW)
  const tos = getField(m.mask, NW_TOS)
  if ((tos & 0xfcn) !== 0n) out.push(`nw_tos=${getField(m.key, NW_TOS) & 0xfcn}`)
  fields(IP_REST)
  if (m.mask[K_MPLS] !== 0) fields(MPLS)
  field(FRAG)
  if (protocol.dlType === 0x894f) fields(NSH_FIELDS)
  if (isIp && protocol.proto === (isIp6 ? 58 : 1)) {
    fields(ICMP)
    if (isIp6) fields(ND)
  } else {
    fields(TP)
    field(TCP_FLAGS)
  }
  return out.join(',')
}

/** The outer address is matched as ::ffff:a.b.c.d, so it is written as IPv4. */
const isMappedMask = (m: Match, v4: Field, v6: Field): boolean =>
  getField(m.mask, v6) >> 32n === 0n || (getField(m.key, v6) >> 32n === 0xffffn && getField(m.mask, v4) !== 0n)

const formatVlans = (m: Match): string[] => {
  const out: string[] = []
  for (const [word, suffix] of [
    [K_VLAN0, ''],
    [K_VLAN1, '1'],
  ] as const) {
    const mask = m.mask[word]! & 0xffff
    const tci = m.key[word]! & 0xffff
    if (mask === 0) break
    const vid = mask & 0xfff
    const pcp = mask & 0xe000
    const plain = (vid === 0 || vid === 0xfff) && (pcp === 0 || pcp === 0xe000) && (vid | pcp) !== 0
    if ((mask & VLAN_CFI) !== 0 && (tci & VLAN_CFI) !== 0 && plain) {
      if (vid !== 0) out.push(`dl_vlan${suffix}=${tci & 0xfff}`)
      if (pcp !== 0) out.push(`dl_vlan_pcp${suffix}=${tci >> 13}`)
    } else {
      const text = (v: number): string => `0x${v.toString(16).padStart(4, '0')}`
      out.push(`vlan_tci${suffix}=${text(tci)}${mask === 0xffff ? '' : `/${text(mask)}`}`)
    }
  }
  return out
}
