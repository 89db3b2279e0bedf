/** Makes ofproto's bridges what a plan says: adds, removes, reconfigures. What does not differ from the plan before is not touched. Main thread. */

import type { FlowSpec } from '../flow/ofp.ts'
import { parseFlow } from '../flow/ofp-text.ts'
import type { Bridge } from '../ofproto/bridge.ts'
import type { Ofproto } from '../ofproto/ofproto.ts'
import { type BridgePlan, type BridgePortPlan, samePlan } from './plan.ts'

/** Datapath port number of an open port, -1 for a patch port. Throws for a port that is not open. */
export type DpPortOf = (name: string) => number

const parseRules = (bridge: Bridge, rules: readonly string[]): FlowSpec[] =>
  rules.map((text, i) => {
    try {
      return parseFlow(text, { portByName: (name) => bridge.portByName(name)?.no })
    } catch (error) {
      throw new Error(`bridge ${bridge.name}: flows[${i}] "${text}": ${(error as Error).message}`, { cause: error })
    }
  })

const NORMAL = ['table=0,priority=0,actions=NORMAL']

export class BridgeSet {
  readonly #ofproto: Ofproto
  readonly #dpPortOf: DpPortOf
  #plans = new Map<string, BridgePlan>()

  constructor(ofproto: Ofproto, dpPortOf: DpPortOf) {
    this.#ofproto = ofproto
    this.#dpPortOf = dpPortOf
  }

  /** Takes bridges and bridge ports out that the new plans do not have, or have otherwise. To be called before ports are closed. */
  removeOutdated(plans: readonly BridgePlan[], closing: ReadonlySet<string>): string[] {
    const changes: string[] = []
    const wanted = new Map(plans.map((plan) => [plan.name, plan]))
    for (const [name, plan] of this.#plans) {
      const next = wanted.get(name)
      if (next === undefined) {
        this.#ofproto.deleteBridge(name)
        this.#plans.delete(name)
        changes.push(`bridge ${name} removed`)
        continue
      }
      const bridge = this.#ofproto.bridge(name)!
      for (const port of plan.ports) {
        const stays = next.ports.find((p) => p.name === port.name)
        const same =
          stays !== undefined &&
          stays.ofport === port.ofport &&
          (stays.peer === undefined) === (port.peer === undefined)
        if (same && !closing.has(port.name)) continue
        if (bridge.portByName(port.name)) bridge.deletePort(port.name)
        if (!stays) changes.push(`bridge ${name}: port ${port.name} removed`)
      }
    }
    return changes
  }

  /** Adds what is new and reconfigures what is different. Throws an Error that names bridge and port, or rule. */
  apply(plans: readonly BridgePlan[]): string[] {
    const changes: string[] = []
    for (const plan of plans) {
      const before = this.#plans.get(plan.name)
      const bridge =
        this.#ofproto.bridge(plan.name) ?? this.#ofproto.addBridge(plan.name, { normal: false, ...plan.options })
      if (before === undefined) changes.push(`bridge ${plan.name} added`)
      else if (!samePlan(before.options, plan.options)) {
        bridge.configure(plan.options)
        changes.push(`bridge ${plan.name}: options changed`)
      }
      for (const port of plan.ports) changes.push(...this.#port(bridge, port, before))
      if (before === undefined || !samePlan(before.flows ?? NORMAL, plan.flows ?? NORMAL)) {
        this.#rules(bridge, before, plan)
        if (before !== undefined) changes.push(`bridge ${plan.name}: flows changed`)
      }
      this.#plans.set(plan.name, plan)
    }
    return changes
  }

  #port(bridge: Bridge, port: BridgePortPlan, before: BridgePlan | undefined): string[] {
    const old = before?.ports.find((p) => p.name === port.name)
    if (bridge.portByName(port.name) === undefined) {
      bridge.addPort(port.peer === undefined ? { ...port, dpPort: this.#dpPortOf(port.name) } : port)
      return before === undefined ? [] : [`bridge ${bridge.name}: port ${port.name} added`]
    }
    if (old === undefined || samePlan(old, port)) return []
    bridge.reconfigurePort(port.name, port)
    return [`bridge ${bridge.name}: port ${port.name} reconfigured`]
  }

  /** Rules of the file are replaced as a set; those added at run time stay. */
  #rules(bridge: Bridge, before: BridgePlan | undefined, plan: BridgePlan): void {
    const added = parseRules(bridge, plan.flows ?? NORMAL)
    const removed = before === undefined ? [] : parseRules(bridge, before.flows ?? NORMAL)
    for (const spec of removed) bridge.tables.delete({ ...spec, cookie: 0n, cookieMask: 0n }, true)
    for (const [i, spec] of added.entries()) {
      try {
        bridge.tables.add(spec)
      } catch (error) {
        throw new Error(
          `bridge ${bridge.name}: flows[${i}] "${plan.flows?.[i] ?? NORMAL[i]}": ${(error as Error).message}`,
          {
            cause: error,
          },
        )
      }
    }
  }
}
