/**
 * Makes ofproto's bridges what a plan says: adds, removes, reconfigures. What does not differ from what is there is not touched. What is there is
 * noted step by step, so that a step that fails leaves nothing unknown behind, and the next attempt goes on from it. Main thread.
 */

import { isDeepStrictEqual } from 'node:util'
import type { FlowSpec } from '../flow/ofp.ts'
import { parseFlow } from '../flow/ofp-text.ts'
import type { Bridge } from '../ofproto/bridge.ts'
import type { Ofproto } from '../ofproto/ofproto.ts'
import { type BridgePlan, type BridgePortPlan, samePlan } from './plan.ts'

/** Datapath port number of an open port; undefined for one that is not open. */
export type DpPortOf = (name: string) => number | undefined

/** What a pass did, and what it could not do, in words for the user. */
export interface Outcome {
  readonly changes: string[]
  readonly failures: string[]
}

/** A bridge as it is. */
interface Made {
  options: BridgePlan['options']
  readonly ports: Map<string, BridgePortPlan>
  /** OpenFlow numbers of ports that were here: one that comes back gets its own again. */
  readonly numbers: Map<string, number>
  /** Of the file; those added at run time are nobody's business here. */
  rules: readonly FlowSpec[]
  /** False when not all of them are in place. */
  complete: boolean
}

const NORMAL = ['table=0,priority=0,actions=NORMAL']

const parseRules = (bridge: Bridge, rules: readonly string[]): FlowSpec[] =>
  rules.map((text, i) => {
    try {
      return parseFlow(text, { portByName: (name) => bridge.portByName(name)?.no })
    } catch (error) {
      throw new Error(`flows[${i}] "${text}": ${(error as Error).message}`, { cause: error })
    }
  })

export class BridgeSet {
  readonly #ofproto: Ofproto
  readonly #dpPortOf: DpPortOf
  readonly #made = new Map<string, Made>()

  constructor(ofproto: Ofproto, dpPortOf: DpPortOf) {
    this.#ofproto = ofproto
    this.#dpPortOf = dpPortOf
  }

  /** Takes bridges and bridge ports out that the new plans do not have, or have otherwise. To be called before ports are closed. */
  removeOutdated(plans: readonly BridgePlan[], closing: ReadonlySet<string>): string[] {
    const changes: string[] = []
    const wanted = new Map(plans.map((plan) => [plan.name, plan]))
    for (const [name, made] of this.#made) {
      const next = wanted.get(name)
      if (next === undefined) {
        this.#ofproto.deleteBridge(name)
        this.#made.delete(name)
        changes.push(`bridge ${name} removed`)
        continue
      }
      for (const port of made.ports.values()) {
        const stays = next.ports.find((p) => p.name === port.name)
        const same =
          stays !== undefined &&
          stays.ofport === port.ofport &&
          (stays.peer === undefined) === (port.peer === undefined) &&
          (stays.tunnel === undefined) === (port.tunnel === undefined)
        if (same && !closing.has(port.name)) continue
        this.#ofproto.bridge(name)!.deletePort(port.name)
        made.ports.delete(port.name)
        if (!stays) changes.push(`bridge ${name}: port ${port.name} removed`)
      }
    }
    return changes
  }

  /** Adds what is new and reconfigures what is different. Goes on behind a step that fails: the others do not depend on it. */
  apply(plans: readonly BridgePlan[]): Outcome {
    const outcome: Outcome = { changes: [], failures: [] }
    for (const plan of plans) {
      const attempt = (step: () => string | undefined): void => {
        try {
          const change = step()
          if (change !== undefined) outcome.changes.push(change)
        } catch (error) {
          outcome.failures.push(`bridge ${plan.name}: ${(error as Error).message}`)
        }
      }
      const isNew = !this.#made.has(plan.name)
      attempt(() => this.#bridge(plan))
      const bridge = this.#ofproto.bridge(plan.name)
      const made = this.#made.get(plan.name)
      if (bridge === undefined || made === undefined) continue
      for (const port of plan.ports) attempt(() => this.#port(bridge, made, port, isNew))
      attempt(() => this.#rules(bridge, made, plan.flows ?? NORMAL, isNew))
    }
    return outcome
  }

  #bridge(plan: BridgePlan): string | undefined {
    const made = this.#made.get(plan.name)
    if (made === undefined) {
      this.#ofproto.addBridge(plan.name, { normal: false, ...plan.options })
      this.#made.set(plan.name, {
        options: plan.options,
        ports: new Map(),
        numbers: new Map(),
        rules: [],
        complete: false,
      })
      return `bridge ${plan.name} added`
    }
    if (samePlan(made.options, plan.options)) return undefined
    this.#ofproto.bridge(plan.name)!.configure(plan.options)
    made.options = plan.options
    return `bridge ${plan.name}: options changed`
  }

  #port(bridge: Bridge, made: Made, port: BridgePortPlan, isNew: boolean): string | undefined {
    const { name } = port
    const old = made.ports.get(name)
    if (old === undefined) {
      const own = port.peer === undefined && port.tunnel === undefined
      const dpPort = own ? this.#dpPortOf(name) : -1
      // Not open: that failure has been told.
      if (dpPort === undefined) return undefined
      const ofport = port.ofport ?? made.numbers.get(name)
      const spec = ofport === undefined ? port : { ...port, ofport }
      const { no } = bridge.addPort(own ? { ...spec, dpPort } : spec)
      made.ports.set(name, port)
      made.numbers.set(name, no)
      return isNew ? undefined : `bridge ${bridge.name}: port ${name} added`
    }
    if (samePlan(old, port)) return undefined
    bridge.reconfigurePort(name, port)
    made.ports.set(name, port)
    return `bridge ${bridge.name}: port ${name} reconfigured`
  }

  /** Rules of the file are replaced as a set; those added at run time stay. */
  #rules(bridge: Bridge, made: Made, flows: readonly string[], isNew: boolean): string | undefined {
    const rules = parseRules(bridge, flows)
    if (made.complete && isDeepStrictEqual(made.rules, rules)) return undefined
    made.complete = false
    const old = made.rules
    made.rules = rules
    for (const spec of old) bridge.tables.delete({ ...spec, cookie: 0n, cookieMask: 0n }, true)
    for (const [i, spec] of rules.entries()) {
      try {
        bridge.tables.add(spec)
      } catch (error) {
        throw new Error(`flows[${i}] "${flows[i]}": ${(error as Error).message}`, { cause: error })
      }
    }
    made.complete = true
    return isNew ? undefined : `bridge ${bridge.name}: flows changed`
  }
}
