/**
 * One translation: the input, the output so far, the limits, and where in the pipeline it is. The action families (the other files of this folder) are functions over it.
 *
 * `base` is the packet as the datapath's actions so far have made it, `flow` as the rules' actions want it. Differences are committed as datapath actions only before
 * an output (commit.ts). `wc` gathers every bit that was looked at.
 */
import { createKey } from '../../flow/key.ts'
import type { OdpAction } from '../../flow/odp.ts'
import type { OfpAction } from '../../flow/ofp.ts'
import type { Bridge } from '../bridge.ts'
import type { Port } from '../port.ts'
import type { Rule } from '../rule.ts'
import type { SideEffect } from './effects.ts'
import { type DropReason, Limits } from './limits.ts'
import type { Reporter } from './report.ts'

export interface XlateInput {
  /** The packet's key, K_IN_PORT a datapath port number; not written. */
  readonly key: Int32Array
  readonly inPort: Port
  /** Learn addresses on the way (a real packet came), as seen at `used` clock milliseconds. */
  readonly learn: boolean
  readonly used: number
  readonly reporter: Reporter | null
  /** Instead of a look-up in table 0 (packet-out). */
  readonly actions?: readonly OfpAction[]
  /** The packet is a tunnel's outer one: it must not enter a tunnel. */
  readonly underlay?: boolean
  /** Where the result's `wc` and `flow` are to lie, until the next translation in it. Absent: they are the caller's to keep. */
  readonly memory?: XlateMemory
}

/** The keys that one translation writes. Two at a time need two of them. */
export class XlateMemory {
  readonly flow = createKey()
  readonly base = createKey()
  readonly wc = createKey()
}

/** What a translation answers. */
export interface XlateResult {
  readonly actions: readonly OdpAction[]
  /** All that was looked at of the packet, in tier 1's terms; `datapathMask` makes a flow's mask of it. */
  readonly wc: Int32Array
  readonly effects: readonly SideEffect[]
  /** Why the actions are a drop with a reason, else null. */
  readonly error: DropReason | null
  /** The packet's key at the end of the pipeline (in_port is an OpenFlow port). */
  readonly flow: Int32Array
  /** Datapath ports without a host's stack to which the packet itself is to be handed: no flow can do that. */
  readonly handed: readonly number[]
}

export type RunActions = (x: Xlate, actions: readonly OfpAction[]) => void

export class Xlate {
  readonly input: XlateInput
  reporter: Reporter | null
  readonly limits = new Limits()
  /** The families call each other through this one, so that they need not import each other. */
  readonly run: RunActions

  readonly flow: Int32Array
  readonly base: Int32Array
  readonly wc: Int32Array

  bridge: Bridge
  table = 0
  rule: Rule | null = null
  actionSet: OfpAction[] = []
  /** After pop_mpls: what lies below the labels is not known. */
  wasMpls = false
  /** Ends the translation; its actions are dropped. */
  error: DropReason | null = null

  actions: OdpAction[] = []
  readonly effects: SideEffect[] = []
  readonly handed: number[] = []
  /** Shown instead of an empty list of actions. */
  emptyReason: DropReason | null = null

  constructor(input: XlateInput, run: RunActions) {
    this.input = input
    this.reporter = input.reporter
    this.run = run
    const { flow, base, wc } = input.memory ?? new XlateMemory()
    flow.set(input.key)
    base.set(input.key)
    if (input.memory !== undefined) wc.fill(0)
    this.flow = flow
    this.base = base
    this.wc = wc
    this.bridge = input.inPort.bridge
  }

  /** Un-wildcards bits of a word. */
  look(word: number, mask: number): void {
    this.wc[word] = this.wc[word]! | mask
  }

  fail(reason: DropReason, text: string): void {
    this.reporter?.error(text)
    this.error = reason
  }
}
