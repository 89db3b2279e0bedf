/** Rules of tier 3 that put outer headers on, and what goes up to tier 2 instead. */
import { describe, expect, it } from 'vitest'
import { PS_TX_BYTES } from '../../../src/port/contract.ts'
import { flowMatch, output, portMatch, putFlow } from './flows.ts'
import { numbered, range } from './frames.ts'
import { counted, frames, nic, open, send, sent, world } from './tunnel-nic.ts'
import { entry, HEADERS, push } from './tunnels.ts'

describe('a rule that encapsulates', () => {
  const openPush = async (more = {}): Promise<void> => {
    await open()
    world.dpif.encapPut(entry(5, 2, more))
    expect(nic().encapPut(entry(5, 2, more))).toBe('ok')
    putFlow(world.dpif, portMatch(1), push(5))
    nic().rulePut({ id: 40, match: portMatch(1), actions: push(5) })
    await world.settle()
    expect(nic().ruleActive(40)).toBe(true)
  }

  it('carries its frames past tier 2, and counts them without the outer headers', async () => {
    await openPush()
    send(0, 100)
    await world.settle()
    expect([frames(), sent(2), counted(40)]).toEqual([0, range(0, 100), [100, 100 * 46]])
    expect(world.count(2, PS_TX_BYTES)).toBe(100 * (46 + HEADERS))
    expect([...nic().ruleIds()]).toEqual([40])
    let final = 0
    nic().ruleDel(40, (last) => {
      final = last.packets
    })
    await world.settle()
    expect(final).toBe(100)
  })

  it('follows its entry atomically, the rule staying active', async () => {
    await openPush()
    send(0, 20)
    await world.settle()
    nic().encapPut(entry(5, 3))
    await world.settle()
    send(20, 40)
    await world.settle()
    expect([frames(), sent(2), sent(3)]).toEqual([0, range(0, 20), range(20, 40)])
    expect(nic().ruleActive(40)).toBe(true)
  })

  it('sends up what its entry cannot take: too big, or without an entry, in order', async () => {
    await openPush({ mtu: 100 })
    const got: number[] = []
    world.dpif.onTooBig((slot, id) => {
      got.push(id)
      world.dpif.upcallDone(slot, [])
    })
    send(0, 10)
    world.port(1).inject(numbered(0, 0, { payload: Array<number>(64).fill(0) }))
    send(10, 20)
    await world.settle()
    expect([got, sent(2), world.drops(1)]).toEqual([[5], range(0, 20), {}])
    nic().encapDel(5)
    await world.settle()
    const before = frames()
    send(20, 30)
    await world.settle()
    expect([frames() - before, sent(2)]).toEqual([10, range(0, 30)])
  })

  it('measures the frame as it is when the header goes on', async () => {
    await open()
    const small = entry(5, 2, { mtu: 82 })
    world.dpif.encapPut(small)
    nic().encapPut(small)
    const tag = { type: 'push_vlan', tpid: 0x8100, tci: 0x1005 } as const
    nic().rulePut({ id: 1, match: flowMatch(1, 0), actions: push(5) })
    nic().rulePut({ id: 2, match: flowMatch(1, 1), actions: [tag, ...push(5)] })
    nic().rulePut({ id: 3, match: flowMatch(1, 2), actions: [tag, ...output(3), { type: 'pop_vlan' }, ...push(5)] })
    nic().rulePut({
      id: 4,
      match: flowMatch(1, 3),
      actions: [{ type: 'clone', actions: [tag, ...output(3)] }, ...push(5)],
    })
    await world.settle()
    for (const flow of [0, 1, 2, 3]) send(0, 3, flow)
    world.dpif.onUpcall((slot) => world.dpif.upcallDone(slot, output(4)))
    await world.settle()
    expect([0, 1, 2, 3].map((flow) => [sent(2, flow).length, sent(4, flow).length])).toEqual([
      [3, 0],
      [0, 3],
      [3, 0],
      [3, 0],
    ])
  })

  it('takes no entry that is not ready, nor any while it is down', async () => {
    await open()
    expect(nic().encapPut(entry(5, 2, { state: 'pending' }))).toBe('down')
    nic().encapPut(entry(5, 2))
    world.kill('nic0')
    await world.settle()
    expect(nic().encapPut(entry(5, 2))).toBe('down')
    world.clock.advance(20_000)
    await world.settle()
    // The next worker knows no entries.
    world.dpif.encapPut(entry(5, 3))
    putFlow(world.dpif, portMatch(1), push(5))
    nic().rulePut({ id: 1, match: portMatch(1), actions: push(5) })
    await world.settle()
    send(0, 5)
    await world.settle()
    expect([sent(2), sent(3)]).toEqual([[], range(0, 5)])
  })

  it('keeps behind frames of its microflow that are at their next hop', async () => {
    await open()
    world.dpif.encapPut(entry(5, 2, { state: 'pending', actions: [] }))
    putFlow(world.dpif, portMatch(1), push(5))
    await world.settle()
    send(0, 10)
    await world.settle()
    nic().encapPut(entry(5, 2))
    nic().rulePut({ id: 1, match: portMatch(1), actions: push(5) })
    await world.settle()
    send(10, 20)
    await world.settle()
    expect([nic().ruleActive(1), world.core('nic0').held, sent(2)]).toEqual([true, 10, []])
    world.dpif.encapPut(entry(5, 2))
    await world.settle()
    expect(sent(2)).toEqual(range(0, 20))
    send(20, 30)
    await world.settle()
    expect([sent(2), counted(1)[0]]).toEqual([range(0, 30), 20])
  })

  it('is not held up by frames of other microflows that are at their next hop', async () => {
    await open()
    world.dpif.encapPut(entry(5, 2, { state: 'pending', actions: [] }))
    putFlow(world.dpif, flowMatch(1, 0), push(5))
    putFlow(world.dpif, flowMatch(1, 1), output(3))
    await world.settle()
    send(0, 10)
    await world.settle()
    nic().rulePut({ id: 1, match: flowMatch(1, 1), actions: output(3) })
    await world.settle()
    const before = frames()
    for (const n of range(0, 5)) {
      send(n * 10, (n + 1) * 10, 1)
      // And others go there all the time.
      send(10 + n, 11 + n)
      await world.settle()
    }
    expect([sent(3, 1), frames() - before, world.core('nic0').held]).toEqual([range(0, 50), 5, 0])
    world.dpif.encapPut(entry(5, 2))
    await world.settle()
    expect(sent(2)).toEqual(range(0, 15))
  })

  it('keeps behind them also when they need tier 1 then', async () => {
    await open()
    const ambiguous = { reason: 'underlay-ambiguous', actions: [{ type: 'reenter', port: 4 }] } as const
    world.dpif.encapPut(entry(5, 2, { state: 'pending', actions: [] }))
    putFlow(world.dpif, flowMatch(1, 0), push(5))
    await world.settle()
    const upcalls: number[] = []
    world.dpif.onUpcall((slot) => upcalls.push(slot))
    send(0, 3)
    await world.settle()
    nic().rulePut({ id: 1, match: flowMatch(1, 0), actions: output(2) })
    await world.settle()
    world.dpif.encapPut(entry(5, 2, ambiguous))
    send(3, 6)
    await world.settle()
    expect([nic().ruleActive(1), upcalls.length, sent(2)]).toEqual([true, 1, []])
    putFlow(world.dpif, portMatch(4), output(2))
    world.dpif.upcallDone(upcalls[0]!, output(2))
    await world.settle()
    expect(sent(2)).toEqual(range(0, 6))
  })

  it('does not wait for ever for frames whose next hop never comes', async () => {
    await open()
    world.dpif.encapPut(entry(5, 2, { state: 'pending', actions: [] }))
    putFlow(world.dpif, flowMatch(1, 0), push(5))
    await world.settle()
    send(0, 10)
    await world.settle()
    nic().rulePut({ id: 1, match: flowMatch(1, 0), actions: output(3) })
    await world.settle()
    send(10, 20)
    world.clock.advance(1000)
    await world.settle()
    expect([nic().ruleActive(1), sent(3), world.drops(1)]).toEqual([true, range(10, 20), { 'neighbour-timeout': 10 }])
  })
})
