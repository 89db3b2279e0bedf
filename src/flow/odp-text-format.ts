/** Prints datapath matches and headers as `ovs-appctl dpctl/dump-flows [-m]` does. Control path only. */
import type { EncapEntry } from './encap.ts'
import type { FieldBits } from './fields.ts'
import { fullMask, getField } from './fields.ts'
import * as K from './key.ts'
import {
  CT_STATE,
  DL_TYPE,
  formatPartMask,
  formatPartValue,
  HEADERS,
  type HeaderName,
  SCALARS,
  type ScalarName,
  TCP_FLAG_BITS,
} from './odp-text-headers.ts'
import { formatTunnel } from './odp-text-tunnel.ts'
import { CT_STATES, formatFlags, formatMaskedFlags, TCP_FLAGS } from './text-flags.ts'
import { hex, hex4 } from './text-values.ts'

export interface OdpFormatOptions {
  /** Names ports; without it, or where it returns undefined, they are numbers. */
  readonly portName?: (port: number) => string | undefined
  /** Content of encap entries, for `tnl_push`; without it, or where it returns undefined, the entry's number is printed. */
  readonly encap?: (entry: number) => EncapEntry | undefined
  /** As `-m`: fields that are not matched, too, with a mask of zero. */
  readonly verbose?: boolean
}

/** LLC without SNAP: dpctl writes no type, and a mask. */
const DL_TYPE_LLC = 0x05ff

/** Prints `recirc_id(0),in_port(2),eth(...),...`. A frame's tags are as the key has them, so text cannot tell "any tag" from "none". */
export const formatOdpMatch = (match: K.Match, options: OdpFormatOptions = {}): string => {
  const printer = new MatchPrinter(match, options)
  return printer.print()
}

/** One header's parts: those matched, or all of them when `verbose`. */
export const formatHeader = (name: HeaderName, { key, mask }: K.Match, verbose: boolean): string => {
  const out: string[] = []
  for (const part of HEADERS[name]) {
    const m = getField(mask, part)
    const full = m === fullMask(part)
    if (m === 0n && (!verbose || part.format === 'frag')) continue
    const value = formatPartValue(part.format, getField(key, part))
    out.push(`${part.name}=${value}${full ? '' : `/${formatPartMask(part.format, m)}`}`)
  }
  return `${name}(${out.join(',')})`
}

export const formatScalar = (name: ScalarName, { key, mask }: K.Match): string => {
  const bits = SCALARS[name]
  const m = getField(mask, bits)
  return `${name}(${hex(getField(key, bits))}${m === fullMask(bits) ? '' : `/${hex(m)}`})`
}

export const formatVlanTci = (tci: number, mask: number, verbose: boolean): string => {
  const out: string[] = []
  const vid = mask & 0xfff
  const pcp = (mask >> 13) & 7
  if (vid !== 0 || verbose) out.push(`vid=${tci & 0xfff}${vid === 0xfff ? '' : `/0x${vid.toString(16)}`}`)
  if (pcp !== 0 || verbose) out.push(`pcp=${(tci >> 13) & 7}${pcp === 7 ? '' : `/0x${pcp.toString(16)}`}`)
  if ((mask & K.VLAN_CFI) !== 0 && (tci & K.VLAN_CFI) === 0) out.push('cfi=0')
  return out.join(',')
}

/** `label=..,tc=..,ttl=..,bos=..`; with a partial mask all of them with theirs, as OVS writes them. */
export const formatLse = (lse: number, mask: number): string => {
  const cut = (v: number): readonly [number, number, number, number] => [
    v >>> 12,
    (v >>> 9) & 7,
    v & 255,
    (v >>> 8) & 1,
  ]
  const [label, tc, ttl, bos] = cut(lse)
  if (mask >>> 0 === 0xffffffff) return `label=${label},tc=${tc},ttl=${ttl},bos=${bos}`
  const [mLabel, mTc, mTtl, mBos] = cut(mask)
  const h = (v: number): string => v.toString(16)
  return `label=${label}/0x${h(mLabel)},tc=${tc}/${h(mTc)},ttl=${ttl}/0x${h(mTtl)},bos=${bos}/${h(mBos)}`
}

export const formatMpls = ({ key, mask }: K.Match): string => {
  let count = 1
  for (let i = 1; i < 3; i++) if (mask[K.K_MPLS + i] !== 0) count = i + 1
  if (count === 1) return `mpls(${formatLse(key[K.K_MPLS]!, mask[K.K_MPLS]!)})`
  const entries = Array.from({ length: count }, (_, i) => {
    const m = mask[K.K_MPLS + i]! >>> 0
    return `lse${i}=${hex(key[K.K_MPLS + i]! >>> 0)}${m === 0xffffffff ? '' : `/${hex(m)}`}`
  })
  return `mpls(${entries.join(',')})`
}

class MatchPrinter {
  private readonly match: K.Match
  private readonly options: OdpFormatOptions
  private readonly verbose: boolean

  constructor(match: K.Match, options: OdpFormatOptions) {
    this.match = match
    this.options = options
    this.verbose = options.verbose === true
  }

  print(): string {
    const { match, verbose } = this
    const out: string[] = []
    const scalar = (name: ScalarName): void => {
      if (verbose || getField(match.mask, SCALARS[name]) !== 0n) out.push(formatScalar(name, match))
    }
    scalar('skb_priority')
    const tunnel = formatTunnel(match)
    if (tunnel !== undefined) out.push(tunnel)
    scalar('skb_mark')
    out.push(...this.ctState())
    for (const name of ['ct_zone', 'ct_mark', 'ct_label', 'recirc_id', 'dp_hash'] as const) scalar(name)
    out.push(...this.inPort(), formatHeader('eth', match, verbose), ...this.tagged(0))
    return out.join(',')
  }

  private number(words: Int32Array, bits: FieldBits): number {
    return Number(getField(words, bits))
  }

  private ctState(): string[] {
    const value = this.number(this.match.key, CT_STATE)
    const mask = this.number(this.match.mask, CT_STATE)
    if (mask === 0 && !this.verbose) return []
    const exact = mask === 0xffff
    if (this.verbose) return [`ct_state(${hex(value)}${exact ? '' : `/${hex(mask)}`})`]
    return [`ct_state(${exact ? formatFlags(CT_STATES, value) : formatMaskedFlags(CT_STATES, value, mask)})`]
  }

  private inPort(): string[] {
    const mask = this.match.mask[K.K_IN_PORT]! >>> 0
    const port = this.match.key[K.K_IN_PORT]! >>> 0
    if (mask === 0xffffffff) return [`in_port(${this.options.portName?.(port) ?? port})`]
    return mask === 0 && !this.verbose ? [] : [`in_port(${port}/${hex(mask)})`]
  }

  /** The frame from its `depth`-th tag on. */
  private tagged(depth: number): string[] {
    const word = [K.K_VLAN0, K.K_VLAN1][depth]
    if (word === undefined || this.match.key[word] === 0) return this.network()
    const key = this.match.key[word]!
    const mask = this.match.mask[word]!
    const tpidMask = mask >>> 16
    const tpid = tpidMask === 0xffff ? hex4(key >>> 16) : `${hex4(key >>> 16)}/${hex4(tpidMask)}`
    const vlan = formatVlanTci(key & 0xffff, mask & 0xffff, this.verbose)
    return [`eth_type(${tpid})`, `vlan(${vlan})`, `encap(${this.tagged(depth + 1).join(',')})`]
  }

  private network(): string[] {
    const { match } = this
    const type = this.number(match.key, DL_TYPE)
    const mask = this.number(match.mask, DL_TYPE)
    const out: string[] = []
    if (mask !== 0 && type === DL_TYPE_LLC) out.push(`eth_type(0/${hex4(mask)})`)
    else if (mask !== 0) out.push(`eth_type(${hex4(type)}${mask === 0xffff ? '' : `/${hex4(mask)}`})`)
    if (type === 0x0800) out.push(...this.header('ipv4'), ...this.transport(false))
    else if (type === 0x86dd) out.push(...this.header('ipv6'), ...this.transport(true))
    else if (type === 0x0806 || type === 0x8035) out.push(...this.header('arp'))
    else if ((type === 0x8847 || type === 0x8848) && this.looksAtMpls()) out.push(formatMpls(match))
    return out
  }

  private looksAtMpls(): boolean {
    return this.verbose || [0, 1, 2].some((i) => this.match.mask[K.K_MPLS + i] !== 0)
  }

  private header(name: HeaderName): string[] {
    const looked = HEADERS[name].some((part) => getField(this.match.mask, part) !== 0n)
    return looked || this.verbose ? [formatHeader(name, this.match, this.verbose)] : []
  }

  private transport(ipv6: boolean): string[] {
    const nw = this.match.key[K.K_NW]!
    if ((nw & K.FRAG_LATER) !== 0) return []
    switch (nw >>> 24) {
      case 6:
        return [...this.header('tcp'), ...this.tcpFlags()]
      case 17:
        return this.header('udp')
      case 132:
        return this.header('sctp')
      case 1:
        return ipv6 ? [] : this.header('icmp')
      case 58:
        return ipv6 ? [...this.header('icmpv6'), ...this.neighbourDiscovery()] : []
      default:
        return []
    }
  }

  private tcpFlags(): string[] {
    const value = this.number(this.match.key, TCP_FLAG_BITS)
    const mask = this.number(this.match.mask, TCP_FLAG_BITS)
    if (mask === 0) return []
    return [`tcp_flags(${mask === 0xfff ? formatFlags(TCP_FLAGS, value) : formatMaskedFlags(TCP_FLAGS, value, mask)})`]
  }

  private neighbourDiscovery(): string[] {
    const type = (this.match.key[K.K_TP]! >>> 16) & 0xff
    return type === 135 || type === 136 ? this.header('nd') : []
  }
}
