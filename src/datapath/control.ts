/** Rare commands and events between main and the datapath worker, by message. What happens often goes by ring (records.ts). */
import type { RingMemory } from '../lib/ring.ts'
import type { Port } from '../port/contract.ts'
import type { PortFd } from '../port/tap.ts'

/** How the worker gets at a port that it polls itself. */
export type PortOpen =
  | ({ readonly type: 'tap' } & PortFd)
  | ({ readonly type: 'packet' } & PortFd)
  /** A bridge's internal port behind which is nobody: what is sent to it is a counted drop. */
  | { readonly type: 'none' }
  /** One thread only: pipeline tests. */
  | { readonly type: 'object'; readonly port: Port }

export type DatapathControl =
  | {
      readonly type: 'port-add'
      readonly seq: number
      readonly no: number
      readonly name: string
      readonly open: PortOpen
    }
  /** A representor: frames go to the link of `owner`. */
  | { readonly type: 'representor-add'; readonly seq: number; readonly no: number; readonly owner: number }
  | { readonly type: 'port-del'; readonly seq: number; readonly no: number }
  | { readonly type: 'port-up'; readonly no: number }
  | { readonly type: 'port-mtu'; readonly no: number; readonly mtu: number }
  /** Administrative state: a port that is down neither takes nor gives frames. */
  | { readonly type: 'port-admin'; readonly no: number; readonly up: boolean }
  | {
      readonly type: 'link-attach'
      readonly seq: number
      readonly owner: number
      readonly up: RingMemory
      readonly down: RingMemory
      readonly eventfd: number
    }
  /** The worker at the other end is gone: drain, take slots back, poll the representors' TAPs from then on. */
  | {
      readonly type: 'link-detach'
      readonly seq: number
      readonly owner: number
      readonly adopt: readonly { readonly no: number; readonly name: string; readonly open: PortOpen }[]
    }
  /** A representor's TAP is polled here for a while, or no more. */
  | {
      readonly type: 'adopt'
      readonly seq: number
      readonly no: number
      readonly name: string
      readonly open: PortOpen
    }
  | { readonly type: 'release'; readonly seq: number; readonly no: number }

export type DatapathEvent =
  /** Records wait in the ring of replies. */
  | { readonly type: 'bell' }
  | { readonly type: 'done'; readonly seq: number; readonly error?: string }
  | { readonly type: 'port-dead'; readonly no: number }
  | { readonly type: 'warning'; readonly text: string }
