/**
 * What packets of a flow do in tier 1, recorded at translation: with it the statistics of a cached flow reach rules, MAC entries and patch ports without
 * translating again. Lists are immutable once the translation is done.
 */
import type { TunnelLayer } from '../../tunnel/contract.ts'
import type { Bundle } from '../bundle.ts'
import type { Port } from '../port.ts'
import type { Rule } from '../rule.ts'

export type SideEffect =
  | { readonly type: 'rule'; readonly rule: Rule }
  /** The source address was seen on `bundle` in `vlan`. `mac` is a number of 48 bits. */
  | {
      readonly type: 'learn'
      readonly bundle: Bundle
      readonly mac: number
      readonly vlan: number
      readonly gratArp: boolean
    }
  /** Crossed a pair of patch ports. */
  | { readonly type: 'patch'; readonly tx: Port; readonly rx: Port }
  /** Went out by tunnel port `port`, with the header of an encap entry. */
  | { readonly type: 'encap'; readonly layer: TunnelLayer; readonly entry: number; readonly port: Port }
  /** Came in by tunnel port `port`. */
  | { readonly type: 'decap'; readonly port: Port }

/** Credits `packets` packets of together `bytes` bytes, the last at `used` (clock milliseconds). Nothing happens for none. */
export const pushStats = (effects: readonly SideEffect[], packets: number, bytes: number, used: number): void => {
  if (packets === 0) return
  for (const effect of effects) {
    switch (effect.type) {
      case 'rule':
        effect.rule.credit(packets, bytes, used)
        break
      case 'learn': {
        const { bundle } = effect
        // A bundle that was replaced or removed meanwhile tells of VLANs that are no more.
        if (!bundle.port.alive || bundle.port.bundle !== bundle) break
        bundle.port.bridge.macs.learn(effect.mac, effect.vlan, bundle, used, effect.gratArp)
        break
      }
      case 'patch':
        effect.tx.txPackets += packets
        effect.tx.txBytes += bytes
        effect.rx.rxPackets += packets
        effect.rx.rxBytes += bytes
        break
      case 'encap':
        effect.layer.credit(effect.entry, packets, bytes, used)
        effect.port.txPackets += packets
        effect.port.txBytes += bytes
        break
      case 'decap':
        effect.port.rxPackets += packets
        effect.port.rxBytes += bytes
        break
    }
  }
}
