/** The memory that the main thread and the datapath worker share. Plain data: it is posted to the worker as it is. */
import { createRingMemory, type RingMemory } from '../lib/ring.ts'
import type { Arena } from '../packet/slot.ts'
import { createPortStats } from '../port/contract.ts'
import { createStatus } from '../port/thread-status.ts'

/** Partitions of the arena. Eswitches have those from OWNER_FIRST_ESWITCH on. */
export const OWNER_MAIN = 0
export const OWNER_DATAPATH = 1
export const OWNER_FIRST_ESWITCH = 2

/** Words of one flow in `flowStats`. */
export const FS_PACKETS = 0
export const FS_BYTES = 1
export const FS_USED = 2
/** One is not used (port/flow-account.ts). */
export const FLOW_STAT_WORDS = 4

/** Indices in `counters` (Float64Array), in the order of DpifCounters where it has them. */
export const C_FRAMES = 0
export const C_CACHE_HITS = 1
export const C_FLOW_HITS = 2
export const C_MISSES = 3
export const C_UPCALLS = 4
export const C_MASKS = 5
export const C_MASK_HITS = 6
export const C_FLOWS = 7
/** Frames that wait behind an upcall of their microflow, and upcalls outstanding. */
export const C_PARKED = 8
export const C_OUTSTANDING = 9
/** Frames that wait for a next hop, and frames lent to main because they are too big for a tunnel's underlay, so far. */
export const C_NEXT_HOP = 10
export const C_TOO_BIG = 11
export const COUNTER_WORDS = 16

export interface DatapathShared {
  readonly arena: Arena
  /** Main to worker (records.ts). */
  readonly commands: RingMemory
  /** Worker to main. */
  readonly replies: RingMemory
  readonly status: Int32Array
  /** As the worker sees its ports (port/contract.ts). */
  readonly portStats: Float64Array
  readonly flowStats: Float64Array
  /** TCP flags seen, by flow id. */
  readonly flowFlags: Int32Array
  readonly counters: Float64Array
}

/** `flows`: the highest flow limit that can ever be set. */
export const createDatapathShared = (arena: Arena, flows: number): DatapathShared => ({
  arena,
  commands: createRingMemory(1 << 18),
  replies: createRingMemory(1 << 16),
  status: createStatus(),
  portStats: createPortStats(),
  flowStats: new Float64Array(new SharedArrayBuffer(flows * FLOW_STAT_WORDS * 8)),
  flowFlags: new Int32Array(new SharedArrayBuffer(flows * 4)),
  counters: new Float64Array(new SharedArrayBuffer(COUNTER_WORDS * 8)),
})
