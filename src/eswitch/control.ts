/** Commands and events between main and an eswitch worker. Rules go by ring, the rest by message. */
import type { Port } from '../port/contract.ts'
import type { PortFd } from '../port/tap.ts'

/** Ring of commands. index, then the rule (flow/program-record.ts): armed. */
export const RULE_PUT = 1
/** index, program: other actions for the rule, which stays armed or active. */
export const RULE_ACTIONS = 2
/** index */
export const RULE_DEL = 3
/** id, then the entry (flow/encap-record.ts). */
export const ENCAP_PUT = 4
/** id */
export const ENCAP_DEL = 5
/** Ring of replies. index */
export const RULE_GONE = 1

/** How the worker gets at the TAP of a VF or uplink; 'object' in one thread only (pipeline tests). */
export type EswitchPortOpen = ({ readonly type: 'tap' } & PortFd) | { readonly type: 'object'; readonly port: Port }

export type EswitchControl =
  /** The port can be written to; `watch`: and is read. */
  | {
      readonly type: 'port-add'
      readonly seq: number
      readonly no: number
      readonly name: string
      readonly open: EswitchPortOpen
      readonly mtu: number
      readonly watch: boolean
    }
  | { readonly type: 'port-watch'; readonly seq: number; readonly no: number }
  | { readonly type: 'port-del'; readonly seq: number; readonly no: number }
  | { readonly type: 'port-up'; readonly no: number }
  | { readonly type: 'port-mtu'; readonly no: number; readonly mtu: number }
  | { readonly type: 'port-admin'; readonly no: number; readonly up: boolean }

export type EswitchEvent =
  | { readonly type: 'bell' }
  | { readonly type: 'done'; readonly seq: number; readonly error?: string }
  | { readonly type: 'port-dead'; readonly no: number }
