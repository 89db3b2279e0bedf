/** Tier 1's side of the datapath interface: upcalls in, flows out, and their upkeep. One for a switch. Main thread. */
import type { Dpif } from '../datapath/contract.ts'
import type { Clock } from '../lib/clock.ts'
import { errorText } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { eventLoopScheduler, type Scheduler } from '../lib/scheduler.ts'
import type { Ofproto } from './ofproto.ts'
import { type RevalidateCounters, Revalidator } from './revalidate.ts'
import { type CachedFlow, CachedFlows } from './udpif-flows.ts'
import { type UpcallCounters, Upcalls } from './upcall.ts'

/** What `upcall/show` tells. */
export interface UdpifStatus {
  readonly flows: number
  readonly avgFlows: number
  readonly maxFlows: number
  readonly flowLimit: number
  /** Milliseconds. */
  readonly dumpDuration: number
  readonly upcalls: Readonly<UpcallCounters>
  readonly revalidation: Readonly<RevalidateCounters>
}

export interface UdpifOptions {
  readonly ofproto: Ofproto
  readonly dpif: Dpif
  readonly clock: Clock
  readonly scheduler?: Scheduler
  /** Told of defects that would otherwise only show as counters. */
  readonly log?: Log
}

export class Udpif {
  readonly revalidator: Revalidator
  readonly #dpif: Dpif
  readonly #flows: CachedFlows
  readonly #upcalls: Upcalls

  constructor({ ofproto, dpif, clock, scheduler = eventLoopScheduler, log }: UdpifOptions) {
    const onError = (error: unknown): void => log?.warnLimited('translation failed', { error: errorText(error) })
    this.#dpif = dpif
    this.#flows = new CachedFlows(dpif, ofproto.tunnels)
    this.#upcalls = new Upcalls(ofproto, dpif, clock, this.#flows, onError)
    this.revalidator = new Revalidator(ofproto, dpif, clock, this.#flows, scheduler, onError)
    ofproto.onChange(() => this.revalidator.request())
  }

  /** From now on upcalls are answered and flows looked after. */
  start(): void {
    this.#dpif.onUpcall((slot) => this.#upcalls.handle(slot))
    this.revalidator.start()
  }

  stop(): void {
    this.revalidator.stop()
  }

  /**
   * Puts the flow for packets with this key (K_IN_PORT a datapath port) before one has come. It goes as others do, when it has been idle. False: no bridge owns the port.
   */
  preinstall(key: Int32Array): boolean {
    return this.#upcalls.install(key, false) !== null
  }

  /** Takes all flows out (`revalidator/purge`); traffic brings back those it needs. */
  purge(): void {
    for (const flow of [...this.#flows.values()]) this.#flows.remove(flow)
  }

  /** Resolves when every flow has been looked at, from now on. */
  settled(): Promise<void> {
    return this.revalidator.settled()
  }

  flow(id: number): CachedFlow | undefined {
    return this.#flows.get(id)
  }

  flows(): Iterable<CachedFlow> {
    return this.#flows.values()
  }

  status(): UdpifStatus {
    const { avgFlows, maxFlows, counters } = this.revalidator
    return {
      flows: this.#flows.size,
      avgFlows,
      maxFlows: Math.max(maxFlows, this.#flows.size),
      flowLimit: this.#dpif.flowLimit,
      dumpDuration: counters.dumpDuration,
      upcalls: this.#upcalls.counters,
      revalidation: counters,
    }
  }
}
