/**
 * What a translation tells while it runs, for `ofproto/trace`. The context holds null when nobody traces, so that messages cost nothing then:
 * `x.reporter?.detail(...)` does not even build its text.
 */
import type { OfpAction, Subfield } from '../../flow/ofp.ts'
import type { Bridge } from '../bridge.ts'
import type { Rule } from '../rule.ts'

export interface Reporter {
  /** Opens a bridge; closed by `leave`. */
  bridge(bridge: Bridge): void
  /** Opens the rule that a table look-up found, or a miss; closed by `leave`. */
  table(table: number, rule: Rule | null): void
  /** Opens the execution of the action set; closed by `leave`. */
  actionSet(): void
  leave(): void
  action(action: OfpAction): void
  /** No action: 'drop'. */
  drop(): void
  detail(text: string): void
  warn(text: string): void
  error(text: string): void
  /** `dst` was written; `flow` holds its value. */
  written(dst: Subfield, flow: Int32Array): void
  /** The action set after ('is') or before ('was') a change, in order of execution. */
  setContents(verb: 'is' | 'was', actions: readonly OfpAction[]): void
}
