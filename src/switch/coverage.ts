/** The counters behind `coverage/show`: what the tiers count in their own arrays and objects, under one roof. Main thread. */
import type { DatapathClient } from '../datapath/client.ts'
import type { DpifCounters } from '../datapath/contract.ts'
import type { Counters } from '../lib/counters.ts'
import type { Udpif } from '../ofproto/udpif.ts'
import { PORT_STAT_WORDS, PS_DROPS } from '../port/contract.ts'
import { DROP_REASONS, DROP_WORDS } from '../port/drop.ts'

const DATAPATH: readonly (readonly [string, keyof DpifCounters])[] = [
  ['datapath_frames', 'frames'],
  ['datapath_cache_hit', 'cacheHits'],
  ['datapath_flow_hit', 'flowHits'],
  ['datapath_miss', 'misses'],
  ['datapath_upcall', 'upcalls'],
]

/** Drops by reason, over all ports that there have been and all threads. Never goes back, also when a thread is gone for good. */
export class DropTotals {
  readonly #threads: () => Iterable<Float64Array>
  readonly #ports: () => number
  readonly #retired = new Float64Array(DROP_WORDS)

  /** `threads`: the port statistics of each that there is; `ports`: the highest port number so far. */
  constructor(threads: () => Iterable<Float64Array>, ports: () => number) {
    this.#threads = threads
    this.#ports = ports
  }

  /** Keeps what a thread has counted; to be called before `threads` leaves it out. */
  retire(stats: Float64Array): void {
    for (let i = 0; i < DROP_WORDS; i++) this.#retired[i] = this.#retired[i]! + this.#sum(stats, i)
  }

  /** `reason`: from dropIndex. */
  total(reason: number): number {
    let sum = this.#retired[reason]!
    for (const stats of this.#threads()) sum += this.#sum(stats, reason)
    return sum
  }

  #sum(stats: Float64Array, reason: number): number {
    let sum = 0
    const end = this.#ports()
    for (let no = 0; no <= end; no++) sum += stats[no * PORT_STAT_WORDS + PS_DROPS + reason]!
    return sum
  }
}

export const registerCoverage = (
  coverage: Counters,
  datapath: DatapathClient,
  udpif: Udpif,
  drops: DropTotals,
): void => {
  const scratch: DpifCounters = {
    frames: 0,
    cacheHits: 0,
    flowHits: 0,
    misses: 0,
    upcalls: 0,
    masks: 0,
    maskHits: 0,
    flows: 0,
  }
  for (const [name, of] of DATAPATH)
    coverage.source(name, () => {
      datapath.counters(scratch)
      return scratch[of]
    })
  const { upcalls, revalidation } = udpif.status()
  for (const name of Object.keys(upcalls) as (keyof typeof upcalls)[]) {
    if (name !== 'upcalls') coverage.source(`upcall_${name}`, () => udpif.status().upcalls[name])
  }
  for (const name of ['passes', 'translated', 'modified', 'idle', 'deleted'] as const)
    if (name in revalidation) coverage.source(`revalidate_${name}`, () => udpif.status().revalidation[name])
  DROP_REASONS.forEach((reason, i) => {
    coverage.source(`drop_${reason.replaceAll('-', '_')}`, () => drops.total(i))
  })
}
