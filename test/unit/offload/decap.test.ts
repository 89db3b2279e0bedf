/** Flows of decapsulated packets: rules at the real ingress, behind the flows of the outer packets. */
import { describe, expect, test } from 'vitest'
import { ingressOf } from '../../../src/eswitch/contract.ts'
import { K_IN_PORT } from '../../../src/flow/key.ts'
import type { Offloaded } from '../../../src/offload/verdict.ts'
import { hit, matchOf, output } from './fakes.ts'
import { createTunnelRig, innerMatch, ip, outerMatch, P0, P1, P2, POP, push } from './tunnel-rig.ts'

const PEER = '10.0.0.2'
const OTHER = '10.0.0.3'

/** Ten flows from each of two peers, which are behind p0. Outer flows at p0 and p1, for anybody. */
const createMany = () => {
  const rig = createTunnelRig()
  for (const peer of [PEER, OTHER]) rig.view.ways.set(peer, [P0])
  const outer = [P0, P1].map((port) => rig.put(outerMatch(port), [POP]))
  const flowsOf = (peer: string): number[] =>
    Array.from({ length: 10 }, (_, i) => rig.put(innerMatch(peer, i), [output(1)]))
  const ids = flowsOf(PEER)
  const others = flowsOf(OTHER)
  const codes = (of = ids): string[] => [...new Set(of.map(rig.code))]
  const ports = (id: number): number[] => rig.rulesOf(id).map(({ rule }) => ingressOf(rule))
  const move = async (way: Parameters<typeof rig.view.move>[1], peer = PEER): Promise<void> => {
    rig.view.event(`${peer}/32`, () => rig.view.move(peer, way))
    await rig.rest()
  }
  return { ...rig, outer, ids, others, codes, ports, move, last: () => rig.module.events(1)[0]! }
}

describe('a peer that moves', () => {
  test('to the other uplink of the NIC: new rules before the old ones go, none of the other peer is looked at', async () => {
    const { move, codes, ports, ids, others, log, last, module } = createMany()
    const before = module.verdict(ids[0]!) as Offloaded
    log.length = 0
    await move([P1])
    expect([codes(), codes(others)]).toEqual([['offloaded'], ['offloaded']])
    expect([ports(ids[0]!), ports(others[0]!)]).toEqual([[P1], [P0]])
    expect(log.slice(0, 2)).toEqual([expect.stringMatching(/^nic0 put/), `nic0 del ${before.rule}`])
    expect(log).toHaveLength(20)
    expect(last()).toMatchObject({ flows: 10, moved: 10, refused: 0, offloaded: 0 })
    expect(module.verdict(ids[0]!)).toMatchObject({ since: before.since })
  })

  test('to the other NIC, and back', async () => {
    const { move, codes, others, last, asked } = createMany()
    await move([P2])
    expect([codes(), codes(others)]).toEqual([['other-switch'], ['offloaded']])
    expect(last()).toMatchObject({ flows: 10, refused: 10 })
    // Also for software: no packet is to need an upcall there.
    expect(asked.map((key) => key[K_IN_PORT])).toEqual([P2])
    await move([P0])
    expect(codes()).toEqual(['offloaded'])
    expect(last()).toMatchObject({ flows: 10, offloaded: 10 })
  })

  test('out of sight, and back', async () => {
    const { move, codes } = createMany()
    await move('neighbour-failed')
    expect(codes()).toEqual(['neighbour-failed'])
    await move('no-route')
    expect(codes()).toEqual(['no-route'])
    await move([P0])
    expect(codes()).toEqual(['offloaded'])
  })

  test('to both uplinks: a rule for each, one of which stays; and to one of them again', async () => {
    const { move, ids, ports, module, log, traffic, stats, rulesOf, clock } = createMany()
    traffic(ids[0]!, 5)
    const { rule } = module.verdict(ids[0]!) as Offloaded
    log.length = 0
    await move([P0, P1])
    expect(ports(ids[0]!)).toEqual([P0, P1])
    expect(log.every((line) => line.startsWith('nic0 put'))).toBe(true)
    expect(module.verdict(ids[0]!)).toMatchObject({ rule, rules: [rule, expect.any(Number)] })
    for (const held of rulesOf(ids[0]!)) hit(held.stats, clock, 10)
    expect(stats(ids[0]!).packets).toBe(25)
    await move([P1])
    expect(ports(ids[0]!)).toEqual([P1])
    expect(stats(ids[0]!).packets).toBe(25)
    hit(rulesOf(ids[0]!)[0]!.stats, clock, 10)
    expect(stats(ids[0]!).packets).toBe(35)
  })

  test('changed actions reach all rules', async () => {
    const { move, ids, put, rulesOf, log } = createMany()
    await move([P0, P1])
    log.length = 0
    put(innerMatch(PEER, 0), [output(2)], ids[0]!)
    expect(log.map((line) => line.split(' ')[1])).toEqual(['put', 'put', 'put'])
    expect(rulesOf(ids[0]!).map(({ rule }) => rule.actions)).toEqual([[output(2)], [output(2)]])
  })
})

describe('the flow of the outer packets', () => {
  test('goes, and the inner ones with it; comes, and they come back', async () => {
    const { module, outer, put, codes, others, rest, rulesIn, nic0 } = createMany()
    module.flowDel(outer[0]!)
    await rest()
    expect([codes(), codes(others)]).toEqual([['outer-flow'], ['outer-flow']])
    expect(rulesIn(nic0)).toBe(1)
    put(outerMatch(P0, OTHER), [POP])
    await rest()
    expect([codes(), codes(others)]).toEqual([['outer-flow'], ['offloaded']])
    put(outerMatch(P0, PEER), [POP])
    await rest()
    expect(codes()).toEqual(['offloaded'])
  })

  test('that does something else is none', async () => {
    const { put, outer, codes, rest } = createMany()
    put(outerMatch(P0), [output(1)], outer[0])
    await rest()
    expect(codes()).toEqual(['outer-flow'])
    put(outerMatch(P0), [POP], outer[0])
    await rest()
    expect(codes()).toEqual(['offloaded'])
  })

  test('is asked for once for a peer, and not again before something has changed', async () => {
    const { module, outer, asked, codes, rest, put, tier1, move } = createMany()
    module.flowDel(outer[0]!)
    await rest()
    expect(asked).toHaveLength(2)
    module.raise('port-change')
    put(innerMatch(PEER, 77), [output(1)])
    await rest()
    expect(asked).toHaveLength(2)
    tier1.preinstall = (key) => put(outerMatch(key[K_IN_PORT]!), [POP]) >= 0
    await move([P0])
    expect(asked).toHaveLength(3)
    expect(codes()).toEqual(['offloaded'])
  })

  test('is put before a packet comes by the new way: no flow loses its rule meanwhile', async () => {
    const { move, module, outer, put, codes, tier1, last, asked, log } = createMany()
    module.flowDel(outer[1]!)
    tier1.preinstall = (key) => put(outerMatch(key[K_IN_PORT]!), [POP]) >= 0
    log.length = 0
    await move([P1])
    expect(asked).toHaveLength(1)
    expect(codes()).toEqual(['offloaded'])
    expect(last()).toMatchObject({ flows: 10, moved: 10, refused: 0 })
    expect(log.slice(0, 2)).toEqual([expect.stringMatching(/^dp put/), expect.stringMatching(/^nic0 put/)])
  })

  test('loses its worker: they say so, and follow it back', async () => {
    const { nic0, codes, rest, ids, others } = createMany()
    nic0.setState('restarting')
    await rest()
    expect(codes([...ids, ...others])).toEqual(['worker-gone'])
    nic0.setState('running')
    await rest()
    expect(codes([...ids, ...others])).toEqual(['offloaded'])
  })
})

describe('room', () => {
  test('a flow that needs two places takes two or none', async () => {
    const { put, view, code, rulesIn, nic0, module, rest } = createTunnelRig({ tableSize: 4 })
    view.ways.set(PEER, [P0, P1])
    for (const port of [P0, P1]) put(outerMatch(port), [POP])
    const filler = put(matchOf(2), [output(1)])
    const id = put(innerMatch(PEER), [output(1)])
    expect([code(id), rulesIn(nic0)]).toEqual(['table-full', 3])
    const single = put(matchOf(2, 1), [output(1)])
    expect(code(single)).toBe('offloaded')
    module.flowDel(filler)
    await rest()
    expect([code(id), rulesIn(nic0)]).toEqual(['table-full', 3])
    module.flowDel(single)
    await rest()
    expect([code(id), rulesIn(nic0)]).toEqual(['offloaded', 4])
  })

  test('one that needs more than there is does not keep others waiting', async () => {
    const { put, view, code, module, rest } = createTunnelRig({ tableSize: 4 })
    view.ways.set(PEER, [P0, P1])
    for (const port of [P0, P1]) put(outerMatch(port), [POP])
    const fillers = [1, 2].map((i) => put(matchOf(2, i), [output(1)]))
    const big = put(innerMatch(PEER), [output(1)])
    const small = put(matchOf(2, 9), [output(1)])
    expect([code(big), code(small)]).toEqual(['table-full', 'table-full'])
    module.flowDel(fillers[0]!)
    await rest()
    expect([code(big), code(small)]).toEqual(['table-full', 'offloaded'])
  })

  test('two idle rules make way for it', () => {
    const { put, view, code, clock, traffic, scheduler } = createTunnelRig({ tableSize: 5 })
    view.ways.set(PEER, [P0, P1])
    const outer = [P0, P1].map((port) => put(outerMatch(port), [POP]))
    const fillers = [1, 2, 3].map((i) => put(matchOf(2, i), [output(1)]))
    for (let s = 0; s < 6; s++) {
      clock.advance(1000)
      for (const id of [...outer, fillers[1]!]) traffic(id)
    }
    const id = put(innerMatch(PEER), [output(1)])
    expect(code(id)).toBe('offloaded')
    scheduler.drain()
    expect(fillers.map(code)).toEqual(['table-full', 'offloaded', 'table-full'])
  })
})

test('peers are watched while flows come from them', () => {
  const { view, ids, others, module, put } = createMany()
  expect([...view.watched.values()]).toEqual([1, 1])
  for (const id of ids) module.flowDel(id)
  expect([...view.watched.keys()]).toEqual([
    `${Buffer.from(ip(OTHER)).toString('hex')} ${Buffer.from(ip('192.168.0.1')).toString('hex')}`,
  ])
  for (const id of others) module.flowDel(id)
  expect(view.watched.size).toBe(0)
  put(innerMatch(PEER), [output(1)])
  expect(view.watched.size).toBe(1)
})

test('a tunnel layer that comes later: flows that are there are decided again, and their peers watched', async () => {
  const { put, view, code, rest, attach, mtus, entry } = createTunnelRig({ attached: false })
  view.ways.set(PEER, [P0])
  mtus.set(1, 1500).set(P0, 1500)
  entry(5, PEER)
  put(outerMatch(P0), [POP])
  const inner = put(innerMatch(PEER), [output(1)])
  const encap = put(matchOf(1), [push(5)])
  expect([inner, encap].map(code)).toEqual(['no-eswitch', 'offloaded'])
  attach()
  await rest()
  expect([inner, encap].map(code)).toEqual(['offloaded', 'mtu'])
  expect(view.watched.size).toBe(1)
})
