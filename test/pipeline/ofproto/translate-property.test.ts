/** What caching rests on: packets that agree in all that a translation looked at are treated alike, and flows made of translations agree where they overlap. */
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { K_IN_PORT, K_RECIRC_ID, K_WORDS, type Match } from '../../../src/flow/key.ts'
import { matchesKey, overlaps } from '../../../src/flow/match.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { parseFlow } from '../../../src/flow/ofp-text.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import type { Bridge } from '../../../src/ofproto/bridge.ts'
import { decide } from '../../../src/ofproto/decide.ts'
import { FlowModError } from '../../../src/ofproto/flow-mod.ts'
import { Ofproto } from '../../../src/ofproto/ofproto.ts'
import { matchOf } from '../../../src/ofproto/upcall.ts'
import type { VlanSpec } from '../../../src/ofproto/vlan.ts'
import { FakeTunnelLayer, tunnelConfig } from './fake-tunnels.ts'
import { anyPacketKey, anyRuleTexts, LOCALS, PEERS, TUNNEL_PORT, VX, vlanSpec } from './random.ts'

const add = (bridge: Bridge, texts: readonly string[]): void => {
  for (const text of texts) {
    try {
      bridge.tables.add(parseFlow(text))
    } catch (error) {
      // A rule that a switch refuses is none.
      if (
        !(error instanceof FlowModError) &&
        !(error instanceof SyntaxError) &&
        (error as Error).name !== 'FlowSyntaxError'
      )
        throw error
    }
  }
}

interface World {
  readonly ofproto: Ofproto
  readonly at: (key: Int32Array) => { actions: readonly OdpAction[]; match: Match }
}

/**
 * Two bridges, two datapath ports, one of the host's and a tunnel each, joined by a patch. The first one's tunnel has its endpoint and key by its options, the second one's by the
 * rules; both hosts' interfaces have the same addresses.
 */
const build = (first: readonly string[], second: readonly string[], vlans: readonly VlanSpec[]): World => {
  const ofproto = new Ofproto(new ManualClock())
  ofproto.tunnels.use(new FakeTunnelLayer(...LOCALS.map((address) => address.join('.'))))
  ofproto.tunnels.ports.setDpPort(TUNNEL_PORT, VX)
  const [a, b] = [first, second].map((texts, i) => {
    const bridge = ofproto.addBridge(`br${i}`, { normal: texts.length === 0 })
    add(bridge, texts)
    bridge.addPort({ name: `p${2 * i + 1}`, dpPort: 2 * i + 1, ofport: 1, ...vlans[2 * i] })
    bridge.addPort({ name: `p${2 * i + 2}`, dpPort: 2 * i + 2, ofport: 2, ...vlans[2 * i + 1] })
    bridge.addPort({ name: `patch${i}`, peer: `patch${1 - i}`, ofport: 3 })
    const config = i === 0 ? tunnelConfig(PEERS[0]!, 100) : tunnelConfig('flow', 'flow')
    bridge.addPort({ name: `vx${i}`, ofport: 4, tunnel: { ...config, dstPort: TUNNEL_PORT }, ...vlans[i] })
    bridge.addPort({ name: `br${i}`, dpPort: 5 + i })
    bridge.setPortMac(`br${i}`, 0x020000000001 + i)
    return bridge
  })
  a!.macs.learn(0x020000000001, 10, a!.port(1)!.bundle, 1_000_000, false)
  a!.macs.learn(0x020000000002, 0, a!.port(2)!.bundle, 1_000_000, false)
  b!.macs.learn(0x020000000003, 20, b!.port(1)!.bundle, 1_000_000, false)
  const at: World['at'] = (key) => {
    const { actions, mask } = decide(ofproto, key, false, 0)!
    return { actions, match: matchOf(key, mask) }
  }
  return { ofproto, at }
}

const worlds = fc.tuple(
  anyRuleTexts,
  fc.oneof(fc.constant([] as string[]), anyRuleTexts),
  fc.array(vlanSpec, { minLength: 4, maxLength: 4 }),
)

describe('translation', () => {
  it('treats alike what agrees in all that was looked at, also from the masked key alone', () => {
    fc.assert(
      fc.property(worlds, fc.array(anyPacketKey, { minLength: 20, maxLength: 60 }), ([first, second, vlans], keys) => {
        const { at } = build(first, second, vlans)
        const results = keys.map(at)
        for (const { actions, match } of results) {
          expect(at(match.key)).toEqual({ actions, match })
          keys.forEach((key, i) => {
            if (matchesKey(match, key)) expect(results[i]).toEqual({ actions, match })
          })
        }
      }),
      { numRuns: 80 },
    )
  })

  it('survives keys that no extraction makes', () => {
    const anyKey = fc
      .array(fc.integer(), { minLength: K_WORDS, maxLength: K_WORDS })
      .map((words) => Int32Array.from(words))
    fc.assert(
      fc.property(worlds, anyKey, fc.integer({ min: 1, max: 4 }), ([first, second, vlans], key, port) => {
        key[K_RECIRC_ID] = 0
        key[K_IN_PORT] = port
        const { actions, match } = build(first, second, vlans).at(key)
        expect(match.mask[K_IN_PORT]).toBe(-1)
        for (const action of actions) expect(action.type).toBeTypeOf('string')
      }),
      { numRuns: 200 },
    )
  })

  it('makes flows that never disagree where they overlap', () => {
    fc.assert(
      fc.property(worlds, fc.array(anyPacketKey, { minLength: 20, maxLength: 60 }), ([first, second, vlans], keys) => {
        const { at } = build(first, second, vlans)
        const flows = keys.map(at)
        for (const a of flows)
          for (const b of flows)
            if (overlaps(a.match, b.match) && !isDeepStrictEqual(a.match, b.match))
              // Two masks, one packet: only possible if the packets between them are no real ones, and then still harmless.
              expect(a.actions).toEqual(b.actions)
      }),
      { numRuns: 80 },
    )
  })
})
