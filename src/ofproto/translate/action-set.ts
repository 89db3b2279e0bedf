/** The action set: what write_actions gathers and what is done at the end of the pipeline, in OpenFlow's order (OpenFlow 1.3.5, 5.10). */
import type { OfpAction } from '../../flow/ofp.ts'

/** Each at most once; the last one written counts. */
const SLOTS: readonly OfpAction['type'][] = ['strip_vlan', 'pop_mpls', 'push_mpls', 'push_vlan', 'dec_ttl']
/** The set does nothing without one of these; the last in this list wins. */
const FINAL: readonly OfpAction['type'][] = ['resubmit', 'output', 'output_reg']
const IN_ORDER: ReadonlySet<OfpAction['type']> = new Set([
  'mod_vlan_vid',
  'mod_vlan_pcp',
  'mod',
  'set_field',
  'load',
  'move',
  'set_queue',
])

export const orderActionSet = (set: readonly OfpAction[]): OfpAction[] => {
  let final: OfpAction | undefined
  for (const action of set) {
    const rank = FINAL.indexOf(action.type)
    if (rank >= 0 && (final === undefined || rank >= FINAL.indexOf(final.type))) final = action
  }
  if (final === undefined) return []
  const ordered: OfpAction[] = []
  for (const type of SLOTS) {
    const last = set.findLast((action) => action.type === type)
    if (last !== undefined) ordered.push(last)
  }
  for (const action of set) if (IN_ORDER.has(action.type)) ordered.push(action)
  ordered.push(final)
  return ordered
}
