/** Bounds of one translation, so that no rule set can make it run long or produce much. */

/** Nested table look-ups, patch ports crossed included. */
export const MAX_DEPTH = 64
export const MAX_RESUBMITS = 4096
/** Datapath actions of one flow. */
export const MAX_ACTIONS = 8192

/** Why a translation gave up, or had nothing to answer: the reason of its `drop` action. */
export type DropReason =
  | 'recursion-too-deep'
  | 'too-many-resubmits'
  | 'too-many-actions'
  | 'too-many-mpls-labels'
  | 'too-many-vlan-tags'
  /** A look-up needs headers that became visible by pop_mpls only. */
  | 'recirculation-unsupported'
  /** The packet was looked up again under an id that tier 1 did not give out. */
  | 'no-recirculation-context'
  | 'no-controller'
  | 'ttl-exceeded'

const LIMITS: ReadonlySet<DropReason> = new Set(['recursion-too-deep', 'too-many-resubmits', 'too-many-actions'])

/** Limits end the whole translation; other failures that of one copy of the packet. */
export const isLimit = (reason: DropReason): boolean => LIMITS.has(reason)

export class Limits {
  depth = 0
  resubmits = 0
}
