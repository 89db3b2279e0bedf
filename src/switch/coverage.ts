/** The counters behind `coverage/show`: what the tiers count in their own arrays and objects, under one roof. Main thread. */
import type { DatapathClient } from '../datapath/client.ts'
import type { DpifCounters } from '../datapath/contract.ts'
import type { Counters } from '../lib/counters.ts'
import type { Udpif } from '../ofproto/udpif.ts'
import { MAX_PORTS, PORT_STAT_WORDS, PS_DROPS } from '../port/contract.ts'
import { DROP_REASONS } from '../port/drop.ts'

const DATAPATH: readonly (readonly [string, keyof DpifCounters])[] = [
  ['datapath_frames', 'frames'],
  ['datapath_cache_hit', 'cacheHits'],
  ['datapath_flow_hit', 'flowHits'],
  ['datapath_miss', 'misses'],
  ['datapath_upcall', 'upcalls'],
]

export const registerCoverage = (
  coverage: Counters,
  datapath: DatapathClient,
  udpif: Udpif,
  statistics: () => Iterable<Float64Array>,
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
    coverage.source(`drop_${reason.replaceAll('-', '_')}`, () => {
      let sum = 0
      for (const stats of statistics())
        for (let no = 0; no < MAX_PORTS; no++) sum += stats[no * PORT_STAT_WORDS + PS_DROPS + i]!
      return sum
    })
  })
}
