/** The memory that main shares with one eswitch worker. Plain data. Rings are fresh for each worker, statistics outlive it. */
import { createRingMemory, type RingMemory } from '../lib/ring.ts'
import type { Arena } from '../packet/slot.ts'
import { createPortStats } from '../port/contract.ts'
import { linkRingWords } from '../port/link.ts'
import { createStatus } from '../port/thread-status.ts'

/** Words of one rule in `ruleStats`. */
export const RS_PACKETS = 0
export const RS_BYTES = 1
export const RS_USED = 2
/** The worker's own (rule-table.ts): a rule's words and what is counted are one line of the processor's cache. */
export const RS_WORD = 3
export const RULE_STAT_WORDS = 4

/** Values in `ruleState`. */
export const RULE_NONE = 0
/** Frames that match wait until the marker is back. */
export const RULE_ARMED = 1
export const RULE_ACTIVE = 2

/** Indices in `counters`. Frames read from own ports; those that a rule took; those sent up; those that came down; those held now; markers sent. */
export const EC_FRAMES = 0
export const EC_HITS = 1
export const EC_UP = 2
export const EC_DOWN = 3
export const EC_HELD = 4
export const EC_MARKERS = 5
export const EC_WORDS = 8

export interface EswitchMemory {
  readonly portStats: Float64Array
  readonly counters: Float64Array
  /** By rule index. */
  readonly ruleStats: Float64Array
  readonly ruleFlags: Int32Array
}

export interface EswitchShared extends EswitchMemory {
  readonly arena: Arena
  readonly owner: number
  readonly commands: RingMemory
  readonly replies: RingMemory
  readonly up: RingMemory
  readonly down: RingMemory
  readonly status: Int32Array
  readonly ruleState: Int32Array
}

/** `rules`: number of rule indices. */
export const createEswitchMemory = (rules: number): EswitchMemory => ({
  portStats: createPortStats(),
  counters: new Float64Array(new SharedArrayBuffer(EC_WORDS * 8)),
  ruleStats: new Float64Array(new SharedArrayBuffer(rules * RULE_STAT_WORDS * 8)),
  ruleFlags: new Int32Array(new SharedArrayBuffer(rules * 4)),
})

/** What a fresh worker gets: empty rings, no rules. */
export const createEswitchShared = (arena: Arena, owner: number, memory: EswitchMemory): EswitchShared => ({
  ...memory,
  arena,
  owner,
  commands: createRingMemory(1 << 17),
  replies: createRingMemory(1 << 14),
  up: createRingMemory(linkRingWords(arena)),
  down: createRingMemory(linkRingWords(arena)),
  status: createStatus(),
  ruleState: new Int32Array(new SharedArrayBuffer(memory.ruleFlags.length * 4)),
})
