import { describe, expect, it } from 'vitest'
import { K_IN_PORT } from '../../../src/flow/key.ts'
import { output, portMatch, putFlow } from './flows.ts'
import { range } from './frames.ts'
import { open, send, sent, world } from './two-nics.ts'

describe('the way down', () => {
  /** 4 and, unless told, 3 send to nic0, which stands still. */
  const openFull = async (third = 1): Promise<void> => {
    await open()
    for (const [from, to] of [
      [1, 2],
      [3, third],
      [4, 1],
    ] as const)
      putFlow(world.dpif, portMatch(from), output(to))
    await world.settle()
    world.thread('nic0').hung = true
  }

  it('has no room: frames stay in the TAPs of tier 2, and none is lost', async () => {
    await openFull()
    send(4, 0, 2000)
    await world.settle()
    expect(world.port(4).waiting).toBeGreaterThan(1800)
    world.thread('nic0').hung = false
    await world.settle()
    expect(sent(1)).toEqual(range(0, 2000))
    expect(world.drops(1)).toEqual({})
  })

  it('has no room: frames of another NIC stay in its TAPs, and none is lost', async () => {
    await openFull()
    send(3, 0, 2000)
    await world.settle()
    expect(world.port(3).waiting).toBeGreaterThan(1800)
    expect(world.drops(3)).toEqual({})
    world.thread('nic0').hung = false
    await world.settle()
    expect(sent(1)).toEqual(range(0, 2000))
    expect([world.drops(1), world.drops(3)]).toEqual([{}, {}])
  })

  it('is shared by who has something to send', async () => {
    await openFull()
    send(4, 0, 1000)
    send(3, 0, 1000, 1)
    await world.settle()
    world.thread('nic0').hung = false
    while (sent(1).length + sent(1, 1).length < 600) world.step()
    expect(Math.min(sent(1).length, sent(1, 1).length)).toBeGreaterThan(100)
    await world.settle()
    expect([sent(1), sent(1, 1)]).toEqual([range(0, 1000), range(0, 1000)])
  })

  it('does not wait for itself when two NICs send each other all they can', async () => {
    await open()
    putFlow(world.dpif, portMatch(1), output(3))
    putFlow(world.dpif, portMatch(3), output(1))
    await world.settle()
    send(1, 0, 2000)
    send(3, 0, 2000)
    // Both rings are full of frames before either is answered.
    world.pauseDatapath(true)
    await world.settle()
    world.pauseDatapath(false)
    await world.settle()
    expect([sent(3), sent(1)]).toEqual([range(0, 2000), range(0, 2000)])
    expect([world.drops(1), world.drops(3)]).toEqual([{}, {}])
  })

  it('holds others up for a moment only when an eswitch stands still', async () => {
    await openFull(4)
    send(4, 0, 200)
    await world.settle()
    send(3, 0, 500)
    await world.settle()
    expect(sent(4)).toEqual([])
    world.clock.advance(20)
    await world.settle()
    expect(sent(4)).toEqual(range(0, 500))
    expect(world.port(4).waiting).toBe(0)
    expect(world.drops(1)['ring-full']).toBeGreaterThan(50)
    world.thread('nic0').hung = false
    await world.settle()
    expect(world.drops(1)['ring-full']! + sent(1).length).toBe(200)
    send(4, 200, 300)
    await world.settle()
    expect(sent(1).slice(-100)).toEqual(range(200, 300))
  })

  it('keeps markers behind the frames that wait, and gives all slots back when a worker is lost meanwhile', async () => {
    await openFull()
    send(4, 0, 200)
    await world.settle()
    send(3, 0, 30, 1)
    await world.settle()
    const flow = [...world.dpif.flows()].find((f) => f.match.key[K_IN_PORT] === 3)!
    expect(world.eswitch('nic1').rulePut({ id: flow.id, match: flow.match, actions: output(3) })).toBe('ok')
    await world.settle()
    expect(world.eswitch('nic1').ruleActive(flow.id)).toBe(false)
    world.thread('nic0').hung = false
    await world.settle()
    expect([sent(1), sent(1, 1)]).toEqual([range(0, 200), range(0, 30)])
    expect(world.eswitch('nic1').ruleActive(flow.id)).toBe(true)
    world.eswitch('nic1').ruleDel(flow.id)
    await world.settle()
    world.thread('nic0').hung = true
    send(4, 200, 400)
    await world.settle()
    send(3, 30, 60, 2)
    await world.settle()
    expect(world.missingSlots()).toMatchObject({ nic1: 30 })
    world.kill('nic1')
    await world.settle()
    world.kill('nic0')
    await world.settle()
    world.clock.advance(20_000)
    await world.settle()
    expect([world.eswitch('nic0').state, world.eswitch('nic1').state]).toEqual(['running', 'running'])
  })
})
