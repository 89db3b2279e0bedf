/** Differences in header fields, as `set` actions. */
import {
  K_ARP_HW,
  K_ETH,
  K_IPV6_LABEL,
  K_MARK,
  K_ND_TARGET,
  K_NW,
  K_NW_DST,
  K_NW_SRC,
  K_PRIORITY,
  K_TP,
} from '../../flow/key.ts'
import type { SetHeader, SetWord } from '../../flow/odp.ts'
import type { Xlate } from './context.ts'
import {
  ETH_ARP,
  ETH_IP,
  ETH_IPV6,
  ethType,
  ipProto,
  isIp,
  NW_PROTO,
  NW_TOS,
  NW_TTL,
  PROTO_ICMP,
  PROTO_ICMPV6,
  PROTO_SCTP,
  PROTO_TCP,
  PROTO_UDP,
} from './packet.ts'

/** One field of a header: bits of words. */
type Bits = readonly (readonly [word: number, mask: number])[]

const HIGH = 0xffff0000 | 0
const LOW = 0xffff
const words = (first: number, count: number): Bits => Array.from({ length: count }, (_, i) => [first + i, -1] as const)

const ETH: readonly Bits[] = [
  [
    [K_ETH + 1, LOW],
    [K_ETH + 2, -1],
  ],
  [
    [K_ETH, -1],
    [K_ETH + 1, HIGH],
  ],
]
const IPV4: readonly Bits[] = [[[K_NW_SRC, -1]], [[K_NW_DST, -1]], [[K_NW, NW_TOS]], [[K_NW, NW_TTL]]]
const IPV6: readonly Bits[] = [
  words(K_NW_SRC, 4),
  words(K_NW_DST, 4),
  [[K_IPV6_LABEL, 0xfffff]],
  [[K_NW, NW_TOS]],
  [[K_NW, NW_TTL]],
]
const HW: readonly Bits[] = [
  [
    [K_ARP_HW, -1],
    [K_ARP_HW + 1, HIGH],
  ],
  [
    [K_ARP_HW + 1, LOW],
    [K_ARP_HW + 2, -1],
  ],
]
const ARP: readonly Bits[] = [[[K_NW_SRC, -1]], [[K_NW_DST, -1]], [[K_NW, NW_PROTO]], ...HW]
const ND: readonly Bits[] = [words(K_ND_TARGET, 4), ...HW]
const PORTS: readonly Bits[] = [[[K_TP, HIGH]], [[K_TP, LOW]]]
const ICMP: readonly Bits[] = [[[K_TP, 0xff0000]], [[K_TP, 0xff]]]
const MARK: readonly Bits[] = [[[K_MARK, -1]]]
const PRIORITY: readonly Bits[] = [[[K_PRIORITY, -1]]]

const differs = (x: Xlate, field: Bits): boolean =>
  field.some(([word, mask]) => ((x.flow[word]! ^ x.base[word]!) & mask) !== 0)

/**
 * One `set` for the fields of a header that differ. Of these the bits that were looked at are written: all that were changed are among them. `whole`: the datapath writes
 * that header only as a whole, so all of it must be known.
 */
const commitHeader = (x: Xlate, header: SetHeader, fields: readonly Bits[], whole = false): void => {
  if (!fields.some((field) => differs(x, field))) return
  const values = new Map<number, number>()
  for (const field of fields) {
    if (!whole && !differs(x, field)) continue
    for (const [word, bits] of field) {
      if (whole) x.look(word, bits)
      const mask = x.wc[word]! & bits
      if (mask !== 0) values.set(word, (values.get(word) ?? 0) | mask)
    }
  }
  const set: SetWord[] = []
  for (const [word, mask] of [...values].sort(([a], [b]) => a - b)) {
    set.push({ word, value: x.flow[word]! & mask, mask })
    x.base[word] = (x.base[word]! & ~mask) | (x.flow[word]! & mask)
  }
  x.actions.push({ type: 'set', header, words: set })
}

export const commitEthernet = (x: Xlate): void => commitHeader(x, 'eth', ETH)

const L4: ReadonlyMap<number, SetHeader> = new Map([
  [PROTO_TCP, 'tcp'],
  [PROTO_UDP, 'udp'],
  [PROTO_SCTP, 'sctp'],
])

/** Layers 3 and 4. A packet whose protocol is 0 is taken to have no such header (cut off). */
export const commitNetwork = (x: Xlate): void => {
  const proto = ipProto(x.flow)
  const type = ethType(x.base)
  if (proto !== 0) {
    if (type === ETH_IP) commitHeader(x, 'ipv4', IPV4)
    else if (type === ETH_IPV6) {
      commitHeader(x, 'ipv6', IPV6)
      if (ipProto(x.base) === PROTO_ICMPV6) commitHeader(x, 'nd', ND)
    } else if (type === ETH_ARP) commitHeader(x, 'arp', ARP)
    const l4 = L4.get(proto)
    if (l4 !== undefined && isIp(x.base)) commitHeader(x, l4, PORTS)
  }
  if (ethType(x.flow) === ETH_IP && proto === PROTO_ICMP) commitHeader(x, 'icmp', ICMP, true)
  else if (ethType(x.flow) === ETH_IPV6 && proto === PROTO_ICMPV6) commitHeader(x, 'icmpv6', ICMP, true)
}

export const commitMetadata = (x: Xlate): void => {
  commitHeader(x, 'skb_priority', PRIORITY)
  commitHeader(x, 'skb_mark', MARK)
}
