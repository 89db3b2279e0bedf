/**
 * OpenFlow's view: reserved ports, actions, rules. What bridges are programmed with; tier 1 translates them to datapath actions (odp.ts).
 * Names and semantics as in ovs-actions(7). Text syntax: ofp-text.ts.
 */
import type { Field } from './fields.ts'
import type { Match } from './key.ts'

export const OFPP_MAX = 0xff00
export const OFPP_IN_PORT = 0xfff8
export const OFPP_TABLE = 0xfff9
export const OFPP_NORMAL = 0xfffa
export const OFPP_FLOOD = 0xfffb
export const OFPP_ALL = 0xfffc
export const OFPP_CONTROLLER = 0xfffd
export const OFPP_LOCAL = 0xfffe
export const OFPP_NONE = 0xffff

/** `field[start..start + bits - 1]`, bit 0 the least significant. */
export interface Subfield {
  readonly field: Field
  readonly start: number
  readonly bits: number
}

export type OfpAction =
  /** A port number, or one of OFPP_IN_PORT, NORMAL, FLOOD, ALL, LOCAL, CONTROLLER (counted drop until there are controllers), TABLE. */
  | { readonly type: 'output'; readonly port: number; readonly maxLen?: number }
  /** Port number taken from a field. */
  | { readonly type: 'output_reg'; readonly src: Subfield }
  | { readonly type: 'push_vlan'; readonly ethertype: number }
  | { readonly type: 'strip_vlan' }
  /** mod_vlan_vid / mod_vlan_pcp: push an 802.1Q tag if there is none. */
  | { readonly type: 'mod_vlan_vid'; readonly vid: number }
  | { readonly type: 'mod_vlan_pcp'; readonly pcp: number }
  | { readonly type: 'push_mpls'; readonly ethertype: number }
  | { readonly type: 'pop_mpls'; readonly ethertype: number }
  /** mod_dl_src, mod_nw_dst, mod_tp_src, ...: `name` keeps the spelling. */
  | { readonly type: 'mod'; readonly name: string; readonly field: Field; readonly value: bigint }
  | { readonly type: 'set_field'; readonly field: Field; readonly value: bigint; readonly mask: bigint }
  | { readonly type: 'load'; readonly dst: Subfield; readonly value: bigint }
  | { readonly type: 'move'; readonly src: Subfield; readonly dst: Subfield }
  | { readonly type: 'dec_ttl' }
  /** `port` OFPP_IN_PORT keeps in_port; `table` 255 means the current one. */
  | { readonly type: 'resubmit'; readonly port: number; readonly table: number }
  | { readonly type: 'clone'; readonly actions: readonly OfpAction[] }
  | { readonly type: 'set_queue'; readonly queue: number }
  | { readonly type: 'pop_queue' }
  | { readonly type: 'note'; readonly data: Uint8Array }
  /** Instructions, in OpenFlow's order after the apply-actions above. */
  | { readonly type: 'clear_actions' }
  | { readonly type: 'write_actions'; readonly actions: readonly OfpAction[] }
  | { readonly type: 'write_metadata'; readonly value: bigint; readonly mask: bigint }
  | { readonly type: 'goto_table'; readonly table: number }

/** A rule as written by the user, before it lives in a table. */
export interface FlowSpec {
  /** 0..254, or 255 for "all tables" in deletions and dumps. */
  readonly table: number
  /** 0..65535. */
  readonly priority: number
  readonly cookie: bigint
  /** For modifications and deletions: only rules with `(rule.cookie & cookieMask) === cookie`. 0n matches all. */
  readonly cookieMask: bigint
  /** Seconds; 0: never. */
  readonly idleTimeout: number
  readonly hardTimeout: number
  readonly checkOverlap: boolean
  /** Statistics start at zero on a modification. */
  readonly resetCounts: boolean
  readonly match: Match
  /** Empty: drop. */
  readonly actions: readonly OfpAction[]
  /** Restricts deletions and dumps to rules that output there; OFPP_NONE: no restriction. */
  readonly outPort: number
}
