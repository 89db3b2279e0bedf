/** A dozing worker goes through the motions of the last frame: up to the write, and without any effect. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { PORT_STAT_WORDS } from '../../../src/port/contract.ts'
import { output, portMatch, putFlow } from './flows.ts'
import { numbered } from './frames.ts'
import { World } from './harness.ts'
import { entry, innerMatch, outerMatch, pop, push, VXLAN, wrapped } from './tunnels.ts'

let world: World
const nic = () => world.eswitch('nic0')
const core = () => world.core('nic0')

/** 1: a VF, 2: an uplink, on nic0. */
const open = async (): Promise<void> => {
  world = new World({ eswitches: { nic0: 16 } })
  await world.start()
  await world.addVf(1, 'vf1', 'nic0')
  await world.addVf(2, 'p2', 'nic0')
  await world.dpif.portAdd({ no: VXLAN, name: 'vxlan_4789', kind: 'vxlan' })
}

afterEach(async () => {
  await world.settle()
  expect([world.missingSlots(), core().held]).toEqual([{}, 0])
})

/** All that could tell of a frame: what was sent, statistics of ports and rules, counters. */
const traces = () => {
  const { portStats, counters, ruleStats } = nic().memory
  return [
    [1, 2].map((no) => world.port(no).sent.length),
    [...portStats.subarray(PORT_STAT_WORDS, 3 * PORT_STAT_WORDS)],
    [...counters],
    [...ruleStats],
    world.datapath.pool.smallFree,
  ]
}

/** Frames that were all but written: calls for none. */
const rehearsed = (no: number, times = 10): number => {
  const tx = vi.spyOn(world.port(no), 'tx')
  for (let i = 0; i < times; i++) {
    world.clock.advance(1)
    expect(core().doze(world.clock.now())).toBe(false)
  }
  const calls = tx.mock.calls.filter(([, , n]) => n === 0).length
  expect(calls).toBe(tx.mock.calls.length)
  tx.mockRestore()
  return calls
}

const expectNoTrace = (no: number, calls: number): void => {
  const before = traces()
  expect(rehearsed(no)).toBe(calls)
  expect(traces()).toEqual(before)
}

const offloaded = async (inPort: number, frame: Uint8Array): Promise<void> => {
  await world.settle()
  world.port(inPort).inject(frame)
  await world.settle()
  expect(nic().memory.counters[1]).toBe(1)
}

describe('leaves no trace, and reaches the port', () => {
  const bridged = async (): Promise<void> => {
    await open()
    putFlow(world.dpif, portMatch(1), output(2))
    nic().rulePut({ id: 7, match: portMatch(1), actions: output(2) })
    await offloaded(1, numbered(0, 1))
  }

  it('of a frame from port to port', async () => {
    await bridged()
    expectNoTrace(2, 10)
  })

  it('of one that is copied', async () => {
    await open()
    const actions: OdpAction[] = output(1, 2)
    putFlow(world.dpif, portMatch(1), actions)
    nic().rulePut({ id: 7, match: portMatch(1), actions })
    await offloaded(1, numbered(0, 1))
    expectNoTrace(2, 10)
  })

  it('of one that is encapsulated', async () => {
    await open()
    world.dpif.encapPut(entry(5, 2))
    nic().encapPut(entry(5, 2))
    putFlow(world.dpif, portMatch(1), push(5))
    nic().rulePut({ id: 7, match: portMatch(1), actions: push(5) })
    await offloaded(1, numbered(0, 1))
    expectNoTrace(2, 10)
  })

  it('of one that is decapsulated', async () => {
    await open()
    putFlow(world.dpif, outerMatch(2), pop)
    putFlow(world.dpif, innerMatch(VXLAN), output(1))
    nic().rulePut({ id: 7, match: outerMatch(2), actions: pop })
    nic().rulePut({ id: 8, match: innerMatch(2), actions: output(1) })
    await offloaded(2, wrapped(0, 1))
    expectNoTrace(1, 10)
  })

  it('nor when its port or its rule is gone; the next frame is the one to go through', async () => {
    await bridged()
    await world.run(nic().portDel(2))
    expectNoTrace(1, 0)
    nic().ruleDel(7)
    await world.settle()
    expectNoTrace(1, 0)
    putFlow(world.dpif, portMatch(1), output(1), 0)
    nic().rulePut({ id: 8, match: portMatch(1), actions: output(1) })
    await world.settle()
    world.port(1).inject(numbered(0, 2))
    await world.settle()
    expect(rehearsed(1)).toBe(10)
  })

  it('frames of two ports take turns, the older makes room for a third, and one goes on without the other', async () => {
    await bridged()
    await world.addVf(3, 'vf3', 'nic0')
    const rule = async (id: number, from: number, to: number): Promise<void> => {
      putFlow(world.dpif, portMatch(from), output(to), id)
      nic().rulePut({ id, match: portMatch(from), actions: output(to) })
      await world.settle()
    }
    const injected = async (no: number): Promise<void> => {
      world.clock.advance(100)
      world.port(no).inject(numbered(0, no))
      await world.settle()
    }
    await rule(8, 2, 1)
    await injected(2)
    expect([rehearsed(1), rehearsed(2)]).toEqual([5, 5])
    await rule(9, 3, 3)
    await injected(3)
    expect([rehearsed(1), rehearsed(2), rehearsed(3)]).toEqual([5, 0, 5])
    nic().ruleDel(8)
    await world.settle()
    expect([rehearsed(1), rehearsed(3)]).toEqual([0, 10])
  })

  it('nothing is gone through before a frame came, nor without a slot', async () => {
    await open()
    expect(rehearsed(1) + rehearsed(2)).toBe(0)
    putFlow(world.dpif, portMatch(1), output(2))
    nic().rulePut({ id: 7, match: portMatch(1), actions: output(2) })
    await offloaded(1, numbered(0, 1))
    const { pool } = core()
    const taken: number[] = []
    while (pool.smallFree > 0) taken.push(pool.take(60))
    expect(rehearsed(2)).toBe(0)
    for (const slot of taken) pool.give(slot)
    expect(rehearsed(2)).toBe(10)
  })
})
