/** Actions that write fields: mod_*, set_field, load, move, write_metadata, dec_ttl, set_queue, pop_queue. */
import { type Field, fullMask } from '../../flow/fields.ts'
import { K_METADATA, K_NW, K_PRIORITY, K_TP, K_TUN_GBP, K_TUN_ID, K_VLAN0 } from '../../flow/key.ts'
import type { Subfield } from '../../flow/ofp.ts'
import { PREREQUISITES } from '../../flow/prerequisites.ts'
import { copyBits, readBits, setBits, writeBits } from './bits.ts'
import type { Xlate } from './context.ts'
import {
  ETH_IP,
  ethType,
  ipProto,
  isIp,
  isLaterFragment,
  NW_PROTO,
  NW_TTL,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
} from './packet.ts'
import { clearUnlessIpv4, isIpv4Address, settleTunnelAddress } from './tunnel-fields.ts'
import { settleTag } from './vlan-actions.ts'

const L3 = new Set(['ip', 'ipv6', 'ip-any', 'ip-or-arp', 'ip-any-or-arp', 'arp'])

/**
 * Whether the packet has the field, looking at what decides it. A rule's match normally has decided it already; after resubmit, or for mod_*
 * actions of OpenFlow 1.0, it has not.
 */
const present = (x: Xlate, field: Field): boolean => {
  const all = PREREQUISITES.get(field.prerequisite)?.alternatives ?? []
  let found = false
  for (const conditions of all) {
    if (found) break
    found = conditions.every(({ word, value, mask }) => {
      x.look(word, mask)
      return (x.flow[word]! & mask) === value
    })
  }
  if (field.bit >> 5 === K_TP && isLaterFragment(x.flow)) return false
  return found
}

/** A set of layer 3 is carried out only on packets whose protocol is known: look at it. */
const lookBelow = (x: Xlate, field: Field): void => {
  if (L3.has(field.prerequisite)) x.look(K_NW, NW_PROTO)
}

const isTunnelField = (field: Field): boolean => {
  const word = field.bit >> 5
  return word >= K_TUN_ID && word <= K_TUN_GBP
}

/** Writes bits of the flow and un-wildcards them: packets that have the value already need no action, others do. */
const write = (x: Xlate, field: Field, bit: number, bits: number, value: bigint, mask: bigint, look: boolean): void => {
  clearUnlessIpv4(x.flow, field)
  writeBits(x.flow, bit, bits, value, mask)
  if (look) writeBits(x.wc, bit, bits, mask, mask)
  settleTunnelAddress(x.flow, field)
  if (bit >> 5 === K_VLAN0) settleTag(x.flow)
}

export const setFieldMasked = (x: Xlate, field: Field, value: bigint, mask: bigint): void => {
  if (!present(x, field)) {
    x.reporter?.warn(`unmet prerequisites for ${field.name}, set_field ignored`)
    return
  }
  lookBelow(x, field)
  write(x, field, field.bit, field.bits, value, mask, !isTunnelField(field))
}

/** What OpenFlow 1.0's actions write, narrower than where their fields exist: not ARP's addresses, not ICMP's type. */
const applies = (x: Xlate, name: string): boolean => {
  switch (name) {
    case 'mod_nw_src':
    case 'mod_nw_dst':
      return ethType(x.flow) === ETH_IP
    case 'mod_tp_src':
    case 'mod_tp_dst': {
      if (!isIp(x.flow) || isLaterFragment(x.flow)) return false
      x.look(K_NW, NW_PROTO)
      const proto = ipProto(x.flow)
      return proto === PROTO_TCP || proto === PROTO_UDP || proto === PROTO_SCTP
    }
    default:
      return true
  }
}

/** mod_nw_src and so on: silently nothing on a packet that has no such field. */
export const modField = (x: Xlate, name: string, field: Field, value: bigint): void => {
  if (!applies(x, name) || !present(x, field)) return
  lookBelow(x, field)
  // The DSCP is written, the ECN bits below it stay (ovs-actions(7)).
  const mask = name === 'mod_nw_tos' ? 0xfcn : fullMask(field)
  write(x, field, field.bit, field.bits, value, mask, true)
}

/** First bit of a subfield in the key. */
const firstBit = (sub: Subfield): number => sub.field.bit + sub.field.bits - sub.start - sub.bits

const onesOf = (bits: number): bigint => (1n << BigInt(bits)) - 1n

/** Looks at a subfield and reads it. */
export const readSubfield = (x: Xlate, sub: Subfield): bigint => {
  const ones = onesOf(sub.bits)
  writeBits(x.wc, firstBit(sub), sub.bits, ones, ones)
  if (!isIpv4Address(x.flow, sub.field)) return 0n
  return readBits(x.flow, firstBit(sub), sub.bits)
}

export const load = (x: Xlate, dst: Subfield, value: bigint): void => {
  if (!present(x, dst.field)) {
    x.reporter?.warn(`unmet prerequisites for ${dst.field.name}, set_field ignored`)
    return
  }
  lookBelow(x, dst.field)
  write(x, dst.field, firstBit(dst), dst.bits, value, onesOf(dst.bits), !isTunnelField(dst.field))
}

export const move = (x: Xlate, src: Subfield, dst: Subfield): void => {
  if (!present(x, src.field) || !present(x, dst.field)) return
  lookBelow(x, dst.field)
  if (!movePlain(x, src, dst)) {
    const value = readSubfield(x, src)
    write(x, dst.field, firstBit(dst), dst.bits, value, onesOf(dst.bits), !isTunnelField(dst.field))
  }
  x.reporter?.written(dst, x.flow)
}

/** Between fields that no others follow from, within a word each. False: nothing was done. */
const movePlain = (x: Xlate, src: Subfield, dst: Subfield): boolean => {
  const to = firstBit(dst)
  if (src.bits !== dst.bits || to >> 5 === K_VLAN0 || isTunnelField(src.field) || isTunnelField(dst.field)) return false
  if (!copyBits(x.flow, firstBit(src), to, dst.bits)) return false
  setBits(x.wc, firstBit(src), src.bits)
  setBits(x.wc, to, dst.bits)
  return true
}

export const writeMetadata = (x: Xlate, value: bigint, mask: bigint): void =>
  writeBits(x.flow, K_METADATA * 32, 64, value, mask)

/** False: the TTL has run out; the rest of this list of actions is not carried out. */
export const decTtl = (x: Xlate): boolean => {
  if (!isIp(x.flow)) return true
  x.look(K_NW, NW_TTL | NW_PROTO)
  const ttl = (x.flow[K_NW]! & NW_TTL) >> 8
  if (ttl > 1) {
    x.flow[K_NW] = x.flow[K_NW]! - 0x100
    return true
  }
  x.reporter?.warn(`IPv${ethType(x.flow) === ETH_IP ? 4 : 6} decrement TTL exception`)
  x.emptyReason ??= 'ttl-exceeded'
  return false
}

/** A queue's number is the packet's priority, as in every datapath that is not a kernel's. */
export const setQueue = (x: Xlate, queue: number): void => {
  x.look(K_PRIORITY, -1)
  x.flow[K_PRIORITY] = queue
}

export const popQueue = (x: Xlate): void => {
  x.look(K_PRIORITY, -1)
  x.flow[K_PRIORITY] = x.input.key[K_PRIORITY]!
}
