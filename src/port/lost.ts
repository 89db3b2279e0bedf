/** Drop reasons of what the interpreter gives up (LOST_*, flow/execute.ts): one table for both tiers. */
import * as E from '../flow/execute.ts'
import { type DropReason, dropIndex } from './drop.ts'

const REASONS: readonly (readonly [number, DropReason])[] = [
  [E.LOST_FLOW_DROP, 'flow-drop'],
  [E.LOST_MALFORMED, 'action-malformed'],
  [E.LOST_TRANSLATION, 'translation'],
  [E.LOST_NO_COPY, 'copy-no-slot'],
  [E.LOST_NO_ROUTE, 'no-route'],
  [E.LOST_NEIGHBOUR_FAILED, 'neighbour-failed'],
  [E.LOST_TUNNEL_LOOP, 'tunnel-loop'],
  [E.LOST_NEIGHBOUR_QUEUE, 'neighbour-queue-full'],
  [E.LOST_NEIGHBOUR_TIMEOUT, 'neighbour-timeout'],
  [E.LOST_TUNNEL_MTU, 'tunnel-mtu'],
  [E.LOST_DECAP_MALFORMED, 'decap-malformed'],
  [E.LOST_DECAP_CHECKSUM, 'decap-checksum'],
  [E.LOST_DECAP_ECN, 'decap-ecn'],
  [E.LOST_UNKNOWN_VNI, 'unknown-vni'],
  [E.LOST_OUTER_FRAGMENT, 'outer-fragment'],
]

/** Index of the drop counter, by LOST_*; -1: nothing is lost. */
export const LOST_DROPS: Int32Array = (() => {
  const table = new Int32Array(E.LOST_REASONS).fill(-1)
  for (const [why, reason] of REASONS) table[why] = dropIndex(reason)
  return table
})()
