/** The way of a tunnel's outer packets through the underlay's bridge: a translation as if the host had sent them by the bridge's own port. Main thread. */
import { K_DP_WORDS, K_IN_PORT, K_VLAN0, K_VLAN1 } from '../flow/key.ts'
import type { OdpAction } from '../flow/odp.ts'
import type { Clock } from '../lib/clock.ts'
import type { UnderlayPort, UnderlayTranslator, UnderlayWay } from '../tunnel/contract.ts'
import type { Ofproto } from './ofproto.ts'
import { pushStats } from './translate/effects.ts'
import { translate } from './translate/translate.ts'
import { datapathMask } from './translate/wildcards.ts'

/** What `dropped` says when the rules send the packet nowhere. */
const NOWHERE = 'flow-drop'

const nowhere = (reason: string): UnderlayWay => ({
  actions: [],
  ambiguous: false,
  dropped: reason,
  vlan: 0,
  credit: () => {},
})

/** The outer tag at the last output of `actions`, of a packet that has the tags `outer` and `inner`; undefined when there is no output. */
const tagAtLastOutput = (actions: readonly OdpAction[], outer: number, inner: number): number | undefined => {
  let tags = [outer, inner]
  let last: number | undefined
  for (const action of actions) {
    if (action.type === 'push_vlan') tags = [(action.tpid << 16) | action.tci, tags[0]!]
    else if (action.type === 'pop_vlan') tags = [tags[1]!, 0]
    else if (action.type === 'output') last = tags[0]!
    else if (action.type === 'clone') last = tagAtLastOutput(action.actions, tags[0]!, tags[1]!) ?? last
  }
  return last
}

export class Underlay implements UnderlayTranslator {
  readonly #ofproto: Ofproto
  readonly #clock: Clock

  constructor(ofproto: Ofproto, clock: Clock) {
    this.#ofproto = ofproto
    this.#clock = clock
  }

  translate(port: UnderlayPort, key: Int32Array, varying: Int32Array, learn: boolean): UnderlayWay {
    const inPort = this.#ofproto.portByDp(port.dpPort)
    if (inPort === undefined) return nowhere('no-bridge')
    const packet = key.slice()
    packet[K_IN_PORT] = port.dpPort
    const used = this.#clock.now()
    const { actions, wc, effects, error } = translate({
      key: packet,
      inPort,
      learn,
      used,
      reporter: null,
      underlay: true,
    })
    if (error !== null) return nowhere(error)
    const mask = datapathMask(wc, packet)
    let ambiguous = false
    for (let i = 0; i < K_DP_WORDS; i++) ambiguous ||= (mask[i]! & varying[i]!) !== 0
    const [first] = actions
    const dropped = first === undefined ? NOWHERE : first.type === 'drop' ? first.reason : undefined
    return {
      actions,
      ambiguous,
      ...(dropped === undefined ? {} : { dropped }),
      vlan: tagAtLastOutput(actions, packet[K_VLAN0]!, packet[K_VLAN1]!) ?? 0,
      credit: (packets, bytes, when) => pushStats(effects, packets, bytes, when),
    }
  }
}
