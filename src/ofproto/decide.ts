/**
 * What becomes of the packets of a flow: the translation by the port that they came by, or, of a tunnel's packets that no port takes, a drop. The one place that upcalls and
 * revalidation ask. Main thread.
 */
import { createKey } from '../flow/key.ts'
import type { OdpAction } from '../flow/odp.ts'
import type { Ofproto } from './ofproto.ts'
import type { SideEffect } from './translate/effects.ts'
import { translate } from './translate/translate.ts'
import { toDatapathMask } from './translate/wildcards.ts'
import { lookAtTunnel } from './tunnels.ts'

export interface Decision {
  readonly actions: readonly OdpAction[]
  /** The bits on which it rests, as a datapath flow's mask. Shared (flow/shared-words.ts). */
  readonly mask: Int32Array
  readonly effects: readonly SideEffect[]
  /** The translation gave up: its actions are a drop with a reason. */
  readonly failed: boolean
  /** Datapath ports to which the packet itself is to be handed (StacklessPorts.receive): then no flow may be made of the decision. */
  readonly handed: readonly number[]
}

const UNKNOWN_VNI: readonly OdpAction[] = [{ type: 'drop', reason: 'unknown-vni' }]

/** `learn`: a packet came, at `used` clock milliseconds. null: nobody owns the port. */
export const decide = (ofproto: Ofproto, key: Int32Array, learn: boolean, used: number): Decision | null => {
  const inPort = ofproto.receiver(key)
  if (inPort === undefined) return null
  if (inPort === 'unknown-vni') {
    const mask = createKey()
    lookAtTunnel(mask)
    return { actions: UNKNOWN_VNI, mask: ofproto.masks.share(mask), effects: [], failed: false, handed: [] }
  }
  const { memory, masks, lists, effectLists } = ofproto
  const { actions, wc, effects, error, handed } = translate({ key, inPort, learn, used, reporter: null, memory })
  return {
    actions: lists.share(actions),
    mask: masks.share(toDatapathMask(wc, key)),
    effects: effectLists.share(effects),
    failed: error !== null,
    handed,
  }
}
