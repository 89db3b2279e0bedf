import { afterEach, describe, expect, it } from 'vitest'
import { K_IN_PORT, K_NW } from '../../../src/flow/key.ts'
import { answerAll, flowMatch, output, portMatch, putFlow } from './flows.ts'
import { numbered, numberOf } from './frames.ts'
import { World, type WorldOptions } from './harness.ts'

let world: World

/** Ports 1 and 2 on nic0, 3 on nic1, 4 on tier 2. */
const open = async (options: WorldOptions = {}): Promise<World> => {
  world = new World({ eswitches: { nic0: 16, nic1: 16 }, ...options })
  await world.start()
  await world.addVf(1, 'vf1', 'nic0')
  await world.addVf(2, 'vf2', 'nic0')
  await world.addVf(3, 'vf3', 'nic1')
  await world.addPort(4, 'tap4')
  return world
}

afterEach(async () => {
  await world.settle()
  expect(world.missingSlots()).toEqual({})
})

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)
const send = (port: number, from: number, to: number, flow = 0): void => {
  for (const n of range(from, to)) world.port(port).inject(numbered(flow, n))
}
const sent = (port: number, flow = 0): number[] =>
  world
    .port(port)
    .sent.map((f) => numberOf(f.data))
    .filter((f) => f.flow === flow)
    .map((f) => f.n)
const frames = (): number => {
  const counters = { frames: 0, cacheHits: 0, flowHits: 0, misses: 0, upcalls: 0, masks: 0, maskHits: 0, flows: 0 }
  world.dpif.counters(counters)
  return counters.frames
}
const offload = (id: number): string => {
  const flow = world.dpif.flow(id)!
  return world.eswitch('nic0').rulePut({ id, match: flow.match, actions: flow.actions })
}

describe('two tiers', () => {
  it('sends misses up and answers down, between NICs and tier 2 as well', async () => {
    await open({ small: 1024 })
    putFlow(world.dpif, portMatch(1), output(2, 3, 4))
    putFlow(world.dpif, portMatch(4), output(1))
    await world.settle()
    send(1, 0, 100)
    send(4, 0, 100)
    await world.settle()
    for (const no of [1, 2, 3, 4]) expect(sent(no)).toEqual(range(0, 100))
  })

  it('keeps the datapath out of what a rule carries, and counts it', async () => {
    await open()
    const id = putFlow(world.dpif, portMatch(1), output(2))
    await world.settle()
    expect(offload(id)).toBe('ok')
    expect(world.eswitch('nic0').ruleActive(id)).toBe(false)
    await world.settle()
    expect(world.eswitch('nic0').ruleActive(id)).toBe(true)
    const before = frames()
    send(1, 0, 500)
    await world.settle()
    expect(frames()).toBe(before)
    expect(sent(2)).toEqual(range(0, 500))
    const stats = { packets: 0, bytes: 0, used: 0, tcpFlags: 0 }
    expect(world.eswitch('nic0').ruleStats(id, stats)).toBe(true)
    expect(stats).toEqual({ packets: 500, bytes: 500 * 46, used: world.clock.now(), tcpFlags: 0 })
    let final = 0
    world.eswitch('nic0').ruleDel(id, (last) => {
      final = last.packets
    })
    await world.settle()
    expect(final).toBe(500)
    send(1, 500, 510)
    await world.settle()
    expect(frames()).toBe(before + 10)
    expect(sent(2)).toEqual(range(0, 510))
  })

  it.each(['rule', 'flow'])('notes with a %s when a frame came that a dozing thread has read', async (what) => {
    await open()
    const port = what === 'rule' ? 1 : 4
    const id = putFlow(world.dpif, portMatch(port), output(2))
    await world.settle()
    if (what === 'rule') expect(offload(id)).toBe('ok')
    await world.settle()
    send(port, 0, 1)
    const now = world.clock.now() + 7
    const stats = { packets: 0, bytes: 0, used: 0, tcpFlags: 0 }
    if (what === 'rule') {
      world.core('nic0').doze(now)
      world.eswitch('nic0').ruleStats(id, stats)
    } else {
      world.datapath.doze(now)
      world.dpif.flowStats(id, stats)
    }
    expect(stats).toMatchObject({ packets: 1, used: now })
  })

  it('does not let a new rule overtake frames on the slow road', async () => {
    await open({ small: 1024, big: 256 })
    const id = putFlow(world.dpif, portMatch(1), output(2))
    await world.settle()
    world.pauseDatapath(true)
    send(1, 0, 50)
    await world.settle()
    offload(id)
    await world.settle()
    send(1, 50, 100)
    await world.settle()
    expect(sent(2)).toEqual([])
    expect(world.core('nic0').held).toBe(50)
    world.pauseDatapath(false)
    await world.settle()
    expect(sent(2)).toEqual(range(0, 100))
    expect(world.core('nic0').held).toBe(0)
  })

  it('waits for upcalls and parked frames of the port, not for later ones', async () => {
    await open()
    const waiting: number[] = []
    world.dpif.onUpcall((slot) => waiting.push(slot))
    send(1, 0, 5)
    await world.settle()
    const id = putFlow(world.dpif, flowMatch(1, 0), output(2))
    await world.settle()
    offload(id)
    await world.settle()
    send(1, 5, 10)
    // New microflows keep coming: they must not hold the marker up.
    for (let flow = 1; flow < 20; flow++) send(1, 0, 2, flow)
    await world.settle()
    expect(world.eswitch('nic0').ruleActive(id)).toBe(false)
    world.dpif.upcallDone(waiting.shift()!, output(2))
    await world.settle()
    expect(world.eswitch('nic0').ruleActive(id)).toBe(true)
    expect(sent(2)).toEqual(range(0, 10))
    while (waiting.length > 0) {
      world.dpif.upcallDone(waiting.shift()!, output(2))
      await world.settle()
    }
  })

  it('keeps the order when more frames come than may be held', async () => {
    await open({ small: 2048 })
    const id = putFlow(world.dpif, portMatch(1), output(2))
    await world.settle()
    world.pauseDatapath(true)
    send(1, 0, 10)
    await world.settle()
    offload(id)
    await world.settle()
    send(1, 10, 490)
    await world.settle()
    world.pauseDatapath(false)
    send(1, 490, 600)
    await world.settle()
    send(1, 600, 610)
    await world.settle()
    expect(world.drops(1)).toEqual({})
    expect(sent(2)).toEqual(range(0, 610))
    expect(world.eswitch('nic0').ruleActive(id)).toBe(true)
  })

  it('keeps the order through overflow of the frames held', async () => {
    await open({ small: 2048 })
    const id = putFlow(world.dpif, portMatch(1), output(2))
    await world.settle()
    world.pauseDatapath(true)
    offload(id)
    await world.settle()
    send(1, 0, 520)
    await world.settle()
    expect(world.core('nic0').held).toBeLessThan(520)
    send(1, 520, 540)
    await world.settle()
    world.pauseDatapath(false)
    await world.settle()
    send(1, 540, 550)
    await world.settle()
    const lost = world.drops(1)['ring-full'] ?? 0
    const got = sent(2)
    expect(got.length + lost).toBe(550)
    expect([...got].sort((x, y) => x - y)).toEqual(got)
    expect(world.eswitch('nic0').ruleActive(id)).toBe(true)
  })

  it('has room on the way up for every frame that it holds, of several ports, when their rules go', async () => {
    await open({ small: 512, big: 512 })
    const ids = [1, 2].map((port) => putFlow(world.dpif, portMatch(port), output(3 - port)))
    await world.settle()
    world.pauseDatapath(true)
    for (const id of ids) offload(id)
    await world.settle()
    for (const port of [1, 2]) send(port, 0, 400)
    await world.settle()
    expect(world.core('nic0').held).toBeGreaterThan(100)
    for (const id of ids) world.eswitch('nic0').ruleDel(id)
    await world.settle()
    world.pauseDatapath(false)
    await world.settle()
    expect([sent(1), sent(2)]).toEqual([range(0, 400), range(0, 400)])
    expect([world.drops(1), world.drops(2)]).toEqual([{}, {}])
  })

  it('lets held frames of a rule that is removed go up, in order', async () => {
    await open()
    const id = putFlow(world.dpif, portMatch(1), output(2))
    await world.settle()
    world.pauseDatapath(true)
    send(1, 0, 5)
    await world.settle()
    offload(id)
    await world.settle()
    send(1, 5, 10)
    await world.settle()
    world.eswitch('nic0').ruleDel(id)
    await world.settle()
    send(1, 10, 15)
    await world.settle()
    world.pauseDatapath(false)
    await world.settle()
    expect(sent(2)).toEqual(range(0, 15))
  })

  it('replaces actions atomically, the rule staying active', async () => {
    await open()
    const id = putFlow(world.dpif, portMatch(1), output(2))
    await world.settle()
    offload(id)
    await world.settle()
    send(1, 0, 10)
    await world.settle()
    expect(world.eswitch('nic0').rulePut({ id, match: portMatch(1), actions: output(1) })).toBe('ok')
    await world.settle()
    expect(world.eswitch('nic0').ruleActive(id)).toBe(true)
    send(1, 10, 20)
    await world.settle()
    expect([sent(2), sent(1)]).toEqual([range(0, 10), range(10, 20)])
  })

  it('is full when it is full, and has room again', async () => {
    await open()
    const nic = world.eswitch('nic0')
    const put = (id: number) => nic.rulePut({ id, match: flowMatch(1, id), actions: output(2) })
    expect(range(0, 16).map(put)).toEqual(Array(16).fill('ok'))
    expect([put(16), put(3)]).toEqual(['full', 'ok'])
    nic.ruleDel(5)
    expect([nic.ruleCount, put(16), put(17)]).toEqual([15, 'ok', 'full'])
    await world.settle()
    expect(range(0, 17).filter((id) => nic.ruleActive(id))).toEqual(range(0, 17).filter((id) => id !== 5))
    expect(() =>
      nic.rulePut({ id: 99, match: { key: portMatch(1).key, mask: new Int32Array(80) }, actions: [] }),
    ).toThrow(/in_port/)
  })

  it.each([true, false])(
    'keeps the order of a microflow whose frames hit different flows; both offloaded: %s',
    async (both) => {
      await open({ small: 1024 })
      // A microflow does not tell the TTL, a flow may.
      const withTtl = (ttl: number) => {
        const match = flowMatch(1, 0)
        match.mask[K_NW] = 0xff00
        match.key[K_NW] = ttl << 8
        return match
      }
      const ids = [64, 63].map((ttl) => putFlow(world.dpif, withTtl(ttl), output(2)))
      await world.settle()
      let n = 0
      const sendMixed = (count: number): void => {
        for (const end = n + count; n < end; n++) {
          const frame = numbered(0, n)
          frame[22] = n % 3 === 0 ? 63 : 64
          world.port(1).inject(frame)
        }
      }
      sendMixed(20)
      world.step()
      offload(ids[0]!)
      for (let round = 0; round < 60; round++) {
        world.pauseDatapath(round % 3 === 0)
        sendMixed(7)
        world.step()
        if (both && round === 20) offload(ids[1]!)
        if (round === 40) world.eswitch('nic0').ruleDel(ids[0]!)
      }
      world.pauseDatapath(false)
      await world.settle()
      expect(sent(2)).toEqual(range(0, n))
      // And once nothing of it is above any more, its rules carry it.
      if (!both) return
      offload(ids[0]!)
      await world.settle()
      const before = frames()
      sendMixed(100)
      await world.settle()
      expect(frames()).toBe(before)
      expect(sent(2)).toEqual(range(0, n))
    },
  )

  it('leaves frames in the queue of their port while the datapath is behind, and loses none', async () => {
    await open()
    putFlow(world.dpif, portMatch(1), output(2))
    await world.settle()
    world.pauseDatapath(true)
    send(1, 0, 2000)
    await world.settle()
    expect(world.port(1).waiting).toBeGreaterThan(1000)
    world.pauseDatapath(false)
    await world.settle()
    expect(sent(2)).toEqual(range(0, 2000))
    expect(world.drops(1)['ring-full']).toBeUndefined()
  })

  it('waits for the answer to a large batch, and sends it in the same round', async () => {
    await open({ big: 256 })
    putFlow(world.dpif, portMatch(1), output(2))
    await world.settle()
    send(1, 0, 15)
    world.thread('nic0').step(world.clock.now())
    expect([world.awaited, sent(2)]).toEqual([0, []])
    await world.settle()
    send(1, 15, 31)
    world.thread('nic0').step(world.clock.now())
    expect([world.awaited, sent(2)]).toEqual([1, range(0, 31)])
  })

  it('waits for the answer to frames that go nowhere as well, and for one at a time', async () => {
    await open({ big: 256 })
    putFlow(world.dpif, portMatch(1), [])
    await world.settle()
    world.pauseDatapath(true)
    for (const n of [0, 16, 32]) {
      send(1, n, n + 16)
      world.thread('nic0').step(world.clock.now())
    }
    expect(world.awaited).toBe(1)
    world.pauseDatapath(false)
    await world.settle()
    for (const n of [48, 64]) {
      send(1, n, n + 16)
      world.thread('nic0').step(world.clock.now())
      // Dropped, and their slots back.
      expect(world.core('nic0').pool.smallFree).toBe(world.dpif.arena.small)
    }
    expect(world.awaited).toBe(3)
  })

  it('a slow datapath starves neither the traffic of rules nor one port the others', async () => {
    await open()
    const id = putFlow(world.dpif, portMatch(1), output(2))
    await world.settle()
    offload(id)
    await world.settle()
    world.pauseDatapath(true)
    send(2, 0, 2000)
    await world.settle()
    world.clock.advance(20)
    await world.settle()
    expect(world.drops(2)['ring-full']).toBeGreaterThan(1000)
    send(1, 0, 1000)
    await world.settle()
    expect(sent(2)).toEqual(range(0, 1000))
    world.pauseDatapath(false)
    await world.settle()
  })
})

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

describe('with many rules', () => {
  it('frames of a batch go each by its own rule, misses go up, and all are counted', async () => {
    const rules = 9000
    await open({ eswitches: { nic0: rules, nic1: 16 }, flows: rules + 16, small: 1024, big: 64 })
    const ids = range(0, rules).map((flow) => putFlow(world.dpif, flowMatch(1, flow), output(flow % 2 === 0 ? 2 : 4)))
    await world.settle()
    // Not to port 4, which is on no NIC; one of the rest is not offloaded either.
    const carried = ids.filter((_, flow) => flow % 2 === 0 && flow !== 8)
    for (const id of carried) expect(offload(id)).toBe('ok')
    const more = range(0, 9000).map((flow) => flowMatch(2, flow))
    for (const [i, match] of more.slice(0, rules - carried.length).entries())
      expect(world.eswitch('nic0').rulePut({ id: 100_000 + i, match, actions: output(1) })).toBe('ok')
    await world.settle()
    const before = frames()
    const flows = [...range(0, 300), ...range(rules - 100, rules), 8, 8, 0, 0]
    for (const [n, flow] of flows.entries()) world.port(1).inject(numbered(flow, n))
    await world.settle()
    const expected = (wanted: number) =>
      flows.flatMap((flow, n) => (flow % 2 === wanted ? [`${flow} ${n}`] : [])).sort()
    const got = (port: number) =>
      world
        .port(port)
        .sent.map(({ data }) => `${numberOf(data).flow} ${numberOf(data).n}`)
        .sort()
    expect(got(2)).toEqual(expected(0))
    expect(got(4)).toEqual(expected(1))
    // What the datapath saw: odd flows, and flow 8 three times.
    expect(frames() - before).toBe(expected(1).length + 3)
    const stats = { packets: 0, bytes: 0, used: 0, tcpFlags: 0 }
    expect(world.eswitch('nic0').ruleStats(ids[0]!, stats)).toBe(true)
    expect(stats.packets).toBe(3)
  })
})
