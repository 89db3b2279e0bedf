import { describe, expect, it } from 'vitest'
import { answerAll, output, portMatch, putFlow } from './flows.ts'
import { range } from './frames.ts'
import { frames, offload, open, send, sent, world } from './two-nics.ts'

describe('loss of a worker', () => {
  it('has tier 2 poll the TAPs until the next one runs, in order and with its books kept', async () => {
    await open()
    const nic = world.eswitch('nic0')
    const id = putFlow(world.dpif, portMatch(1), output(2))
    await world.settle()
    offload(id)
    await world.settle()
    send(1, 0, 100)
    await world.settle()
    const states: string[] = []
    const stats = { packets: 0, bytes: 0, used: 0, tcpFlags: 0 }
    nic.onState((state) => {
      states.push(`${state} ${nic.ruleCount} ${nic.ruleStats(id, stats)} ${stats.packets}`)
    })
    world.kill('nic0')
    expect(states).toEqual(['restarting 0 true 100'])
    expect(offload(id)).toBe('down')
    send(1, 100, 200)
    await world.settle()
    const before = frames()
    expect(sent(2)).toEqual(range(0, 200))
    expect(before).toBe(100)
    world.clock.advance(1000)
    await world.settle()
    expect([nic.state, nic.restarts, nic.lastLoss]).toEqual(['running', 1, 'killed by the test'])
    send(1, 200, 300)
    await world.settle()
    expect(sent(2)).toEqual(range(0, 300))
    expect(offload(id)).toBe('ok')
    await world.settle()
    send(1, 300, 400)
    await world.settle()
    expect(sent(2)).toEqual(range(0, 400))
    expect(frames()).toBe(before + 100)
  })

  it('gets every slot back that the worker held, and answers what it asked', async () => {
    await open()
    answerAll(world.dpif, (port) => (port === 4 ? 1 : 4))
    send(4, 0, 10)
    await world.settle()
    // The worker stops working while frames go down to it, and others have come up.
    send(1, 0, 50, 3)
    world.step()
    world.step()
    world.thread('nic0').hung = true
    send(4, 10, 60)
    await world.settle()
    let final = false
    const nic = world.eswitch('nic0')
    expect(nic.rulePut({ id: 7, match: portMatch(1), actions: output(2) })).toBe('ok')
    nic.ruleDel(7, () => {
      final = true
    })
    for (let i = 0; i < 30 && nic.state === 'running'; i++) {
      world.clock.advance(250)
      nic.check()
    }
    expect([nic.state, final]).toEqual(['restarting', true])
    await world.settle()
    world.clock.advance(20_000)
    await world.settle()
    expect(nic.state).toBe('running')
    send(4, 60, 70)
    await world.settle()
    const got = sent(1)
    expect(got.slice(-10)).toEqual(range(60, 70))
    expect(got.length + (world.drops(4)['worker-gone'] ?? 0)).toBe(70)
    expect(sent(4, 3).length).toBe(50)
  })

  it('is not taken for hung because main paused', async () => {
    await open()
    const nic = world.eswitch('nic0')
    nic.check()
    world.clock.advance(60_000)
    nic.check()
    expect(nic.state).toBe('running')
  })

  it('is taken for hung after half a second without a beat, seen in more than one look', async () => {
    await open()
    const nic = world.eswitch('nic0')
    nic.check()
    world.thread('nic0').hung = true
    world.clock.advance(250)
    nic.check()
    expect(nic.state).toBe('running')
    world.clock.advance(250)
    nic.check()
    expect([nic.state, nic.lastLoss]).toEqual(['restarting', 'no heartbeat for 500 ms'])
    await world.settle()
    world.clock.advance(1000)
    await world.settle()
    expect(nic.state).toBe('running')
  })

  it('that does not end leaves its TAPs to nobody, and holds nothing else up', async () => {
    await open()
    const nic = world.eswitch('nic0')
    putFlow(world.dpif, portMatch(1), output(2))
    await world.settle()
    let end = (): void => {}
    world.thread('nic0').endsAfter = new Promise((resolve) => {
      end = resolve
    })
    world.kill('nic0')
    world.thread('nic0').hung = true
    send(1, 0, 10)
    await world.settle()
    world.clock.advance(2000)
    await world.settle()
    expect([nic.state, nic.lastLoss]).toEqual([
      'restarting',
      'killed by the test; its thread has not ended within 2000 ms',
    ])
    expect([world.port(1).waiting, sent(2)]).toEqual([10, []])
    await world.addVf(5, 'vf5', 'nic0')
    const removal = nic.portDel(2).catch((error: Error) => error.message)
    await world.settle()
    world.clock.advance(2000)
    expect(await world.run(removal)).toMatch(/does not end/)
    expect(nic.hasPort(2)).toBe(true)
    end()
    await world.settle()
    expect(sent(2)).toEqual(range(0, 10))
    world.clock.advance(1000)
    await world.settle()
    expect(nic.state).toBe('running')
    send(1, 10, 20)
    await world.settle()
    expect(sent(2)).toEqual(range(0, 20))
    await world.run(nic.portDel(2))
  })

  it('adds and removes ports while there is no worker', async () => {
    await open()
    world.kill('nic0')
    await world.addVf(5, 'vf5', 'nic0')
    putFlow(world.dpif, portMatch(5), output(2))
    await world.settle()
    send(5, 0, 10)
    await world.settle()
    expect(sent(2)).toEqual(range(0, 10))
    await world.run(world.eswitch('nic0').portDel(1))
    world.clock.advance(20_000)
    await world.settle()
    send(5, 10, 20)
    send(1, 0, 10, 1)
    await world.settle()
    expect([sent(2), world.port(1).waiting]).toEqual([range(0, 20), 10])
  })

  it('lets go of everything when it is stopped', async () => {
    await open()
    const nic = world.eswitch('nic1')
    await world.run(nic.stop())
    putFlow(world.dpif, portMatch(4), output(3))
    await world.settle()
    send(4, 0, 5)
    await world.settle()
    expect([nic.state, world.drops(3)]).toEqual(['stopped', { 'worker-gone': 5 }])
    expect(nic.rulePut({ id: 1, match: portMatch(3), actions: [] })).toBe('down')
  })
})
