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
  /** No tunnel port takes the decapsulated packet. */
  | 'unknown-vni'
  /** The first fragment of a packet that would end a tunnel here. */
  | 'outer-fragment'
  /** The tunnel's remote address is to be set by the rules, and they did not. */
  | 'no-tunnel-remote'
  /** The tunnel's addresses are not of one IP version. */
  | 'tunnel-address-mismatch'
  /** The packet came by a tunnel, and its way leads to the tunnel's own end. */
  | 'tunnel-to-self'
  | 'too-many-encaps'
  /** The way of a tunnel's outer packet leads into a tunnel. */
  | 'tunnel-loop'

const LIMITS: ReadonlySet<DropReason> = new Set([
  'recursion-too-deep',
  'too-many-resubmits',
  'too-many-actions',
  'tunnel-loop',
])

/** Limits, and a way that leads back to its start, end the whole translation; other failures that of one copy of the packet. */
export const isLimit = (reason: DropReason): boolean => LIMITS.has(reason)

export class Limits {
  depth = 0
  resubmits = 0
}
