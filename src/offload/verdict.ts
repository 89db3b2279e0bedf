/**
 * Verdicts: what the offload module decided about a flow, and why. Every flow has one at all times. docs/offload.md is their catalogue.
 *
 * A refusal names the check that failed (a stable code for programs), *what* failed it (a field, an action, a port), a sentence for people, and the
 * events after which the flow is offered again. Nothing else makes the module look at a refused flow, besides the rebalancing of full tables, and
 * besides what happens to a tunnelled flow's endpoint.
 */

/** What may happen that makes a refused flow worth another look. */
export type RetryEvent =
  /** Offload was switched on, globally or for the port. */
  | 'policy'
  /** A datapath port came, went, or moved to another eswitch. */
  | 'port-change'
  /** The flow itself was put again with other actions. */
  | 'flow-change'
  /** The eswitch's worker runs (again). */
  | 'eswitch-up'
  /** A rule has left the eswitch's table. */
  | 'table-space'
  /** The MTU of the ingress or of an output changed. */
  | 'mtu-change'
  /** The way to the tunnel's peer changed: route, address, link or rule. */
  | 'route-change'
  /** The state of the next hop towards the peer changed. */
  | 'neighbour-change'
  /** The underlay bridge does something else with the outer packets. */
  | 'underlay-change'
  /** The flow of the outer packets is offloaded now. */
  | 'outer-flow'

/** Stable codes of the checks, in the order in which they are made. */
export const CHECKS = [
  'policy',
  'no-eswitch',
  'match-field',
  'match-mask',
  'action',
  'outputs',
  'switch-id',
  'no-route',
  'neighbour-pending',
  'neighbour-failed',
  'tunnel-loop',
  'underlay-ambiguous',
  'underlay-drop',
  'other-switch',
  'mtu',
  'worker-gone',
  'outer-flow',
  'table-full',
] as const

export type CheckName = (typeof CHECKS)[number]

export interface Offloaded {
  readonly state: 'offloaded'
  /** Name of the eswitch that holds the rule. */
  readonly eswitch: string
  /** Id of the rule there; -1 in an answer of `wouldOffload`. */
  readonly rule: number
  /** Ids of all rules, when there are several: one for each uplink by which decapsulated packets may enter. */
  readonly rules?: readonly number[]
  /** Clock milliseconds. */
  readonly since: number
}

export interface Refused {
  readonly state: 'refused'
  /** The eswitch that was asked; absent when none was. */
  readonly eswitch?: string
  readonly check: CheckName
  /** What failed the check, for programs: 'nw_dst', 'push_vlan', 'set(ipv4)', 'vf3'. */
  readonly what: string
  /** A clause for people, without a full stop. */
  readonly detail: string
  readonly retryOn: readonly RetryEvent[]
  /** Clock milliseconds of the decision. */
  readonly since: number
}

export type Verdict = Offloaded | Refused

/** What a check answers when it refuses; the module adds the eswitch and the time. */
export interface Refusal {
  readonly check: CheckName
  readonly what: string
  readonly detail: string
  readonly retryOn: readonly RetryEvent[]
}
