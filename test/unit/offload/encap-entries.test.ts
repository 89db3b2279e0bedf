/** Entries in the eswitch: there before the rules that name them, gone after, and what happens when they change. The fake eswitch throws where the order is wrong. */
import { describe, expect, test } from 'vitest'
import type { EncapReason } from '../../../src/flow/encap.ts'
import { matchOf, output } from './fakes.ts'
import { createTunnelRig, P0, P1, P2, push } from './tunnel-rig.ts'

const PEER = '10.0.0.2'

/** 20 flows from vf0 to one peer, by entry 5, and 20 to another, by entry 6. */
const createMany = () => {
  const rig = createTunnelRig()
  rig.entry(5, PEER)
  rig.entry(6, '10.0.0.3')
  const ids = Array.from({ length: 20 }, (_, i) => rig.put(matchOf(1, i), [push(5)]))
  const others = Array.from({ length: 20 }, (_, i) => rig.put(matchOf(2, i), [push(6)]))
  const codes = (): string[] => [...new Set(ids.map(rig.code))]
  const change = (over: Parameters<typeof rig.entry>[2]): void =>
    rig.view.event('10.0.0.2/32', () => rig.entry(5, PEER, over))
  const last = () => rig.module.events(1)[0]!
  return { ...rig, ids, others, codes, change, last }
}

describe('one eswitch', () => {
  test('holds an entry while a rule names it', () => {
    const { entry, put, module, nic0, log } = createTunnelRig()
    entry(5, PEER)
    expect(nic0.encaps.size).toBe(0)
    const [a, b] = [put(matchOf(1, 1), [push(5)]), put(matchOf(1, 2), [push(5), output(2)])]
    expect(log.filter((line) => line.includes('nic0 encap'))).toEqual(['nic0 encap 5'])
    module.flowDel(a)
    expect(nic0.encaps.size).toBe(1)
    nic0.late = []
    module.flowDel(b)
    expect(nic0.encaps.size).toBe(1)
    nic0.flush()
    expect(nic0.encaps.size).toBe(0)
  })

  test('gets those that a changed flow names, and loses those that it no longer does', () => {
    const { entry, put, nic0, code } = createTunnelRig()
    entry(5, PEER)
    entry(6, '10.0.0.3')
    const id = put(matchOf(1), [push(5)])
    put(matchOf(1), [push(6), push(5)], id)
    expect([...nic0.encaps.keys()].sort()).toEqual([5, 6])
    put(matchOf(1), [push(6)], id)
    expect([...nic0.encaps.keys()]).toEqual([6])
    put(matchOf(1), [output(2)], id)
    expect([...nic0.encaps.keys()]).toEqual([])
    expect(code(id)).toBe('offloaded')
  })

  test('gets them again after its worker was replaced, in their state of then', async () => {
    const { entry, put, nic0, code, rest } = createTunnelRig()
    entry(5, PEER)
    const id = put(matchOf(1), [push(5)])
    nic0.setState('restarting')
    expect(code(id)).toBe('worker-gone')
    entry(5, PEER, { actions: [output(P1)] })
    expect(nic0.encaps.size).toBe(0)
    nic0.setState('running')
    await rest()
    expect(code(id)).toBe('offloaded')
    expect(nic0.encaps.get(5)!.actions).toEqual([output(P1)])
  })

  test('a removal that was under way when the worker died is not made up for with the next one', async () => {
    const { entry, put, module, nic0, rest } = createTunnelRig()
    entry(5, PEER)
    const a = put(matchOf(1, 1), [push(5)])
    put(matchOf(1, 2), [push(5)])
    nic0.late = []
    module.flowDel(a)
    nic0.setState('restarting')
    nic0.setState('running')
    await rest()
    nic0.flush()
    expect(nic0.encaps.size).toBe(1)
  })

  test('has no entry left of a rule that found no room', () => {
    const { entry, put, nic0, code } = createTunnelRig({ tableSize: 1 })
    entry(5, PEER)
    put(matchOf(1, 1), [output(2)])
    expect(code(put(matchOf(1, 2), [push(5)]))).toBe('table-full')
    expect(nic0.encaps.size).toBe(0)
  })
})

describe('an entry that changes', () => {
  test('within the switch: is replaced, after tier 2 has it, and no rule is touched', async () => {
    const { change, codes, log, rest, last, nic0 } = createMany()
    log.length = 0
    change({ actions: [output(P1)] })
    await rest()
    expect(log).toEqual(['dp encap 5', 'nic0 encap 5'])
    expect(nic0.encaps.get(5)!.actions).toEqual([output(P1)])
    expect(codes()).toEqual(['offloaded'])
    expect(last()).toMatchObject({ flows: 20, moved: 20, refused: 0, offloaded: 0, peers: 1 })
  })

  test('to another switch and back: rules go after tier 2 has it, and come when tier 2 has applied it', async () => {
    const { change, codes, log, rest, last, nic0, dpif } = createMany()
    log.length = 0
    change({ actions: [output(P2)] })
    await rest()
    expect(codes()).toEqual(['other-switch'])
    expect(log[0]).toBe('dp encap 5')
    expect(log.slice(1, -1).every((line) => line.startsWith('nic0 del'))).toBe(true)
    expect(log.at(-1)).toBe('nic0 encap del 5')
    expect(last()).toMatchObject({ flows: 20, moved: 0, refused: 20, offloaded: 0 })

    let applied = (): void => {}
    dpif.applied = new Promise((resolve) => {
      applied = resolve
    })
    change({})
    await rest()
    expect(codes()).toEqual(['other-switch'])
    expect([last().micros, nic0.encaps.has(5)]).toEqual([undefined, false])
    dpif.applied = Promise.resolve()
    applied()
    await rest()
    expect(codes()).toEqual(['offloaded'])
    expect(last()).toMatchObject({ flows: 20, refused: 0, offloaded: 20 })
    expect(last().micros).toBeGreaterThanOrEqual(0)
  })

  test.each<Exclude<EncapReason, 'valid'>>(['neighbour-failed', 'no-route', 'underlay-ambiguous', 'underlay-drop'])(
    'that becomes %s takes its rules with it, and brings them back',
    async (reason) => {
      const { change, codes, rest, others, code, nic0 } = createMany()
      change({ reason })
      await rest()
      expect(codes()).toEqual([reason])
      expect([...nic0.encaps.keys()]).toEqual([6])
      change({})
      await rest()
      expect(codes()).toEqual(['offloaded'])
      expect(new Set(others.map(code))).toEqual(new Set(['offloaded']))
    },
  )

  test('twice while flows wait to be looked at: what counts is how it is then', async () => {
    const { change, codes, log, rest, nic0 } = createMany()
    log.length = 0
    change({ reason: 'neighbour-failed' })
    change({ actions: [output(P1)] })
    await rest()
    expect(codes()).toEqual(['offloaded'])
    expect(log).toEqual(['dp encap 5', 'dp encap 5', 'nic0 encap 5'])
    change({ actions: [output(P2)] })
    change({ reason: 'no-route' })
    await rest()
    expect(codes()).toEqual(['no-route'])
    expect(nic0.encaps.has(5)).toBe(false)
  })

  test('to a smaller MTU: flows that do not fit go first, the others follow', async () => {
    const { change, put, code, codes, mtus, rest, log, last, nic0 } = createMany()
    mtus.set(1, 1500).set(2, 1400).set(P0, 1600).set(P1, 1500)
    const small = put(matchOf(2, 99), [push(5)])
    log.length = 0
    change({ actions: [output(P1)] })
    expect(log.indexOf('nic0 encap 5')).toBe(21)
    await rest()
    expect([codes(), code(small)]).toEqual([['mtu'], 'offloaded'])
    expect(nic0.encaps.get(5)!.actions).toEqual([output(P1)])
    expect(last()).toMatchObject({ flows: 21, moved: 1, refused: 20 })
    change({ actions: [output(P0)] })
    await rest()
    expect([codes(), code(small)]).toEqual([['offloaded'], 'offloaded'])
    expect(last()).toMatchObject({ flows: 21, moved: 1, offloaded: 20 })
  })

  test('to more outputs than a rule may have: flows that have others besides go first', async () => {
    const { entry, put, code, view, rest, log } = createTunnelRig({ profile: { 'max-outputs': 2 } })
    entry(5, PEER)
    const [alone, more] = [put(matchOf(1, 1), [push(5)]), put(matchOf(1, 2), [push(5), output(2)])]
    log.length = 0
    view.event('fdb', () => entry(5, PEER, { actions: [output(P0), output(P1)] }))
    await rest()
    expect([alone, more].map(code)).toEqual(['offloaded', 'outputs'])
    expect(log.map((line) => line.replace(/ \d+$/, ''))).toEqual(['dp encap', 'nic0 del', 'nic0 encap'])
  })

  test.each([false, true])(
    'by a port that comes to the switch later: flows get it as it is then (rules still leave: %s)',
    async (late) => {
      const { change, codes, module, nic0, nic1, rest } = createMany()
      if (late) nic0.late = []
      change({ actions: [output(P2)] })
      await rest()
      nic1.members.delete(P2)
      nic0.members.add(P2)
      module.portChanged(P2)
      await rest()
      expect(codes()).toEqual(['offloaded'])
      expect(nic0.encaps.get(5)!.actions).toEqual([output(P2)])
      nic0.members.delete(P2)
      module.portChanged(P2)
      await rest()
      expect(codes()).toEqual(['other-switch'])
    },
  )

  test('that nobody names concerns nobody', async () => {
    const { entry, view, module, rest, log } = createMany()
    entry(7, '10.0.0.7')
    log.length = 0
    view.event('10.0.0.7/32', () => entry(7, '10.0.0.7', { actions: [output(P1)] }), 0)
    await rest()
    expect(log).toEqual(['dp encap 7'])
    expect(module.events(9)).toEqual([])
    expect(module.summary().tunnels).toMatchObject({ events: 0, idle: 1, flows: 0 })
    module.encapDel(7)
    expect(module.summary().tunnels.entries).toBe(2)
  })
})
