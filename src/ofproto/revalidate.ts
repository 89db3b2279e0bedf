/**
 * Revalidation: keeps the datapath's flows true to tier 1's rules, and collects their statistics. A pass looks at every flow, in slices that are
 * short enough for the main thread to do other things in between. A flow is translated again only if something changed since it was last; a change during a pass
 * makes a further pass. Main thread.
 */
import type { Dpif } from '../datapath/contract.ts'
import { K_DP_WORDS } from '../flow/key.ts'
import type { Clock } from '../lib/clock.ts'
import type { Scheduler } from '../lib/scheduler.ts'
import { decide } from './decide.ts'
import type { Ofproto } from './ofproto.ts'
import type { CachedFlow, CachedFlows } from './udpif-flows.ts'

/** Milliseconds of main-thread time that a slice may take, and work between looks at the clock: a flow of which only the counters are looked at is 1, any other CHANGE. */
export const SLICE_MS = 2
const WORK_PER_LOOK = 64
const CHANGE = 16
/** Milliseconds between passes when nothing changes. */
export const PASS_INTERVAL = 500
/** Milliseconds between the end of a pass and the next, at least: addresses that are learned one by one must not fill the thread. */
const MIN_PAUSE = 5
export const DEFAULT_MAX_IDLE = 10_000
/** With more flows than the limit allows, idle ones go much sooner. */
const PRESSED_IDLE = 100

export interface RevalidateCounters {
  passes: number
  slices: number
  /** Longest slice, milliseconds. */
  longestSlice: number
  /** Milliseconds from the start to the end of the last pass. */
  dumpDuration: number
  translated: number
  modified: number
  /** Flows taken out: idle, not wanted any more, their port gone. */
  idle: number
  deleted: number
}

export class Revalidator {
  /** Milliseconds; other_config:max-idle. */
  maxIdle = DEFAULT_MAX_IDLE
  readonly counters: RevalidateCounters = {
    passes: 0,
    slices: 0,
    longestSlice: 0,
    dumpDuration: 0,
    translated: 0,
    modified: 0,
    idle: 0,
    deleted: 0,
  }
  avgFlows = 0
  maxFlows = 0
  readonly #ofproto: Ofproto
  readonly #dpif: Dpif
  readonly #clock: Clock
  readonly #flows: CachedFlows
  readonly #scheduler: Scheduler
  readonly #onError: (error: unknown) => void
  /** While a pass is under way: the id from which it goes on. -1: none is. */
  #at = -1
  #version = -1
  #tunnelsAsOf = -1
  #startedAt = 0
  #endedAt = Number.NEGATIVE_INFINITY
  #cancel: (() => void) | null = null
  #waiting: (() => void)[] = []
  #waitingForThisPass: (() => void)[] = []
  #wanted = false
  #running = false

  constructor(
    ofproto: Ofproto,
    dpif: Dpif,
    clock: Clock,
    flows: CachedFlows,
    scheduler: Scheduler,
    onError: (error: unknown) => void,
  ) {
    this.#onError = onError
    this.#ofproto = ofproto
    this.#dpif = dpif
    this.#clock = clock
    this.#flows = flows
    this.#scheduler = scheduler
  }

  start(): void {
    if (this.#running) return
    this.#running = true
    this.#plan(PASS_INTERVAL)
  }

  stop(): void {
    this.#running = false
    this.#at = -1
    this.#cancel?.()
    this.#cancel = null
    this.#settle()
  }

  /** Something changed: a pass begins as soon as the pause after the last one is over. */
  request(): void {
    if (!this.#running || this.#wanted) return
    this.#wanted = true
    if (this.#at < 0) {
      const pause = Math.max(MIN_PAUSE, this.counters.dumpDuration)
      this.#plan(Math.max(0, this.#endedAt + pause - this.#scheduler.elapsed()))
    }
  }

  /** Resolves when a pass that began after this call has ended. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.#wanted = false
      this.request()
      if (!this.#running) this.#settle()
    })
  }

  #plan(ms: number): void {
    this.#cancel?.()
    this.#cancel = this.#scheduler.after(ms, () => {
      this.#cancel = null
      this.#begin()
    })
  }

  #begin(): void {
    this.#wanted = false
    this.#waitingForThisPass = this.#waiting
    this.#waiting = []
    this.#version = this.#ofproto.version
    this.#startedAt = this.#scheduler.elapsed()
    this.#revalidateTunnels()
    this.#at = 0
    this.#slice()
  }

  /** First: flows of tunnels name entries, which then follow from the rules as they now are. */
  #revalidateTunnels(): void {
    if (this.#tunnelsAsOf === this.#version) return
    this.#tunnelsAsOf = this.#version
    try {
      this.#ofproto.tunnels.layer?.revalidate()
    } catch (error) {
      this.#onError(error)
    }
  }

  #slice(): void {
    if (this.#at < 0) return
    const start = this.#scheduler.elapsed()
    this.counters.slices++
    let now = this.#clock.now()
    for (let work = 0; ; ) {
      const flow = this.#flows.from(this.#at)
      if (flow === undefined) {
        this.#measure(start)
        this.#end()
        return
      }
      this.#at = flow.id + 1
      work += this.#guard(flow, now)
      if (work < WORK_PER_LOOK) continue
      if (this.#scheduler.elapsed() - start >= SLICE_MS) break
      now = this.#clock.now()
      work = 0
    }
    this.#measure(start)
    this.#scheduler.soon(() => this.#slice())
  }

  #measure(start: number): void {
    this.counters.longestSlice = Math.max(this.counters.longestSlice, this.#scheduler.elapsed() - start)
  }

  #end(): void {
    this.#at = -1
    // Only now: what their packets did to timeouts has been credited.
    for (const bridge of this.#ofproto.bridges()) {
      bridge.macs.expire()
      bridge.tables.expire()
    }
    this.counters.passes++
    this.#endedAt = this.#scheduler.elapsed()
    this.counters.dumpDuration = this.#endedAt - this.#startedAt
    const flows = this.#flows.size
    this.avgFlows = Math.round((this.avgFlows + flows) / 2)
    this.maxFlows = Math.max(this.maxFlows, flows)
    for (const resolve of this.#waitingForThisPass.splice(0)) resolve()
    if (!this.#running) return
    const again = this.#wanted || this.#waiting.length > 0 || this.#ofproto.version !== this.#version
    this.#wanted = again
    this.#plan(again ? Math.max(MIN_PAUSE, this.counters.dumpDuration) : PASS_INTERVAL)
  }

  #settle(): void {
    for (const resolve of this.#waitingForThisPass.splice(0)) resolve()
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** A flow that cannot be looked after is better gone: its packets come up again. The pass goes on. Returns how much work it was. */
  #guard(flow: CachedFlow, now: number): number {
    try {
      return this.#visit(flow, now)
    } catch (error) {
      this.#onError(error)
      if (this.#flows.has(flow)) this.#delete(flow)
      return CHANGE
    }
  }

  #visit(flow: CachedFlow, now: number): number {
    const packets = this.#flows.collect(flow)
    const pressed = this.#flows.size > this.#dpif.flowLimit && !flow.preinstalled
    if (flow.used + (pressed ? PRESSED_IDLE : this.maxIdle) <= now || (flow.expires !== 0 && flow.expires <= now)) {
      this.counters.idle++
      this.#flows.remove(flow)
    } else if (flow.version !== this.#ofproto.version) this.#retranslate(flow, packets > 0)
    else return 1
    return CHANGE
  }

  #retranslate(flow: CachedFlow, learn: boolean): void {
    const { key, mask } = flow.match
    const version = this.#ofproto.version
    // A flow for a port that nobody owned.
    if (flow.expires !== 0) {
      if (this.#ofproto.receiver(key) === undefined) flow.version = version
      else this.#delete(flow)
      return
    }
    const decision = decide(this.#ofproto, key, learn, flow.used)
    // Its port is gone, or packets must be seen one by one.
    if (decision === null || decision.handed.length > 0) {
      this.#delete(flow)
      return
    }
    this.counters.translated++
    const needed = decision.mask
    for (let i = 0; i < K_DP_WORDS; i++) {
      // The key says nothing about bits outside of its mask, so nothing can be said about this flow now.
      if ((needed[i]! & ~mask[i]!) !== 0) {
        this.#delete(flow)
        return
      }
    }
    if (this.#flows.update(flow, decision.actions, decision.effects, version)) this.counters.modified++
  }

  #delete(flow: CachedFlow): void {
    this.counters.deleted++
    this.#flows.remove(flow)
  }
}
