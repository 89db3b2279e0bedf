/**
 * A rule in an OpenFlow table. What it says never changes: a modification puts a new Rule in its place (the old one is then not `live` any more) that shares the
 * statistics. So whoever holds a Rule may keep using its actions and credit packets to it at any time. Main thread.
 */
import type { Match } from '../flow/key.ts'
import type { OfpAction } from '../flow/ofp.ts'
import { RuleStats } from './rule-stats.ts'

export interface RuleParts {
  readonly table: number
  readonly priority: number
  readonly cookie: bigint
  /** Seconds; 0: never. */
  readonly idleTimeout: number
  readonly hardTimeout: number
  /** Canonical (no key bits outside of the mask). Handed over: nobody writes to it any more. */
  readonly match: Match
  readonly actions: readonly OfpAction[]
}

export class Rule {
  readonly table: number
  readonly priority: number
  readonly cookie: bigint
  readonly idleTimeout: number
  readonly hardTimeout: number
  readonly match: Match
  readonly actions: readonly OfpAction[]
  /** Clock milliseconds. The hard timeout runs from `modified`. */
  readonly created: number
  readonly modified: number
  readonly stats: RuleStats

  /** That a packet was the rule's, for translate/effects.ts: the same for all. */
  readonly effect = { type: 'rule', rule: this } as const

  /** True while it is in its table. Written by FlowTables. */
  live = false
  /** Next lower priority with the same match. Written by the classifier. */
  lower: Rule | null = null
  /** Position in the expiry heap, -1 when not in it, and the time it stands there for. Written by Expiry. */
  heapAt = -1
  heapTime = 0

  constructor(parts: RuleParts, created: number, modified = created, stats = new RuleStats(created)) {
    this.table = parts.table
    this.priority = parts.priority
    this.cookie = parts.cookie
    this.idleTimeout = parts.idleTimeout
    this.hardTimeout = parts.hardTimeout
    this.match = parts.match
    this.actions = parts.actions
    this.created = created
    this.modified = modified
    this.stats = stats
  }

  get packets(): number {
    return this.stats.packets
  }

  get bytes(): number {
    return this.stats.bytes
  }

  /** Clock milliseconds of the last packet, or of the creation. */
  get used(): number {
    return this.stats.used
  }

  /** See RuleStats.credit. */
  credit(packets: number, bytes: number, used: number): void {
    this.stats.credit(packets, bytes, used)
  }
}
