import { afterEach, describe, expect, it } from 'vitest'
import { M_MARK, M_PORT, META_WORDS } from '../../../src/packet/slot.ts'
import { MAX_PORTS, PS_TX_PACKETS } from '../../../src/port/contract.ts'
import { answerAll, flowMatch, output, portMatch, putFlow } from './flows.ts'
import { numbered, numberOf, range } from './frames.ts'
import { World, type WorldOptions } from './harness.ts'

let world: World

const open = async (options: WorldOptions = {}, ports = 3): Promise<World> => {
  world = new World(options)
  for (let no = 1; no <= ports; no++) await world.addPort(no, `p${no}`)
  return world
}

afterEach(async () => {
  await world.settle()
  expect(world.missingSlots()).toEqual({})
})

describe('datapath alone', () => {
  it('has no port with a number that is none, or the one of rehearsals', async () => {
    await open()
    for (const no of [-1, 0, MAX_PORTS])
      await expect(world.addPort(no, 'px')).rejects.toThrow(
        `port px: its number is ${no}, 1 to ${MAX_PORTS - 1} expected`,
      )
    await expect(world.addPort(1, 'px')).rejects.toThrow('datapath port 1 exists already')
  })

  it('makes one upcall for the first packet of a flow and none for the next', async () => {
    await open()
    const seen = answerAll(world.dpif, () => 2)
    for (let n = 0; n < 5; n++) world.port(1).inject(numbered(0, n))
    await world.settle()
    for (let n = 5; n < 300; n++) world.port(1).inject(numbered(0, n))
    await world.settle()
    expect(seen.upcalls).toBe(1)
    expect(world.sent(2, 0)).toEqual(range(0, 300))
  })

  it('keeps the order of a microflow behind its upcall, whatever is installed meanwhile', async () => {
    await open()
    const waiting: number[] = []
    world.dpif.onUpcall((slot) => waiting.push(slot))
    for (let n = 0; n < 10; n++) world.port(1).inject(numbered(0, n))
    await world.settle()
    expect(waiting.length).toBe(1)
    const id = putFlow(world.dpif, portMatch(1), output(2))
    await world.settle()
    for (let n = 10; n < 20; n++) world.port(1).inject(numbered(0, n))
    world.port(1).inject(numbered(1, 0))
    await world.settle()
    expect([world.sent(2, 0), world.sent(2, 1)]).toEqual([[], [0]])
    world.dpif.upcallDone(waiting[0]!, output(2))
    await world.settle()
    expect(world.sent(2, 0)).toEqual(range(0, 20))
    const stats = { packets: 0, bytes: 0, used: 0, tcpFlags: 0 }
    expect(world.dpif.flowStats(id, stats)).toBe(true)
    expect(stats).toEqual({ packets: 20, bytes: 20 * 46, used: world.clock.now(), tcpFlags: 0 })
  })

  it('answers without a flow: the next waiting frame becomes the next upcall', async () => {
    await open()
    const order: number[] = []
    world.dpif.onUpcall((slot) => {
      order.push(slot)
      world.dpif.upcallDone(slot, output(3))
    })
    for (let n = 0; n < 30; n++) world.port(1).inject(numbered(0, n))
    await world.settle()
    expect(order.length).toBe(30)
    expect(world.sent(3, 0)).toEqual(range(0, 30))
  })

  it('bounds what waits, by port and by microflow, and counts the rest', async () => {
    await open({ limits: { upcallsPerPort: 4, upcalls: 4, parkedPerFlow: 8, parkedPerPort: 10 } })
    const waiting: number[] = []
    world.dpif.onUpcall((slot) => waiting.push(slot))
    for (let flow = 0; flow < 6; flow++) for (let n = 0; n < 12; n++) world.port(1).inject(numbered(flow, n))
    await world.settle()
    expect(waiting.length).toBe(4)
    // Flow 0 parks 8 and loses 3, flow 1 parks 2 and loses 9, flows 2 and 3 lose 11 each, flows 4 and 5 make no upcall at all.
    expect(world.drops(1)).toEqual({ 'upcall-limit': 24, 'upcall-park-full': 34 })
    for (const slot of waiting.splice(0)) world.dpif.upcallDone(slot, [])
    await world.settle()
    while (waiting.length > 0) {
      for (const slot of waiting.splice(0)) world.dpif.upcallDone(slot, [])
      await world.settle()
    }
    expect(world.drops(1)['flow-drop']).toBe(14)
  })

  it('does not let a noisy port starve another', async () => {
    await open({ limits: { upcallsPerPort: 8, upcalls: 8 }, small: 512 })
    const waiting: number[] = []
    world.dpif.onUpcall((slot) => waiting.push(slot))
    for (let flow = 0; flow < 1000; flow++) world.port(1).inject(numbered(flow, 0))
    for (let n = 0; n < 3; n++) world.port(2).inject(numbered(n, 0))
    await world.settle()
    expect(waiting.length).toBe(8 + 3)
    expect(world.drops(2)).toEqual({})
    for (const slot of waiting) world.dpif.upcallDone(slot, [])
  })

  it('lets a busy port have half of the upcalls that are left, and who comes half of the rest', async () => {
    await open({ limits: { upcallsPerPort: 8, upcalls: 100 } })
    const waiting: number[] = []
    world.dpif.onUpcall((slot) => waiting.push(slot))
    const got = async (port: number): Promise<number> => {
      const before = waiting.length
      for (let flow = 0; flow < 200; flow++) world.port(port).inject(numbered(flow, 0))
      await world.settle()
      return waiting.length - before
    }
    // Of 100; of the 50 that are left; at least what each may have.
    expect([await got(1), await got(2), await got(3), await got(1)]).toEqual([50, 25, 13, 0])
    while (waiting.length > 0) {
      for (const slot of waiting.splice(0)) world.dpif.upcallDone(slot, [])
      await world.settle()
    }
    expect(await got(2)).toBe(50)
    for (const slot of waiting) world.dpif.upcallDone(slot, [])
  })

  it('asks main about the ports in turn', async () => {
    await open()
    const asked: number[] = []
    world.dpif.onUpcall((slot) => {
      asked.push(world.dpif.arena.meta[slot * META_WORDS + M_PORT]!)
      world.dpif.upcallDone(slot, [])
    })
    for (let flow = 0; flow < 60; flow++) world.port(1).inject(numbered(flow, 0))
    for (let flow = 0; flow < 3; flow++) world.port(2).inject(numbered(flow, 0))
    await world.settle()
    const second = asked.flatMap((port, i) => (port === 2 ? [i] : []))
    expect([asked.length, second.length, second[2]! - second[0]!]).toEqual([63, 3, 4])
  })

  it('never waits for main: with every answer outstanding other traffic flows', async () => {
    await open({ limits: { upcallsPerPort: 1000, parkedPerPort: 1000 } })
    const waiting: number[] = []
    world.dpif.onUpcall((slot) => waiting.push(slot))
    for (let flow = 0; flow < 1000; flow++) world.port(1).inject(numbered(flow, 0))
    await world.settle()
    expect(waiting.length).toBeLessThan(256)
    putFlow(world.dpif, portMatch(2), output(3))
    await world.settle()
    for (let n = 0; n < 500; n++) world.port(2).inject(numbered(0, n))
    await world.settle()
    expect(world.port(3).sent.length).toBe(500)
    for (const slot of waiting) world.dpif.upcallDone(slot, [])
  })

  it('floods byte copies and counts them', async () => {
    await open({}, 6)
    putFlow(world.dpif, portMatch(1), output(2, 3, 4, 5, 6))
    await world.settle()
    const frame = numbered(0, 7)
    for (let i = 0; i < 100; i++) world.port(1).inject(frame)
    await world.settle()
    for (let no = 2; no <= 6; no++) {
      expect(world.port(no).sent.length).toBe(100)
      expect(world.port(no).sent[99]!.data).toEqual(frame)
      expect(world.count(no, PS_TX_PACKETS)).toBe(100)
    }
  })

  it('counts copies for which there is no slot, and still sends the original', async () => {
    await open({ small: 64, big: 0 }, 6)
    putFlow(world.dpif, portMatch(1), output(2, 3, 4, 5, 6))
    await world.settle()
    for (let i = 0; i < 64; i++) world.port(1).inject(numbered(0, i))
    await world.settle()
    const sent = [2, 3, 4, 5, 6].map((no) => world.port(no).sent.length)
    expect(sent[4]).toBe(64)
    expect(sent.reduce((a, b) => a + b) + world.drops(1)['copy-no-slot']!).toBe(5 * 64)
  })

  it('replaces a flow at a batch boundary, statistics going on', async () => {
    await open()
    const id = putFlow(world.dpif, portMatch(1), output(2))
    for (let n = 0; n < 10; n++) world.port(1).inject(numbered(0, n))
    await world.settle()
    putFlow(world.dpif, portMatch(1), output(3), id)
    await world.run(world.dpif.barrier())
    for (let n = 10; n < 20; n++) world.port(1).inject(numbered(0, n))
    await world.settle()
    expect([world.sent(2, 0).length, world.sent(3, 0).length]).toEqual([10, 10])
    let final = -1
    world.dpif.flowDel(id, (stats) => {
      final = stats.packets
    })
    expect(world.dpif.flow(id)).toBe(undefined)
    await world.settle()
    expect(final).toBe(20)
    expect(world.dpif.flowNew()).toBe(id)
  })

  it('keeps to the flow limit and gives ids back', async () => {
    await open({ flows: 8 })
    const ids = Array.from({ length: 8 }, () => world.dpif.flowNew())
    expect(world.dpif.flowNew()).toBe(-1)
    world.dpif.flowDel(ids[3]!)
    expect(world.dpif.flowNew()).toBe(-1)
    await world.settle()
    expect(world.dpif.flowNew()).toBe(ids[3])
    world.dpif.setFlowLimit(4)
    world.dpif.flowDel(ids[3]!)
    await world.settle()
    expect(world.dpif.flowNew()).toBe(-1)
  })

  it('installs more flows than the ring holds: the rest waits in main', async () => {
    await open({ flows: 20_000 })
    for (let flow = 0; flow < 15_000; flow++) putFlow(world.dpif, flowMatch(1, flow), output(2))
    await world.run(world.dpif.barrier())
    const counters = world.counters()
    expect([counters.flows, counters.masks]).toEqual([15_000, 1])
    for (const flow of [0, 7_500, 14_999]) world.port(1).inject(numbered(flow, flow))
    await world.settle()
    expect(world.port(2).sent.map((f) => numberOf(f.data).n)).toEqual([0, 7_500, 14_999])
  })

  it('recirculates, and upcalls of the second pass keep the order too', async () => {
    await open()
    const recircs: number[] = []
    world.dpif.onUpcall((slot) => recircs.push(slot))
    putFlow(world.dpif, portMatch(1), [
      { type: 'set', header: 'skb_mark', words: [{ word: 2, value: 5, mask: -1 }] },
      { type: 'recirc', id: 9 },
    ])
    await world.settle()
    for (let n = 0; n < 5; n++) world.port(1).inject(numbered(0, n))
    await world.settle()
    expect(recircs.length).toBe(1)
    expect(world.dpif.arena.meta[recircs[0]! * META_WORDS + M_MARK]).toBe(5)
    putFlow(world.dpif, portMatch(1, 9), output(2))
    world.dpif.upcallDone(recircs[0]!, output(2))
    await world.settle()
    expect(world.sent(2, 0)).toEqual([0, 1, 2, 3, 4])
  })

  it('stops a recirculation loop after 5 look-ups, with a warning that names the chain', async () => {
    await open()
    putFlow(world.dpif, portMatch(1), [{ type: 'recirc', id: 1 }])
    for (let id = 1; id < 8; id++) putFlow(world.dpif, portMatch(1, id), [{ type: 'recirc', id: id + 1 }])
    await world.settle()
    for (let n = 0; n < 3; n++) world.port(1).inject(numbered(0, n))
    await world.settle()
    expect(world.drops(1)).toEqual({ 'recirc-limit': 3 })
    expect(world.warnings).toEqual([expect.stringContaining('0 -> 1 -> 2 -> 3 -> 4 -> 5')])
  })

  it('runs packets of main, and gives their slots back', async () => {
    await open()
    const { pool, arena } = world.dpif
    const frame = numbered(0, 1)
    const slot = pool.take(frame.length)
    const off = arena.meta[slot * META_WORDS + 3]!
    arena.bytes.set(frame, off)
    arena.meta[slot * META_WORDS + 4] = frame.length
    arena.meta.fill(0, slot * META_WORDS + 5, (slot + 1) * META_WORDS)
    world.dpif.execute(slot, output(2, 3))
    await world.settle()
    expect([2, 3].map((no) => world.port(no).sent.map((f) => f.data))).toEqual([[frame], [frame]])
  })

  it('counts outputs to ports that are gone', async () => {
    await open()
    putFlow(world.dpif, portMatch(1), output(2, 999))
    await world.run(world.dpif.portDel(2))
    for (let n = 0; n < 3; n++) world.port(1).inject(numbered(0, n))
    await world.settle()
    expect(world.drops(1)).toEqual({ 'no-port': 6 })
  })

  it('drops what is larger than the output MTU', async () => {
    await open()
    world.dpif.portMtu(2, 100)
    putFlow(world.dpif, portMatch(1), output(2))
    await world.settle()
    world.port(1).inject(numbered(0, 0, { payload: Array(72).fill(0) }))
    world.port(1).inject(numbered(0, 1, { payload: Array(73).fill(0) }))
    world.port(1).inject(numbered(0, 2, { payload: Array(72).fill(0), vlans: [{ tpid: 0x8100, tci: 5 }] }))
    await world.settle()
    expect(world.port(2).sent.map((f) => f.data.length)).toEqual([114, 118])
    expect(world.drops(2)).toEqual({ 'tx-mtu': 1 })
  })

  it('reports a dead port once and reads it no more', async () => {
    await open()
    world.port(1).dead = true
    await world.settle()
    await world.settle()
    expect(world.deadPorts).toEqual([1])
  })
})
