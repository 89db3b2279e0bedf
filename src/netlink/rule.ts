/** Policy rules: RTM_NEWRULE and its family (ip-rule(8)), IPv4 and IPv6. */
import { attributes, type NetlinkMessage } from './codec.ts'
import { AF_INET, AF_INET6 } from './route.ts'

export const RTM_NEWRULE = 32
export const RTM_DELRULE = 33
export const RTM_GETRULE = 34
export const RTNLGRP_IPV4_RULE = 8
export const RTNLGRP_IPV6_RULE = 19

const HEADER_LEN = 12
const FIB_RULE_INVERT = 2
const FRA_DST = 1
const FRA_SRC = 2
const FRA_IIFNAME = 3
const FRA_GOTO = 4
const FRA_PRIORITY = 6
const FRA_FWMARK = 10
const FRA_TUN_ID = 12
const FRA_SUPPRESS_PREFIXLEN = 14
const FRA_TABLE = 15
const FRA_FWMASK = 16
const FRA_OIFNAME = 17
const FRA_L3MDEV = 19
const FRA_UID_RANGE = 20
const FRA_IP_PROTO = 22
const FRA_SPORT_RANGE = 23
const FRA_DPORT_RANGE = 24
const FRA_DSCP = 25
const FRA_DSCP_MASK = 30
/** Of what IPv4 rules and routes with a TOS look at: the three lower bits of DSCP, in their place in the byte. */
export const IPV4_TOS_MASK = 0x1c
/** DSCP in its place in the byte. */
export const DSCP_MASK = 0xfc

const ACTIONS: ReadonlyMap<number, RuleAction> = new Map([
  [1, 'table'],
  [2, 'goto'],
  [3, 'nop'],
  [6, 'blackhole'],
  [7, 'unreachable'],
  [8, 'prohibit'],
])

export type RuleAction = 'table' | 'goto' | 'nop' | 'blackhole' | 'unreachable' | 'prohibit'

export interface RulePrefix {
  readonly bytes: Uint8Array
  readonly length: number
}

export interface Range {
  readonly from: number
  readonly to: number
}

export interface Rule {
  readonly version: 4 | 6
  readonly priority: number
  readonly from?: RulePrefix
  readonly to?: RulePrefix
  /** Names: a rule may wait for its link. */
  readonly iif?: string
  readonly oif?: string
  readonly mark: number
  readonly mask: number
  /** What the TOS byte must be under `tosMask`; absent: anything. */
  readonly tos?: number
  readonly tosMask: number
  readonly ipProto?: number
  readonly sport?: Range
  readonly dport?: Range
  readonly uid?: Range
  readonly invert: boolean
  /** Selects by what no packet of ours has (a VRF, a tunnel key, something newer than us): never matches. */
  readonly foreign: boolean
  readonly action: RuleAction
  readonly table: number
  /** Priority of the target of a goto. */
  readonly target: number
  /** A result whose prefix is no longer than this is not taken; -1: no limit. */
  readonly suppressLength: number
}

export const isRuleMessage = (message: NetlinkMessage): boolean =>
  (message.type === RTM_NEWRULE || message.type === RTM_DELRULE) &&
  (message.data[0] === AF_INET || message.data[0] === AF_INET6)

const name = (data: Buffer): string => data.toString('utf8').replace(/\0.*$/s, '')
const ports = (data: Buffer): Range => ({ from: data.readUInt16LE(0), to: data.readUInt16LE(2) })
const prefix = (data: Buffer, length: number): RulePrefix => ({ bytes: Uint8Array.from(data), length })

/** The rule of a RTM_NEWRULE or RTM_DELRULE. Throws on what is none. */
export const parseRule = (message: NetlinkMessage): Rule => {
  const { data } = message
  const version = data[0] === AF_INET ? 4 : data[0] === AF_INET6 ? 6 : undefined
  if (data.length < HEADER_LEN || version === undefined) throw new Error('a rule of IPv4 or IPv6 expected')
  const action = ACTIONS.get(data[7]!) ?? 'nop'
  const rule: { -readonly [K in keyof Rule]: Rule[K] } = {
    version,
    priority: 0,
    mark: 0,
    mask: 0,
    ...(data[3] ? { tos: data[3] & DSCP_MASK } : {}),
    tosMask: version === 4 ? IPV4_TOS_MASK : DSCP_MASK,
    invert: (data.readUInt32LE(8) & FIB_RULE_INVERT) !== 0,
    foreign: false,
    action,
    table: data[4]!,
    target: 0,
    suppressLength: -1,
  }
  let dscpMask: number | undefined
  for (const { type, data: value } of attributes(data.subarray(HEADER_LEN))) {
    switch (type) {
      case FRA_DST:
        rule.to = prefix(value, data[1]!)
        break
      case FRA_SRC:
        rule.from = prefix(value, data[2]!)
        break
      case FRA_IIFNAME:
        rule.iif = name(value)
        break
      case FRA_OIFNAME:
        rule.oif = name(value)
        break
      case FRA_GOTO:
        rule.target = value.readUInt32LE(0)
        break
      case FRA_PRIORITY:
        rule.priority = value.readUInt32LE(0)
        break
      case FRA_FWMARK:
        rule.mark = value.readUInt32LE(0)
        break
      case FRA_FWMASK:
        rule.mask = value.readUInt32LE(0)
        break
      case FRA_TABLE:
        rule.table = value.readUInt32LE(0)
        break
      case FRA_SUPPRESS_PREFIXLEN:
        rule.suppressLength = value.readInt32LE(0)
        break
      case FRA_UID_RANGE:
        rule.uid = { from: value.readUInt32LE(0), to: value.readUInt32LE(4) }
        break
      case FRA_IP_PROTO:
        rule.ipProto = value[0] ?? 0
        break
      case FRA_SPORT_RANGE:
        rule.sport = ports(value)
        break
      case FRA_DPORT_RANGE:
        rule.dport = ports(value)
        break
      case FRA_DSCP:
        rule.tos = (value[0] ?? 0) << 2
        dscpMask ??= DSCP_MASK
        break
      case FRA_DSCP_MASK:
        dscpMask = (value[0] ?? 0) << 2
        break
      case FRA_TUN_ID:
        rule.foreign ||= value.some((byte) => byte !== 0)
        break
      case FRA_L3MDEV:
        rule.foreign ||= value[0] === 1
        break
      default:
        // Masks of ports, flow labels and whatever comes: better not matched than matched too widely.
        rule.foreign ||= type > FRA_DSCP
    }
  }
  if (dscpMask !== undefined) rule.tosMask = dscpMask
  return rule
}

export const ruleDumpPayload = (version: 4 | 6): Buffer => {
  const out = Buffer.alloc(HEADER_LEN)
  out[0] = version === 4 ? AF_INET : AF_INET6
  return out
}
