/** push_mpls and pop_mpls. */
import { commit } from './commit.ts'
import type { Xlate } from './context.ts'
import { countLabels, MAX_LABELS, popLabel, pushLabel } from './label-stack.ts'
import { isMplsType } from './packet.ts'

export const pushMpls = (x: Xlate, type: number): void => {
  const n = countLabels(x.flow, x.wc)
  if (n === 0) commit(x)
  else if (n >= MAX_LABELS) {
    x.fail('too-many-mpls-labels', `push_mpls on a packet with ${n} labels: at most ${MAX_LABELS} are supported`)
    return
  }
  pushLabel(x.flow, n, type, x.wc, true)
}

export const popMpls = (x: Xlate, type: number): void => {
  const n = countLabels(x.flow, x.wc)
  if (popLabel(x.flow, n, type, x.wc)) {
    if (!isMplsType(type)) x.wasMpls = true
  } else if (n >= MAX_LABELS) {
    x.fail('too-many-mpls-labels', `pop_mpls on a packet with more labels than the ${MAX_LABELS} that are supported`)
  }
}
