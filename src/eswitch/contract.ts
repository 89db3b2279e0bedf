/**
 * Tier 3's contract: what the offload module sees of an embedded switch. Providers: the worker on TAPs (client.ts), a plain reference one for tests
 * (reference.ts).
 *
 * An eswitch has ports (VFs and uplinks of one NIC, one switch ID) and a bounded table of rules. A frame that a rule matches leaves by the rule's
 * actions and no other thread sees it. Any other goes up to the datapath through its port's representor. A rule outputs only to ports of the
 * same eswitch. What a provider can match and do is its *profile*; the offload module checks a flow against it before it asks.
 *
 * A new rule is *armed* first and becomes *active* when a marker has passed the rings to the datapath and back, so that a packet on the fast path never
 * overtakes an earlier one of its flow on the slow path; frames that match an armed rule wait for that moment.
 *
 * Tunnels. A rule may end in `tnl_push`, whose entry is put first (`encapPut`, state 'ready' only, outputs of this eswitch). A rule whose only action is `tnl_pop` matches
 * outer headers; a frame that it hits is looked up once more with its inner headers, its tunnel metadata and the *real* ingress port: rules with tunnel metadata in their
 * match say what happens to it then, and both count. If there is none, the frame goes up as it came: so a pair of rules acts as one that
 * matches outer and inner headers together, and dies with either.
 */
import type { FlowStats } from '../datapath/contract.ts'
import type { EncapEntry } from '../flow/encap.ts'
import { K_IN_PORT, type Match } from '../flow/key.ts'
import type { OdpAction } from '../flow/odp.ts'
import type { Profile } from './profile.ts'

export type EswitchState = 'running' | 'restarting' | 'stopped'

export interface EswitchRule {
  /** Names the rule; chosen by the offload module. A small number: books are arrays. May be used again after the rule's goodbye, or its loss. */
  readonly id: number
  /** Exact on in_port. */
  readonly match: Match
  /** The port of this eswitch by which the frames enter: that of the match, unless this one is given, as for decapsulated frames. */
  readonly inPort?: number
  readonly actions: readonly OdpAction[]
}

/** The port by which the rule's frames enter. */
export const ingressOf = ({ match, inPort }: EswitchRule): number => inPort ?? match.key[K_IN_PORT]!

export interface Eswitch {
  readonly name: string
  /** 'aa:bb:cc:dd:ee:ff'. Ports with the same switch ID can forward to each other in hardware. */
  readonly switchId: string
  readonly profile: Profile
  readonly state: EswitchState

  /** True if the datapath port with this number is a representor of this eswitch. */
  hasPort(no: number): boolean
  /** Rules held, and how many fit. */
  readonly ruleCount: number
  readonly capacity: number

  /**
   * Inserts, or replaces (same id). With the same match only the actions change, atomically: the rule stays active and its statistics go on. With another match the old rule is
   * removed and the new one armed, its statistics from zero. 'full' when the table has no room, 'down' when the worker is not running: nothing is changed then.
   */
  rulePut(rule: EswitchRule): 'ok' | 'full' | 'down'
  /** Removes; `gone` is called when no frame can use the rule any more, with its final statistics (also when the worker died meanwhile). */
  ruleDel(id: number, gone?: (final: FlowStats) => void): void
  /** Statistics of a rule since it was put; of one that was lost with its worker, its last ones, until the next worker runs or `ruleDel`. False when there is none. */
  ruleStats(id: number, out: FlowStats): boolean
  /** True once the rule is active. */
  ruleActive(id: number): boolean
  ruleIds(): Iterable<number>

  /** Puts or replaces an encap entry; all rules that name it follow at one batch boundary. 'down': nothing was done. */
  encapPut(entry: EncapEntry): 'ok' | 'down'
  /** Removes an entry that no rule names any more. Entries also go with the worker. */
  encapDel(id: number): void

  /**
   * Calls back on every change of `state`. When the worker is lost all rules are gone before the call with 'restarting': `ruleIds` has none, `ruleStats` still answers for
   * them, to be read in the call at the latest in that with 'running'.
   */
  onState(listener: (state: EswitchState) => void): void
}
