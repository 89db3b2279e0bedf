/**
 * Prerequisites of match fields: what a rule must already match exactly for a field to exist. As data, so that text
 * parsing, the OpenFlow wire and capability profiles check the same thing.
 */
import type { Field } from './fields.ts'
import type { Match } from './key.ts'
import { K_DL_TYPE, K_NW, K_TP, K_VLAN0 } from './key.ts'

/** `key[word] & mask === value`, and the match's mask covers `mask`. */
export interface Condition {
  readonly word: number
  readonly value: number
  readonly mask: number
}

export interface Prerequisite {
  readonly name: string
  /** What a user is told to write. */
  readonly text: string
  /** Satisfied when all conditions of one alternative hold. */
  readonly alternatives: readonly (readonly Condition[])[]
}

const dlType = (type: number): Condition => ({ word: K_DL_TYPE, value: (type << 16) | 0, mask: 0xffff0000 | 0 })
const proto = (no: number): Condition => ({ word: K_NW, value: (no << 24) | 0, mask: 0xff000000 | 0 })
const icmpType = (type: number): Condition => ({ word: K_TP, value: type << 16, mask: 0xff0000 })

const IP = dlType(0x0800)
const IPV6 = dlType(0x86dd)
const ARP = dlType(0x0806)
const RARP = dlType(0x8035)
const MPLS = dlType(0x8847)
const MPLSM = dlType(0x8848)
const ICMP6: readonly Condition[] = [IPV6, proto(58)]
const overIp = (no: number): Condition[][] => [
  [IP, proto(no)],
  [IPV6, proto(no)],
]

const define = (
  name: string,
  text: string,
  alternatives: readonly (readonly Condition[])[],
): [string, Prerequisite] => [name, { name, text, alternatives }]

/** By name, as Field.prerequisite has it. */
export const PREREQUISITES: ReadonlyMap<string, Prerequisite> = new Map([
  define('none', 'nothing', [[]]),
  define('vlan', 'a VLAN tag: dl_vlan or vlan_vid=0x1000/0x1000', [[{ word: K_VLAN0, value: 0x1000, mask: 0x1000 }]]),
  define('mpls', 'mpls or mplsm: dl_type=0x8847 or 0x8848', [[MPLS], [MPLSM]]),
  define('ip', 'ip: dl_type=0x0800', [[IP]]),
  define('ip-or-arp', 'ip, arp or rarp: dl_type=0x0800, 0x0806 or 0x8035', [[IP], [ARP], [RARP]]),
  define('ipv6', 'ipv6: dl_type=0x86dd', [[IPV6]]),
  define('ip-any', 'ip or ipv6: dl_type=0x0800 or 0x86dd', [[IP], [IPV6]]),
  define('ip-any-or-arp', 'ip, ipv6, arp or rarp: dl_type=0x0800, 0x86dd, 0x0806 or 0x8035', [
    [IP],
    [IPV6],
    [ARP],
    [RARP],
  ]),
  define('arp', 'arp or rarp: dl_type=0x0806 or 0x8035', [[ARP], [RARP]]),
  define('tcp', 'tcp or tcp6: dl_type=0x0800 or 0x86dd, nw_proto=6', overIp(6)),
  define('udp', 'udp or udp6: dl_type=0x0800 or 0x86dd, nw_proto=17', overIp(17)),
  define('sctp', 'sctp or sctp6: dl_type=0x0800 or 0x86dd, nw_proto=132', overIp(132)),
  define(
    'tp',
    'tcp, udp, sctp or icmp, or one of these with 6: dl_type=0x0800 or 0x86dd, nw_proto=6, 17, 132, 1 or 58',
    [...overIp(6), ...overIp(17), ...overIp(132), [IP, proto(1)], ICMP6],
  ),
  define('icmp', 'icmp: dl_type=0x0800, nw_proto=1', [[IP, proto(1)]]),
  define('icmp-any', 'icmp or icmp6: dl_type=0x0800, nw_proto=1 or dl_type=0x86dd, nw_proto=58', [
    [IP, proto(1)],
    ICMP6,
  ]),
  define('icmp6', 'icmp6: dl_type=0x86dd, nw_proto=58', [ICMP6]),
  define('nd', 'neighbour discovery: icmp6 and icmp_type=135 or 136', [
    [...ICMP6, icmpType(135)],
    [...ICMP6, icmpType(136)],
  ]),
  define('nd-solicit', 'a neighbour solicitation: icmp6 and icmp_type=135', [[...ICMP6, icmpType(135)]]),
  define('nd-advert', 'a neighbour advertisement: icmp6 and icmp_type=136', [[...ICMP6, icmpType(136)]]),
  define('nsh', 'nsh: dl_type=0x894f', [[dlType(0x894f)]]),
])

/** Words that stand alone in a rule, such as `tcp6`, and what they match. */
export const SHORTHANDS: ReadonlyMap<string, readonly Condition[]> = new Map<string, readonly Condition[]>([
  ['ip', [IP]],
  ['ipv4', [IP]],
  ['ip4', [IP]],
  ['icmp', [IP, proto(1)]],
  ['tcp', [IP, proto(6)]],
  ['udp', [IP, proto(17)]],
  ['sctp', [IP, proto(132)]],
  ['ipv6', [IPV6]],
  ['ip6', [IPV6]],
  ['icmp6', ICMP6],
  ['tcp6', [IPV6, proto(6)]],
  ['udp6', [IPV6, proto(17)]],
  ['sctp6', [IPV6, proto(132)]],
  ['arp', [ARP]],
  ['rarp', [RARP]],
  ['mpls', [MPLS]],
  ['mplsm', [MPLSM]],
])

const holds = (match: Match, { word, value, mask }: Condition): boolean =>
  (match.mask[word]! & mask) === mask && (match.key[word]! & mask) === value

/** True if the match fixes what the named prerequisite asks. An unknown name is a bug, and throws. */
export const satisfied = (match: Match, name: string): boolean => {
  const prerequisite = PREREQUISITES.get(name)
  if (prerequisite === undefined) throw new Error(`no prerequisite '${name}'`)
  return prerequisite.alternatives.some((all) => all.every((condition) => holds(match, condition)))
}

/**
 * What to tell a user whose rule lacks the field's prerequisite: "nw_src needs ip, arp or rarp: dl_type=0x0800, ...".
 */
export const describePrerequisite = (field: Field): string =>
  `${field.name} needs ${PREREQUISITES.get(field.prerequisite)?.text ?? field.prerequisite}`

/** Adds a shorthand's conditions to the match. False when `word` is not a shorthand. */
export const expandShorthand = (match: Match, word: string): boolean => {
  const conditions = SHORTHANDS.get(word)
  if (conditions === undefined) return false
  for (const condition of conditions) {
    match.key[condition.word] = (match.key[condition.word]! & ~condition.mask) | condition.value
    match.mask[condition.word] = match.mask[condition.word]! | condition.mask
  }
  return true
}
