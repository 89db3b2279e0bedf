/** Tunnels in tier 2: what waits for a next hop, what is too big, second passes, and what counts as whose. */
import { afterEach, describe, expect, it } from 'vitest'
import { C_NEXT_HOP, C_TOO_BIG } from '../../../src/datapath/shared.ts'
import { LOST_NEIGHBOUR_FAILED, LOST_NO_ROUTE } from '../../../src/flow/execute.ts'
import { K_IN_PORT, K_TUN_ID } from '../../../src/flow/key.ts'
import { M_PORT, META_WORDS } from '../../../src/packet/slot.ts'
import { flowMatch, keyOf, output, portMatch, putFlow } from './flows.ts'
import { numbered, range } from './frames.ts'
import { World, type WorldOptions } from './harness.ts'
import { entry, HEADERS, innerMatch, outerMatch, pop, push, VNI, VXLAN, wrapped } from './tunnels.ts'

let world: World

/** 1: a guest, 2: the underlay, 3: the underlay's internal port, 4: another guest; all of tier 2 alone. */
const open = async (options: WorldOptions = {}): Promise<World> => {
  world = new World({ small: 1024, ...options })
  for (let no = 1; no <= 4; no++) await world.addPort(no, `p${no}`)
  await world.dpif.portAdd({ no: VXLAN, name: 'vxlan_4789', kind: 'vxlan' })
  return world
}

afterEach(async () => {
  await world.settle()
  expect(world.missingSlots()).toEqual({})
})

const send = (port: number, from: number, to: number, flow = 0): void => world.inject(port, from, to, flow)
const sent = (port: number, flow = 0): number[] => world.sent(port, flow)
const waiting = (): number => world.dpif.shared.counters[C_NEXT_HOP]!

describe('a port of kind vxlan', () => {
  it('is but a number: no worker knows it, and nothing can be sent there', async () => {
    await open()
    expect(world.dpif.port(VXLAN)).toMatchObject({ kind: 'vxlan' })
    putFlow(world.dpif, portMatch(1), output(VXLAN))
    await world.settle()
    send(1, 0, 3)
    await world.settle()
    expect(world.drops(1)).toEqual({ 'no-port': 3 })
    await world.dpif.portDel(VXLAN)
    expect(world.dpif.port(VXLAN)).toBe(undefined)
  })
})

describe('a pending entry', () => {
  const pending = entry(5, 2, { state: 'pending', reason: 'neighbour-pending' })

  it('keeps the first 64 frames of its next hop, which go in order when it is ready; the others are counted', async () => {
    await open()
    world.dpif.encapPut(pending)
    putFlow(world.dpif, portMatch(1), push(5))
    await world.settle()
    send(1, 0, 100)
    await world.settle()
    expect([sent(2), waiting(), world.drops(1)]).toEqual([[], 64, { 'neighbour-queue-full': 36 }])
    world.dpif.encapPut(entry(5, 2))
    send(1, 100, 110)
    await world.settle()
    expect(sent(2)).toEqual([...range(0, 64), ...range(100, 110)])
    expect(waiting()).toBe(0)
    expect(world.port(2).sent[0]!.data.length).toBe(numbered(0, 0).length + HEADERS)
  })

  it('shares the bound with entries of the same next hop, not with others', async () => {
    await open()
    world.dpif.encapPut(pending)
    world.dpif.encapPut({ ...pending, id: 6 })
    world.dpif.encapPut({ ...pending, id: 7, nextHop: 12 })
    for (const flow of [0, 1, 2]) putFlow(world.dpif, flowMatch(1, flow), push(5 + flow))
    await world.settle()
    send(1, 0, 40, 0)
    send(1, 0, 40, 1)
    send(1, 0, 40, 2)
    await world.settle()
    expect([waiting(), world.drops(1)]).toEqual([104, { 'neighbour-queue-full': 16 }])
    // The other next hop takes entry 6 over: what waits there counts as its own, and entry 5 has room.
    world.dpif.encapPut({ ...pending, id: 6, nextHop: 12 })
    await world.settle()
    send(1, 40, 70, 0)
    send(1, 40, 41, 2)
    await world.settle()
    expect([waiting(), world.drops(1)]).toEqual([64 + 64, { 'neighbour-queue-full': 16 + 6 + 1 }])
    for (const id of [5, 6, 7]) world.dpif.encapPut(entry(id, 2))
    await world.settle()
    expect([sent(2, 0).length, sent(2, 1).length, sent(2, 2).length]).toEqual([64, 24, 40])
  })

  it('keeps each for a second, whether anything else comes or not', async () => {
    await open()
    world.dpif.encapPut(pending)
    putFlow(world.dpif, portMatch(1), push(5))
    await world.settle()
    expect(world.datapath.patience).toBe(Number.POSITIVE_INFINITY)
    send(1, 0, 10)
    await world.settle()
    world.clock.advance(600)
    send(1, 10, 20)
    await world.settle()
    expect(world.datapath.patience).toBe(400)
    world.clock.advance(399)
    await world.settle()
    expect(world.drops(1)).toEqual({})
    world.clock.advance(1)
    await world.settle()
    expect([waiting(), world.drops(1), world.datapath.patience]).toEqual([10, { 'neighbour-timeout': 10 }, 600])
    world.clock.advance(600)
    await world.settle()
    expect([waiting(), world.drops(1)]).toEqual([0, { 'neighbour-timeout': 20 }])
    // And the next ones have their own second.
    send(1, 20, 84)
    await world.settle()
    world.clock.advance(999)
    world.dpif.encapPut(entry(5, 2))
    await world.settle()
    expect(sent(2)).toEqual(range(20, 84))
  })

  it('lets go of what waits when it becomes a drop, or is removed', async () => {
    await open()
    world.dpif.encapPut(pending)
    world.dpif.encapPut({ ...pending, id: 6 })
    putFlow(world.dpif, flowMatch(1, 0), push(5))
    putFlow(world.dpif, flowMatch(1, 1), push(6))
    await world.settle()
    send(1, 0, 5, 0)
    send(1, 0, 5, 1)
    await world.settle()
    world.dpif.encapPut({ ...pending, state: 'drop', reason: 'neighbour-failed', lost: LOST_NEIGHBOUR_FAILED })
    world.dpif.encapDel(6)
    await world.settle()
    expect([waiting(), world.drops(1)]).toEqual([0, { 'neighbour-failed': 5, 'neighbour-timeout': 5 }])
    world.dpif.encapPut({ ...pending, state: 'drop', reason: 'no-route', lost: LOST_NO_ROUTE })
    send(1, 0, 3, 0)
    await world.settle()
    expect(world.drops(1)['no-route']).toBe(3)
  })

  it('leaves slots for others', async () => {
    await open({ small: 64, big: 8 })
    world.dpif.encapPut(pending)
    putFlow(world.dpif, flowMatch(1, 0), push(5))
    putFlow(world.dpif, flowMatch(1, 1), output(4))
    await world.settle()
    send(1, 0, 60)
    await world.settle()
    expect(waiting()).toBe(47)
    for (const n of [0, 10, 20, 30]) {
      send(1, n, n + 10, 1)
      await world.settle()
    }
    expect(sent(4, 1)).toEqual(range(0, 40))
    world.dpif.encapDel(5)
  })

  it('holds up neither the other outputs of its flow nor the host', async () => {
    await open()
    world.dpif.encapPut(pending)
    putFlow(world.dpif, portMatch(1), [...output(4), ...push(5)])
    await world.settle()
    send(1, 0, 70)
    await world.settle()
    expect(sent(4)).toEqual(range(0, 70))
    world.dpif.encapPut(entry(5, 2))
    await world.settle()
    expect(sent(2)).toEqual(range(0, 64))
  })

  it('takes packets of main, whose slots it does not keep', async () => {
    await open()
    world.dpif.encapPut(pending)
    const frame = numbered(0, 1)
    const slot = world.dpif.pool.take(frame.length)
    world.dpif.arena.bytes.set(frame, world.dpif.arena.meta[slot * META_WORDS + 3]!)
    world.dpif.arena.meta.fill(0, slot * META_WORDS + 4, (slot + 1) * META_WORDS)
    world.dpif.arena.meta[slot * META_WORDS + 4] = frame.length
    world.dpif.execute(slot, push(5))
    await world.settle()
    expect([waiting(), world.missingSlots()]).toEqual([1, { datapath: 1 }])
    world.dpif.encapPut(entry(5, 2))
    await world.settle()
    expect(sent(2)).toEqual([1])
  })
})

describe('a ready entry', () => {
  it('is replaced for all flows that name it at once, their order kept', async () => {
    await open()
    world.dpif.encapPut(entry(5, 2))
    for (const flow of [0, 1]) putFlow(world.dpif, flowMatch(1, flow), push(5))
    await world.settle()
    send(1, 0, 20, 0)
    send(1, 0, 20, 1)
    await world.settle()
    world.dpif.encapPut(entry(5, 3))
    await world.settle()
    send(1, 20, 40, 0)
    send(1, 20, 40, 1)
    await world.settle()
    for (const flow of [0, 1]) expect([sent(2, flow), sent(3, flow)]).toEqual([range(0, 20), range(20, 40)])
  })

  it('can send by a second pass through the underlay, whose upcalls keep the order', async () => {
    await open()
    world.dpif.encapPut(entry(5, 2, { state: 'pending', reason: 'neighbour-pending', actions: [] }))
    putFlow(world.dpif, portMatch(1), push(5))
    await world.settle()
    const upcalls: number[] = []
    world.dpif.onUpcall((slot) => upcalls.push(slot))
    send(1, 0, 10)
    await world.settle()
    world.dpif.encapPut(entry(5, 2, { reason: 'underlay-ambiguous', actions: [{ type: 'reenter', port: 3 }] }))
    send(1, 10, 20)
    await world.settle()
    expect(upcalls.length).toBe(1)
    expect(world.dpif.arena.meta[upcalls[0]! * META_WORDS + M_PORT]).toBe(3)
    expect(keyOf(world.dpif, upcalls[0]!)[K_TUN_ID + 1]).toBe(0)
    putFlow(world.dpif, portMatch(3), output(2))
    world.dpif.upcallDone(upcalls[0]!, output(2))
    await world.settle()
    send(1, 20, 30)
    await world.settle()
    expect([upcalls.length, sent(2)]).toEqual([1, range(0, 30)])
  })

  it('that leads back into itself ends after 5 look-ups', async () => {
    await open()
    world.dpif.encapPut(entry(5, 2, { actions: [{ type: 'reenter', port: 3 }] }))
    putFlow(world.dpif, portMatch(1), push(5))
    putFlow(world.dpif, portMatch(3), push(5))
    await world.settle()
    send(1, 0, 3)
    await world.settle()
    const drops = { ...world.drops(1), ...world.drops(3) }
    // Headroom may end before the count of look-ups does.
    expect((drops['recirc-limit'] ?? 0) + (drops['action-malformed'] ?? 0)).toBe(3)
  })
})

describe('packets too big for the underlay', () => {
  const narrow = entry(5, 2, { mtu: 100 })
  const fits = (n: number) => numbered(0, n)
  const large = (n: number) => numbered(0, n, { payload: Array<number>(64).fill(n) })

  it('go to main as they are, with the entry; later ones of their microflow wait', async () => {
    await open()
    world.dpif.encapPut(narrow)
    putFlow(world.dpif, portMatch(1), push(5))
    await world.settle()
    const got: [number, number][] = []
    world.dpif.onTooBig((slot, encap) => got.push([slot, encap]))
    world.port(1).inject(fits(0))
    world.port(1).inject(large(1))
    world.port(1).inject(fits(2))
    world.port(1).inject(large(3))
    world.port(1).inject(numbered(1, 7))
    await world.settle()
    expect([got.length, got[0]![1]]).toEqual([1, 5])
    expect([sent(2, 0), sent(2, 1)]).toEqual([[0], [7]])
    world.dpif.upcallDone(got[0]![0], [])
    await world.settle()
    expect([got.length, sent(2, 0)]).toEqual([2, [0, 2]])
    expect(world.drops(1)).toEqual({})
    world.dpif.upcallDone(got[1]![0], [{ type: 'drop', reason: 'tunnel-mtu' }])
    await world.settle()
    expect(world.drops(1)).toEqual({ 'tunnel-mtu': 1 })
    expect(world.dpif.shared.counters[C_TOO_BIG]).toBe(2)
    expect(world.counters().upcalls).toBe(0)
  })

  it('are counted drops when nobody takes them', async () => {
    await open()
    world.dpif.encapPut(narrow)
    putFlow(world.dpif, portMatch(1), push(5))
    await world.settle()
    for (let n = 0; n < 10; n++) world.port(1).inject(n % 2 ? large(n) : fits(n))
    await world.settle()
    expect([sent(2), world.drops(1)]).toEqual([[0, 2, 4, 6, 8], { 'tunnel-mtu': 5 }])
  })

  it('that waited for the next hop keep their place too', async () => {
    await open()
    world.dpif.encapPut({ ...narrow, state: 'pending', actions: [] })
    putFlow(world.dpif, portMatch(1), push(5))
    await world.settle()
    const got: number[] = []
    world.dpif.onTooBig((slot) => got.push(slot))
    for (let n = 0; n < 6; n++) world.port(1).inject(n === 1 ? large(n) : fits(n))
    await world.settle()
    world.dpif.encapPut(narrow)
    world.port(1).inject(fits(6))
    await world.settle()
    expect([got.length, sent(2)]).toEqual([1, [0]])
    world.dpif.upcallDone(got[0]!, [])
    await world.settle()
    expect(sent(2)).toEqual([0, 2, 3, 4, 5, 6])
  })

  it('are bounded as upcalls are', async () => {
    await open({ limits: { upcallsPerPort: 4, upcalls: 4 } })
    world.dpif.encapPut(narrow)
    putFlow(world.dpif, portMatch(1), push(5))
    await world.settle()
    const got: number[] = []
    world.dpif.onTooBig((slot) => got.push(slot))
    for (let flow = 0; flow < 10; flow++)
      world.port(1).inject(numbered(flow, 0, { payload: Array<number>(60).fill(0) }))
    await world.settle()
    expect([got.length, world.drops(1)]).toEqual([4, { 'tunnel-mtu': 6 }])
    for (const slot of got) world.dpif.upcallDone(slot, [])
  })
})

describe('decapsulated packets', () => {
  it('come by the tunnel port with their metadata, and their own flows take them', async () => {
    await open()
    putFlow(world.dpif, outerMatch(2), pop)
    await world.settle()
    const upcalls: number[] = []
    world.dpif.onUpcall((slot) => upcalls.push(slot))
    for (let n = 0; n < 5; n++) world.port(2).inject(wrapped(0, n))
    await world.settle()
    expect(upcalls.length).toBe(1)
    const key = keyOf(world.dpif, upcalls[0]!)
    expect([key[K_IN_PORT], key[K_TUN_ID + 1]]).toEqual([VXLAN, VNI])
    const id = putFlow(world.dpif, innerMatch(VXLAN, 0), output(1))
    world.dpif.upcallDone(upcalls[0]!, output(1))
    await world.settle()
    for (let n = 5; n < 10; n++) world.port(2).inject(wrapped(0, n))
    await world.settle()
    expect(sent(1)).toEqual(range(0, 10))
    expect(world.port(1).sent[9]!.data).toEqual(numbered(0, 9))
    const stats = { packets: 0, bytes: 0, used: 0, tcpFlags: 0 }
    world.dpif.flowStats(id, stats)
    expect([stats.packets, stats.bytes]).toEqual([9, 9 * 46])
  })

  it('wait for upcalls of their own microflow, not for those of the outer one', async () => {
    await open()
    putFlow(world.dpif, outerMatch(2), pop)
    putFlow(world.dpif, innerMatch(VXLAN, 1), output(1))
    await world.settle()
    const upcalls: number[] = []
    world.dpif.onUpcall((slot) => upcalls.push(slot))
    for (let n = 0; n < 80; n++)
      for (const flow of [0, 1]) world.port(2).inject(wrapped(flow, n, { sourcePort: 40000 }))
    await world.settle()
    expect([upcalls.length, sent(1, 1)]).toEqual([1, range(0, 80)])
    world.dpif.upcallDone(upcalls[0]!, output(1))
    await world.settle()
    while (upcalls.length > 1) {
      world.dpif.upcallDone(upcalls.pop()!, output(1))
      await world.settle()
    }
    expect(world.drops(2)).toEqual({})
    expect(world.drops(VXLAN)).toEqual({ 'upcall-park-full': 15 })
  })

  it('that are wrong are counted where they came in', async () => {
    await open()
    putFlow(world.dpif, outerMatch(2), pop)
    await world.settle()
    const cut = wrapped(0, 0)
    cut[42] = 0
    world.port(2).inject(cut)
    const corrupt = wrapped(0, 1)
    corrupt[24] = corrupt[24]! ^ 1
    world.port(2).inject(corrupt)
    world.port(2).inject(wrapped(0, 2, { tos: 3 }))
    await world.settle()
    expect(world.drops(2)).toEqual({ 'decap-malformed': 1, 'decap-checksum': 1, 'decap-ecn': 1 })
  })
})
