/**
 * One packet's complete flow as text: the words and the order of `ovs-ofctl parse-pcap` and `ofproto/trace`. Unlike a
 * match it shows every field that a packet of its kind has; metadata only where it is not zero. Control path.
 */
import {
  ETH_TYPE_ARP,
  ETH_TYPE_IPV4,
  ETH_TYPE_IPV6,
  ETH_TYPE_MPLS,
  ETH_TYPE_MPLS_MCAST,
  ETH_TYPE_NSH,
  ETH_TYPE_RARP,
} from '../packet/ethernet.ts'
import { ND_ADVERT, ND_SOLICIT } from '../packet/icmpv6.ts'
import {
  IP_PROTO_ICMP,
  IP_PROTO_ICMPV6,
  IP_PROTO_IGMP,
  IP_PROTO_SCTP,
  IP_PROTO_TCP,
  IP_PROTO_UDP,
} from '../packet/ipv4.ts'
import { lseBos, lseLabel, lseTc, lseTtl, MPLS_BOS } from '../packet/mpls.ts'
import { getField } from './fields.ts'
import * as K from './key.ts'
import {
  OFPP_ALL,
  OFPP_CONTROLLER,
  OFPP_FLOOD,
  OFPP_IN_PORT,
  OFPP_LOCAL,
  OFPP_NONE,
  OFPP_NORMAL,
  OFPP_TABLE,
} from './ofp.ts'
import { fieldNamed } from './registry.ts'
import { CT_STATES, formatFlags, TCP_FLAGS, TUNNEL_FLAGS } from './text-flags.ts'
import { formatEthernet, formatIpv4, formatIpv6, hex } from './text-values.ts'
import { TUN_F_KEY } from './tunnel-flags.ts'

const PORT_NAMES: ReadonlyMap<number, string> = new Map([
  [OFPP_IN_PORT, 'IN_PORT'],
  [OFPP_TABLE, 'TABLE'],
  [OFPP_NORMAL, 'NORMAL'],
  [OFPP_FLOOD, 'FLOOD'],
  [OFPP_ALL, 'ALL'],
  [OFPP_CONTROLLER, 'CONTROLLER'],
  [OFPP_LOCAL, 'LOCAL'],
  [OFPP_NONE, 'ANY'],
])

/** Short names of protocols over IPv4; those over IPv6 append 6. */
const PROTO_NAMES: ReadonlyMap<number, string> = new Map([
  [IP_PROTO_TCP, 'tcp'],
  [IP_PROTO_UDP, 'udp'],
  [IP_PROTO_SCTP, 'sctp'],
])

const TYPE_NAMES: ReadonlyMap<number, string> = new Map([
  [ETH_TYPE_ARP, 'arp'],
  [ETH_TYPE_RARP, 'rarp'],
  [ETH_TYPE_MPLS, 'mpls'],
  [ETH_TYPE_MPLS_MCAST, 'mplsm'],
])

/** Protocols whose ports (or type and code) are shown even when the header was cut short. */
const TRANSPORTS: ReadonlySet<number> = new Set([
  IP_PROTO_ICMP,
  IP_PROTO_ICMPV6,
  IP_PROTO_TCP,
  IP_PROTO_UDP,
  IP_PROTO_SCTP,
  IP_PROTO_IGMP,
])

const FRAG_NAMES = ['no', 'first', '<error>', 'later'] as const

const protocolName = (type: number, proto: number): string | undefined => {
  if (type === ETH_TYPE_IPV4) return proto === IP_PROTO_ICMP ? 'icmp' : (PROTO_NAMES.get(proto) ?? 'ip')
  if (type !== ETH_TYPE_IPV6) return TYPE_NAMES.get(type)
  const name = PROTO_NAMES.get(proto)
  return proto === IP_PROTO_ICMPV6 ? 'icmp6' : name === undefined ? 'ipv6' : `${name}6`
}

/** The text of a complete key, all K_WORDS of it. `portName` names ports that are not reserved ones. */
export const formatFlow = (key: Int32Array, portName: (no: number) => string = String): string => {
  const out: string[] = []
  const get = (name: string): bigint => getField(key, fieldNamed(name))
  const mac = (name: string, field = name): number => out.push(`${name}=${formatEthernet(get(field))}`)
  const ip = (name: string): number => out.push(`${name}=${formatIpv4(get(name))}`)
  const ip6 = (name: string): number => out.push(`${name}=${formatIpv6(get(name))}`)
  const decimal = (name: string, value: bigint | number = get(name)): number => out.push(`${name}=${value}`)
  const nonZero = (name: string): void => {
    const value = get(name)
    if (value !== 0n) out.push(`${name}=${hex(value)}`)
  }

  const type = key[K.K_DL_TYPE]! >>> 16
  const proto = key[K.K_NW]! >>> 24
  const isIp = type === ETH_TYPE_IPV4 || type === ETH_TYPE_IPV6
  const isArp = type === ETH_TYPE_ARP || type === ETH_TYPE_RARP

  nonZero('pkt_mark')
  nonZero('recirc_id')
  nonZero('dp_hash')
  nonZero('skb_priority')
  if (get('ct_state') !== 0n) out.push(`ct_state=${formatFlags(CT_STATES, Number(get('ct_state')))}`)
  if (get('ct_zone') !== 0n) decimal('ct_zone')
  nonZero('ct_mark')
  nonZero('ct_label')
  if (key[K.K_RECIRC_ID] !== 0) out.push('eth')

  const name = protocolName(type, proto)
  if (name !== undefined) out.push(name)
  for (let i = 0; i < 16; i++) nonZero(`reg${i}`)
  formatTunnel(key, out)
  nonZero('metadata')
  const port = key[K.K_IN_PORT]!
  if (port !== 0) out.push(`in_port=${PORT_NAMES.get(port) ?? portName(port)}`)

  formatVlans(key, out)
  mac('dl_src')
  mac('dl_dst')
  if (name === undefined) out.push(`dl_type=0x${type.toString(16).padStart(4, '0')}`)

  if (type === ETH_TYPE_IPV6) {
    ip6('ipv6_src')
    ip6('ipv6_dst')
    out.push(`ipv6_label=0x${get('ipv6_label').toString(16).padStart(5, '0')}`)
  } else if (isArp) {
    ip('arp_spa')
    ip('arp_tpa')
    decimal('arp_op')
    mac('arp_sha')
    mac('arp_tha')
  } else if (type === ETH_TYPE_NSH) {
    for (const field of ['nsh_flags', 'nsh_ttl', 'nsh_mdtype', 'nsh_np']) decimal(field)
    out.push(`nsh_spi=0x${get('nsh_spi').toString(16)}`)
    decimal('nsh_si')
    if (get('nsh_mdtype') === 1n) {
      for (const field of ['nsh_c1', 'nsh_c2', 'nsh_c3', 'nsh_c4']) out.push(`${field}=0x${get(field).toString(16)}`)
    }
  } else if (type === ETH_TYPE_IPV4) {
    ip('nw_src')
    ip('nw_dst')
  }
  if (type === ETH_TYPE_MPLS || type === ETH_TYPE_MPLS_MCAST) formatMpls(key, out)

  if (isIp || type === ETH_TYPE_NSH) {
    if (name === 'ip' || name === 'ipv6' || name === undefined) decimal('nw_proto')
    decimal('nw_tos', get('nw_tos') & 0xfcn)
    decimal('nw_ecn')
    decimal('nw_ttl')
    out.push(`nw_frag=${FRAG_NAMES[key[K.K_NW]! & 3]!}`)
    if ((key[K.K_NW]! & K.FRAG_LATER) === 0 && TRANSPORTS.has(proto)) formatTransport(key, type, proto, out)
  }
  return out.join(',')
}

const formatTunnel = (key: Int32Array, out: string[]): void => {
  const get = (name: string): bigint => getField(key, fieldNamed(name))
  const words = key.subarray(K.K_TUN_DST, K.K_TUN_DST + 4)
  const isSet = words.some((word) => word !== 0)
  const flags = get('tun_flags')
  if (isSet ? (Number(flags) & TUN_F_KEY) !== 0 : get('tun_id') !== 0n) out.push(`tun_id=${hex(get('tun_id'))}`)
  if (!isSet) return
  const mapped = words[0] === 0 && words[1] === 0 && words[2] === 0xffff
  for (const side of ['src', 'dst']) {
    out.push(mapped ? `tun_${side}=${formatIpv4(get(`tun_${side}`))}` : `tun_${side}=0.0.0.0`)
  }
  for (const side of ['src', 'dst']) {
    out.push(mapped ? `tun_ipv6_${side}=::` : `tun_ipv6_${side}=${formatIpv6(get(`tun_ipv6_${side}`))}`)
  }
  out.push(`tun_gbp_id=${get('tun_gbp_id')}`, `tun_gbp_flags=${hex(get('tun_gbp_flags'))}`)
  out.push(`tun_tos=${get('tun_tos').toString(16)}`, `tun_ttl=${get('tun_ttl')}`)
  out.push(`tun_flags=${formatFlags(TUNNEL_FLAGS, Number(flags))}`)
}

/** Tags outermost first, and after the last one, if there is room for another, the TCI of none. */
const formatVlans = (key: Int32Array, out: string[]): void => {
  for (let i = 0; i < 2; i++) {
    const suffix = i === 0 ? '' : String(i)
    const tci = key[K.K_VLAN0 + i]! & 0xffff
    if (tci === 0) {
      out.push(`vlan_tci${suffix}=0x0000`)
      return
    }
    out.push(`dl_vlan${suffix}=${tci & 0xfff}`, `dl_vlan_pcp${suffix}=${tci >> 13}`)
  }
}

const formatMpls = (key: Int32Array, out: string[]): void => {
  const first = key[K.K_MPLS]!
  out.push(`mpls_label=${lseLabel(first)}`, `mpls_tc=${lseTc(first)}`)
  out.push(`mpls_ttl=${lseTtl(first)}`, `mpls_bos=${lseBos(first)}`)
  for (let i = 1; i < 3 && (key[K.K_MPLS + i - 1]! & MPLS_BOS) === 0; i++) {
    out.push(`mpls_lse${i}=${key[K.K_MPLS + i]! >>> 0}`)
  }
}

const formatTransport = (key: Int32Array, type: number, proto: number, out: string[]): void => {
  const src = key[K.K_TP]! >>> 16
  const dst = key[K.K_TP]! & 0xffff
  const icmp = type === ETH_TYPE_IPV4 ? proto === IP_PROTO_ICMP : proto === IP_PROTO_ICMPV6
  out.push(...(icmp ? [`icmp_type=${src}`, `icmp_code=${dst}`] : [`tp_src=${src}`, `tp_dst=${dst}`]))
  if (proto === IP_PROTO_TCP) out.push(`tcp_flags=${formatFlags(TCP_FLAGS, (key[K.K_TCP_FLAGS]! >>> 16) & 0xfff)}`)
  if (icmp && proto === IP_PROTO_ICMPV6 && dst === 0 && (src === ND_SOLICIT || src === ND_ADVERT)) {
    const get = (name: string): bigint => getField(key, fieldNamed(name))
    out.push(`nd_target=${formatIpv6(get('nd_target'))}`)
    out.push(`nd_sll=${formatEthernet(get('nd_sll'))}`, `nd_tll=${formatEthernet(get('nd_tll'))}`)
  }
}
