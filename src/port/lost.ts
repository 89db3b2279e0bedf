/** What a packet that the action interpreter could not place (flow/execute.ts, LOST_*) counts as: index of its drop counter. The same in both tiers. */
import { LOST_FLOW_DROP, LOST_MALFORMED, LOST_NO_COPY, LOST_TRANSLATION } from '../flow/execute.ts'
import { dropIndex } from './drop.ts'

export const LOST: Int32Array = (() => {
  const table = new Int32Array(4)
  table[LOST_FLOW_DROP] = dropIndex('flow-drop')
  table[LOST_MALFORMED] = dropIndex('action-malformed')
  table[LOST_TRANSLATION] = dropIndex('translation')
  table[LOST_NO_COPY] = dropIndex('copy-no-slot')
  return table
})()
