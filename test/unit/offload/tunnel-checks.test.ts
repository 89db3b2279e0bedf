import { describe, expect, test } from 'vitest'
import { ingressOf } from '../../../src/eswitch/contract.ts'
import type { EncapReason } from '../../../src/flow/encap.ts'
import { K_VLAN0 } from '../../../src/flow/key.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { explain } from '../../../src/offload/explain.ts'
import type { Refused } from '../../../src/offload/verdict.ts'
import { matchOf, output } from './fakes.ts'
import { createTunnelRig, innerMatch, outerMatch, P0, P1, P2, POP, push, VXLAN } from './tunnel-rig.ts'

const PEER = '10.0.0.2'

describe('encapsulation', () => {
  test('a flow to a peer whose header is known leaves by the uplink, in the eswitch', () => {
    const { put, entry, code, nic0, rulesOf, module } = createTunnelRig()
    entry(5, PEER)
    const id = put(matchOf(1), [push(5)])
    expect(code(id)).toBe('offloaded')
    expect(nic0.encaps.get(5)?.actions).toEqual([output(P0)])
    expect(rulesOf(id)[0]!.rule.actions).toEqual([push(5)])
    expect(module.tunnelFacts(id)).toEqual([
      { direction: 'encap', peer: PEER, local: '192.168.0.1', ports: [P0], entry: 5, state: 'ready' },
    ])
  })

  test.each<[Exclude<EncapReason, 'valid'>, string[]]>([
    ['no-route', ['route-change']],
    ['neighbour-pending', ['neighbour-change', 'route-change']],
    ['neighbour-failed', ['neighbour-change', 'route-change']],
    ['tunnel-loop', ['route-change', 'underlay-change']],
    ['underlay-ambiguous', ['route-change', 'underlay-change']],
    ['underlay-drop', ['route-change', 'underlay-change']],
  ])('an entry that is %s is not put', (reason, retryOn) => {
    const { put, entry, module, nic0 } = createTunnelRig()
    entry(5, PEER, { reason })
    const id = put(matchOf(1), [{ type: 'clone', actions: [push(5)] }, output(2)])
    expect(module.verdict(id)).toMatchObject({
      state: 'refused',
      eswitch: 'nic0',
      check: reason,
      what: PEER,
      detail: `${PEER}: ${reason}`,
      retryOn,
    })
    expect(nic0.encaps.size).toBe(0)
    expect(module.tunnelFacts(id)[0]!.state).toContain(`(${reason})`)
  })

  test('an uplink of another NIC', () => {
    const { put, entry, module } = createTunnelRig()
    entry(5, PEER, { actions: [output(P2)] })
    const v = module.verdict(put(matchOf(1), [push(5)])) as Refused
    expect(v).toMatchObject({ check: 'other-switch', what: 'p2', retryOn: expect.arrayContaining(['route-change']) })
    expect(v.detail).toBe(
      `packets to ${PEER} leave by p2 (port ${P2}), which is on eswitch nic1, switch ID 0a:00:00:00:00:02; the ingress vf0 (port 1) is on eswitch nic0, switch ID 0a:00:00:00:00:01`,
    )
  })

  test('an output beside the tunnel is judged as ever', () => {
    const { put, entry, code } = createTunnelRig()
    entry(5, PEER)
    expect(code(put(matchOf(1), [push(5), output(4)]))).toBe('switch-id')
  })

  test('what the underlay does counts: its actions, and its outputs', () => {
    const rig = createTunnelRig({ profile: { 'max-outputs': 2, actions: ['output', 'tnl_push'] } })
    rig.entry(5, PEER, { actions: [{ type: 'push_vlan', tpid: 0x8100, tci: 0x1064 }, output(P0)] })
    rig.entry(6, PEER, { actions: [output(P0), output(P1)] })
    expect(rig.module.verdict(rig.put(matchOf(1, 1), [push(5)]))).toMatchObject({ check: 'action', what: 'push_vlan' })
    expect(rig.module.verdict(rig.put(matchOf(1, 2), [push(6), output(2)]))).toMatchObject({
      check: 'outputs',
      what: '3',
    })
    expect(rig.code(rig.put(matchOf(1, 3), [push(6)]))).toBe('offloaded')
  })

  test('a profile without tunnels', () => {
    const { put, entry, module } = createTunnelRig({ profile: { actions: ['output'] } })
    entry(5, PEER)
    expect(module.verdict(put(matchOf(1), [push(5)]))).toMatchObject({ check: 'action', what: 'tnl_push' })
  })
})

describe('MTU', () => {
  const tag: OdpAction = { type: 'push_vlan', tpid: 0x8100, tci: 0x1001 }

  test.each<[string, string, readonly OdpAction[], number, string | undefined]>([
    ['fits to the byte', PEER, [push(5)], 1550, undefined],
    ['a byte too long', PEER, [push(5)], 1549, '1500+50>1549'],
    ['IPv6', 'fd00::2', [push(5)], 1569, '1500+70>1569'],
    ['IPv6 that fits', 'fd00::2', [push(5)], 1570, undefined],
    ['an inner tag', PEER, [tag, push(5)], 1550, '1500+54>1550'],
    ['a tag that goes', PEER, [tag, { type: 'pop_vlan' }, push(5)], 1550, undefined],
    ['in a copy', PEER, [{ type: 'clone', actions: [tag, push(5)] }, output(2)], 1553, '1500+54>1553'],
    ['tagged on the outside', PEER, [push(5)], 1550, undefined],
  ])('%s', (name, peer, actions, uplink, what) => {
    const { put, entry, mtus, module, code } = createTunnelRig()
    mtus.set(1, 1500).set(P0, uplink)
    entry(5, peer, name === 'tagged on the outside' ? { actions: [tag, output(P0)] } : {})
    const id = put(matchOf(1), actions)
    if (what === undefined) expect(code(id)).toBe('offloaded')
    else expect(module.verdict(id)).toMatchObject({ check: 'mtu', what, retryOn: ['mtu-change', 'route-change'] })
  })

  test('of a frame that comes tagged', () => {
    const { put, entry, mtus, module } = createTunnelRig()
    mtus.set(1, 1500).set(P0, 1550)
    entry(5, PEER)
    const tagged = matchOf(1, 0, (m) => {
      m.key[K_VLAN0] = 0x81001001 | 0
      m.mask[K_VLAN0] = -1
    })
    expect(module.verdict(put(tagged, [push(5)]))).toMatchObject({ check: 'mtu', what: '1500+54>1550' })
  })

  test('of the route, smaller than the interface', () => {
    const { put, entry, mtus, module } = createTunnelRig()
    mtus.set(1, 1500).set(P0, 9000)
    entry(5, PEER, { mtu: 1400 })
    expect(module.verdict(put(matchOf(1), [push(5)]))).toMatchObject({ check: 'mtu', what: '1500+50>1400' })
  })

  test('changes on either side are followed, both ways', async () => {
    const { put, entry, mtus, module, code, rest, rulesIn, nic0 } = createTunnelRig()
    mtus.set(1, 1500).set(P0, 1550)
    entry(5, PEER)
    const id = put(matchOf(1), [push(5)])
    const other = put(matchOf(2), [output(1)])
    const set = async (no: number, mtu: number): Promise<string> => {
      mtus.set(no, mtu)
      module.mtuChanged(no)
      await rest()
      return code(id)
    }
    expect(await set(P0, 1500)).toBe('mtu')
    expect(await set(P0, 1600)).toBe('offloaded')
    expect(await set(1, 9000)).toBe('mtu')
    expect(nic0.encaps.size).toBe(0)
    expect(await set(1, 1450)).toBe('offloaded')
    expect([code(other), rulesIn(nic0)]).toEqual(['offloaded', 2])
    expect(module.events(9).map(({ kind, text, flows }) => [kind, text, flows])).toEqual([
      ['mtu', 'p0 mtu 1500', 1],
      ['mtu', 'p0 mtu 1600', 1],
      ['mtu', 'vf0 mtu 9000', 1],
      ['mtu', 'vf0 mtu 1450', 1],
    ])
  })
})

describe('decapsulation', () => {
  test('enters by the uplink that leads back to the peer, behind the flow that opens the packet', () => {
    const { put, view, code, rulesOf, module, nic0 } = createTunnelRig()
    view.ways.set(PEER, [P0])
    put(outerMatch(P0), [POP])
    const id = put(innerMatch(PEER), [output(1)])
    expect(code(id)).toBe('offloaded')
    expect(ingressOf(rulesOf(id)[0]!.rule)).toBe(P0)
    expect(nic0.rules.size).toBe(2)
    expect(module.tunnelFacts(id)).toEqual([
      { direction: 'decap', peer: PEER, local: '192.168.0.1', ports: [P0], state: 'found' },
    ])
  })

  test('the talk: packets arrive by the other NIC', async () => {
    const { put, view, code, module, rest } = createTunnelRig()
    view.ways.set(PEER, [P2])
    put(outerMatch(P2), [POP])
    put(outerMatch(P0), [POP])
    const id = put(innerMatch(PEER), [output(1)])
    const v = module.verdict(id) as Refused
    expect(v).toMatchObject({ check: 'other-switch', eswitch: 'nic1', what: 'vf0' })
    expect(v.detail).toBe(
      `output to vf0 (port 1), which is on eswitch nic0, switch ID 0a:00:00:00:00:01; the ingress p2 (port ${P2}) of the packets of vxlan_4789 (port ${VXLAN}) is on eswitch nic1, switch ID 0a:00:00:00:00:02`,
    )
    view.event('10.0.0.2/32', () => view.move(PEER, [P0]))
    await rest()
    expect(code(id)).toBe('offloaded')
  })

  test.each(['no-route', 'neighbour-pending', 'neighbour-failed', 'underlay-ambiguous'] as const)('%s', (check) => {
    const { put, view, module } = createTunnelRig()
    view.ways.set(PEER, check)
    const v = module.verdict(put(innerMatch(PEER), [output(1)])) as Refused
    expect(v).toMatchObject({ check, what: PEER, detail: `${PEER}: ${check}` })
    expect(v.eswitch).toBeUndefined()
  })

  test('a multipath route over two NICs', () => {
    const { put, view, module } = createTunnelRig()
    view.ways.set(PEER, [P0, P2])
    expect(module.verdict(put(innerMatch(PEER), [output(1)]))).toMatchObject({ check: 'other-switch', what: 'p2' })
  })

  test('an ingress on no NIC', () => {
    const { put, view, module } = createTunnelRig()
    view.ways.set(PEER, [5])
    const v = module.verdict(put(innerMatch(PEER), [output(1)])) as Refused
    expect(v).toMatchObject({ check: 'no-eswitch', what: 'tap9', retryOn: ['port-change', 'route-change'] })
    expect(v.detail).toContain(`packets from ${PEER} enter by tap9 (port 5)`)
  })

  test('an output to no NIC is no matter of the way', () => {
    const { put, view, code } = createTunnelRig()
    view.ways.set(PEER, [P0])
    put(outerMatch(P0), [POP])
    expect(code(put(innerMatch(PEER), [output(5)]))).toBe('switch-id')
  })

  test('outer addresses that are left open', () => {
    const { put, module } = createTunnelRig()
    expect(module.verdict(put(matchOf(VXLAN), [output(1)]))).toMatchObject({ check: 'match-mask', what: 'tun_src' })
  })

  test('a packet is opened for nothing else beside', () => {
    const { put, module } = createTunnelRig()
    for (const [i, actions] of [
      [output(1), POP],
      [{ type: 'clone', actions: [POP] } as const, output(1)],
    ].entries())
      expect(module.verdict(put(outerMatch(P0, `10.0.0.${i}`), actions))).toMatchObject({
        check: 'action',
        what: 'tnl_pop',
      })
  })

  test('without an outer flow, and with one that is refused', async () => {
    const { put, view, module, rest, code } = createTunnelRig()
    view.ways.set(PEER, [P0])
    const id = put(innerMatch(PEER), [output(1)])
    expect(module.verdict(id)).toMatchObject({ check: 'outer-flow', what: 'p0', eswitch: 'nic0' })
    expect(explain(module.verdict(id)!)).toContain('is not there yet')
    module.setPortPolicy(P0, { enabled: false })
    put(outerMatch(P0), [POP])
    await rest()
    expect(explain(module.verdict(id)!)).toContain(
      'is not offloaded: policy (p0); it is offered again when the flow of',
    )
    module.setPortPolicy(P0, { enabled: true })
    await rest()
    expect(code(id)).toBe('offloaded')
  })
})

test('a what-if looks at tunnels and changes nothing', () => {
  const { put, view, entry, module, log, asked } = createTunnelRig()
  view.ways.set(PEER, [P0])
  entry(5, PEER)
  const before = log.length
  expect(module.wouldOffload(matchOf(1), [push(5)])).toMatchObject({ state: 'offloaded', eswitch: 'nic0' })
  expect(module.wouldOffload(innerMatch(PEER), [output(1)])).toMatchObject({ check: 'outer-flow' })
  expect(log.length).toBe(before)
  expect(asked).toEqual([])
  put(outerMatch(P0), [POP])
  expect(module.wouldOffload(innerMatch(PEER), [output(1)])).toMatchObject({ state: 'offloaded', eswitch: 'nic0' })
})
