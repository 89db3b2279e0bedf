import { describe, expect, it } from 'vitest'
import { K_NW } from '../../../src/flow/key.ts'
import { flowMatch, output, portMatch, putFlow } from './flows.ts'
import { numbered, numberOf, range } from './frames.ts'
import { frames, offload, open, send, sent, world } from './two-nics.ts'

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
