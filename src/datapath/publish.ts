/** What the datapath's worker shows of itself: dpif/show, upcall/show. Worker thread. */
import type { FlowCache } from '../flow/cache.ts'
import type { HeldFrames } from './held-frames.ts'
import {
  C_CACHE_HITS,
  C_FLOW_HITS,
  C_FLOWS,
  C_FRAMES,
  C_MASK_HITS,
  C_MASKS,
  C_MISSES,
  C_NEXT_HOP,
  C_OUTSTANDING,
  C_PARKED,
  C_TOO_BIG,
  C_UPCALLS,
} from './shared.ts'

/** `counters`: of DatapathShared. `frames`: how many have come so far. */
export const publishCounters = (counters: Float64Array, frames: number, cache: FlowCache, held: HeldFrames): void => {
  counters[C_FRAMES] = frames
  counters[C_CACHE_HITS] = cache.cacheHits
  counters[C_FLOW_HITS] = cache.flowHits
  counters[C_MISSES] = cache.misses
  counters[C_UPCALLS] = held.upcalls
  counters[C_MASKS] = cache.masks
  counters[C_MASK_HITS] = cache.maskProbes
  counters[C_FLOWS] = cache.flows
  counters[C_PARKED] = held.waiting.parked
  counters[C_OUTSTANDING] = held.waiting.outstanding
  counters[C_NEXT_HOP] = held.atNextHops
  counters[C_TOO_BIG] = held.tooBigs
}
