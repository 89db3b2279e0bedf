/** Tunnels in tier 3: rules that put outer headers on, rules in two stages that take them off, and what goes up to tier 2 instead. */
import { afterEach, describe, expect, it } from 'vitest'
import { GSO_TCPV4, GSO_UDP_TUNNEL_IPV4 } from '../../../src/packet/slot.ts'
import { PS_TX_BYTES, PS_TX_PACKETS } from '../../../src/port/contract.ts'
import { flowMatch, output, portMatch, putFlow } from './flows.ts'
import { build, numbered, numberOf } from './frames.ts'
import { World, type WorldOptions } from './harness.ts'
import { entry, HEADERS, innerMatch, outerMatch, pop, push, VXLAN, wrapped } from './tunnels.ts'

let world: World

/** 1: a VF, 2 and 3: uplinks, all on nic0; 4: of tier 2. */
const open = async (options: WorldOptions = {}): Promise<World> => {
  world = new World({ eswitches: { nic0: 16 }, small: 1024, ...options })
  await world.start()
  await world.addVf(1, 'vf1', 'nic0')
  await world.addVf(2, 'p2', 'nic0')
  await world.addVf(3, 'p3', 'nic0')
  await world.addPort(4, 'tap4')
  await world.dpif.portAdd({ no: VXLAN, name: 'vxlan_4789', kind: 'vxlan' })
  return world
}

afterEach(async () => {
  await world.settle()
  expect([world.missingSlots(), world.core('nic0').held]).toEqual([{}, 0])
})

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)
const send = (from: number, to: number, flow = 0): void => {
  for (const n of range(from, to)) world.port(1).inject(numbered(flow, n))
}
const sendWrapped = (from: number, to: number, flow = 0, port = 2): void => {
  for (const n of range(from, to)) world.port(port).inject(wrapped(flow, n))
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
const counted = (id: number): [number, number] => {
  const stats = { packets: 0, bytes: 0, used: 0, tcpFlags: 0 }
  world.eswitch('nic0').ruleStats(id, stats)
  return [stats.packets, stats.bytes]
}
const nic = () => world.eswitch('nic0')

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

describe('a pair of rules that decapsulates', () => {
  const OUTER_RULE = 100
  const INNER_RULE = 200

  /** Tier 2's flows, which alone carry everything too; `inner`: flows of the inner packets. */
  const openPop = async (inner = [0]): Promise<void> => {
    await open()
    putFlow(world.dpif, outerMatch(2), pop)
    for (const flow of inner) putFlow(world.dpif, innerMatch(VXLAN, flow), output(1))
    await world.settle()
  }
  const putOuter = (): string => nic().rulePut({ id: OUTER_RULE, match: outerMatch(2), actions: pop })
  const putInner = (flow = 0): string =>
    nic().rulePut({ id: INNER_RULE + flow, match: innerMatch(2, flow), actions: output(1) })

  it('carries what both match, and both count it: with and without outer headers', async () => {
    await openPop()
    putOuter()
    putInner()
    await world.settle()
    sendWrapped(0, 100)
    await world.settle()
    expect([frames(), sent(1)]).toEqual([0, range(0, 100)])
    expect(world.port(1).sent[7]!.data).toEqual(numbered(0, 7))
    expect([counted(OUTER_RULE), counted(INNER_RULE)]).toEqual([
      [100, 100 * (46 + HEADERS)],
      [100, 100 * 46],
    ])
    expect(nic().memory.counters[1]).toBe(100)
  })

  it('sends up, as they came, packets for which there is no inner rule, and counts none of them', async () => {
    await openPop([])
    putOuter()
    putInner(1)
    await world.settle()
    putFlow(world.dpif, innerMatch(VXLAN), output(1))
    sendWrapped(0, 10)
    sendWrapped(0, 10, 1)
    await world.settle()
    expect([frames(), sent(1), sent(1, 1)]).toEqual([10, range(0, 10), range(0, 10)])
    expect([counted(OUTER_RULE)[0], counted(INNER_RULE + 1)[0]]).toEqual([10, 10])
  })

  it('needs both: with one of them gone or not there yet tier 2 carries all, in order', async () => {
    await openPop()
    putInner()
    await world.settle()
    sendWrapped(0, 10)
    await world.settle()
    expect([frames(), sent(1)]).toEqual([10, range(0, 10)])
    putOuter()
    sendWrapped(10, 20)
    await world.settle()
    expect(nic().ruleActive(OUTER_RULE)).toBe(true)
    const before = frames()
    sendWrapped(20, 30)
    await world.settle()
    expect(frames()).toBe(before)
    nic().ruleDel(OUTER_RULE)
    sendWrapped(30, 40)
    await world.settle()
    putOuter()
    await world.settle()
    nic().ruleDel(INNER_RULE)
    sendWrapped(40, 50)
    await world.settle()
    expect([frames() > before, sent(1)]).toEqual([true, range(0, 50)])
  })

  it('holds frames as they came while a rule of the pair is armed, also when it goes meanwhile', async () => {
    await openPop()
    putOuter()
    await world.settle()
    world.pauseDatapath(true)
    sendWrapped(0, 10)
    await world.settle()
    putInner()
    await world.settle()
    sendWrapped(10, 20)
    await world.settle()
    expect([world.core('nic0').held, sent(1)]).toEqual([10, []])
    world.pauseDatapath(false)
    await world.settle()
    expect([nic().ruleActive(INNER_RULE), sent(1)]).toEqual([true, range(0, 20)])
    expect([counted(OUTER_RULE)[0], counted(INNER_RULE)[0]]).toEqual([10, 10])
    nic().ruleDel(INNER_RULE)
    await world.settle()
    world.pauseDatapath(true)
    putInner()
    await world.settle()
    sendWrapped(20, 30)
    await world.settle()
    expect(world.core('nic0').held).toBe(10)
    nic().ruleDel(INNER_RULE)
    await world.settle()
    world.pauseDatapath(false)
    await world.settle()
    expect(sent(1)).toEqual(range(0, 30))
  })

  it('keeps frames whose inner rule is gone behind those before them of which it is not known what is inside', async () => {
    await openPop()
    world.pauseDatapath(true)
    sendWrapped(0, 1)
    await world.settle()
    putOuter()
    await world.settle()
    // Congestion is marked outside: the packet inside must be written, which is nothing for an eswitch.
    world.port(2).inject(wrapped(0, 1, { tos: 3, inner: { ip: { src: '10.0.0.1', dst: '10.0.0.2', tos: 2 } } }))
    sendWrapped(2, 8)
    await world.settle()
    expect(world.core('nic0').held).toBe(7)
    world.pauseDatapath(false)
    for (let steps = 0; steps < 10 && world.core('nic0').held === 7; steps++) world.step()
    world.pauseDatapath(true)
    expect(world.core('nic0').held).toBe(6)
    putInner()
    await world.settle()
    sendWrapped(8, 9)
    await world.settle()
    expect(world.core('nic0').held).toBe(7)
    nic().ruleDel(INNER_RULE)
    await world.settle()
    world.pauseDatapath(false)
    await world.settle()
    expect(sent(1)).toEqual(range(0, 9))
  })

  it('holds frames of an armed outer rule, and finds the inner rule when that is active', async () => {
    await openPop()
    world.pauseDatapath(true)
    sendWrapped(0, 5)
    await world.settle()
    putOuter()
    await world.settle()
    sendWrapped(5, 10)
    await world.settle()
    putInner()
    await world.settle()
    sendWrapped(10, 15)
    await world.settle()
    expect(world.core('nic0').held).toBe(10)
    world.pauseDatapath(false)
    await world.settle()
    expect([sent(1), world.core('nic0').held]).toEqual([range(0, 15), 0])
    const before = frames()
    sendWrapped(15, 25)
    await world.settle()
    expect([frames(), sent(1)]).toEqual([before, range(0, 25)])
  })

  it('waits for inner upcalls of frames that came by its port', async () => {
    await openPop([])
    const upcalls: number[] = []
    world.dpif.onUpcall((slot) => upcalls.push(slot))
    sendWrapped(0, 5)
    await world.settle()
    putOuter()
    putInner()
    await world.settle()
    sendWrapped(5, 10)
    await world.settle()
    expect([upcalls.length, nic().ruleActive(INNER_RULE), world.core('nic0').held]).toEqual([1, false, 5])
    putFlow(world.dpif, innerMatch(VXLAN, 0), output(1))
    world.dpif.upcallDone(upcalls[0]!, output(1))
    await world.settle()
    expect([sent(1), nic().ruleActive(INNER_RULE)]).toEqual([range(0, 10), true])
  })

  it('leaves to tier 2 what must be written or is wrong', async () => {
    await openPop()
    putOuter()
    putInner()
    await world.settle()
    const marked = { inner: { ip: { src: '10.0.0.1', dst: '10.0.0.2', tos: 2 } } }
    world.port(2).inject(wrapped(0, 0, { tos: 3, ...marked }))
    world.port(2).inject(wrapped(0, 1, { tos: 3 }))
    const cut = wrapped(0, 2)
    cut[42] = 0
    world.port(2).inject(cut)
    await world.settle()
    expect([frames(), sent(1), world.drops(2)]).toEqual([3, [0], { 'decap-ecn': 1, 'decap-malformed': 1 }])
    expect(world.port(1).sent[0]!.data[15]).toBe(3)
  })

  it('is not taken for a rule of the port that leaves tunnel metadata open', async () => {
    await openPop([])
    putFlow(world.dpif, innerMatch(VXLAN), output(1))
    const open = portMatch(2)
    open.mask[43] = 0xffff0000 | 0
    open.key[43] = 1000 << 16
    nic().rulePut({ id: 1, match: open, actions: output(3) })
    putOuter()
    await world.settle()
    sendWrapped(0, 5)
    await world.settle()
    expect([sent(1), sent(3)]).toEqual([range(0, 5), []])
  })

  it('sends on into another tunnel', async () => {
    await openPop([])
    world.dpif.encapPut(entry(5, 3))
    nic().encapPut(entry(5, 3))
    putFlow(world.dpif, innerMatch(VXLAN, 0), push(5))
    putOuter()
    nic().rulePut({ id: INNER_RULE, match: innerMatch(2, 0), actions: push(5) })
    await world.settle()
    sendWrapped(0, 10)
    await world.settle()
    nic().encapDel(5)
    await world.settle()
    sendWrapped(10, 20)
    await world.settle()
    expect([frames(), sent(3)]).toEqual([10, range(0, 20)])
    expect(world.port(3).sent[0]!.data.length).toBe(46 + HEADERS)
  })

  it('waits for frames that are at the next hop of another tunnel', async () => {
    await openPop([])
    world.dpif.encapPut(entry(5, 3, { state: 'pending', actions: [] }))
    nic().encapPut(entry(5, 3))
    putFlow(world.dpif, innerMatch(VXLAN, 0), push(5))
    await world.settle()
    sendWrapped(0, 5)
    await world.settle()
    putOuter()
    nic().rulePut({ id: INNER_RULE, match: innerMatch(2, 0), actions: push(5) })
    await world.settle()
    sendWrapped(5, 10)
    await world.settle()
    expect([nic().ruleActive(INNER_RULE), sent(3)]).toEqual([false, []])
    world.dpif.encapPut(entry(5, 3))
    await world.settle()
    expect([nic().ruleActive(INNER_RULE), sent(3)]).toEqual([true, range(0, 10)])
  })

  it('refuses what is no rule', async () => {
    await open()
    const put = (actions: Parameters<ReturnType<typeof nic>['rulePut']>[0]['actions']) =>
      nic().rulePut({ id: 1, match: portMatch(1), actions })
    expect(() => put([...output(2), ...pop])).toThrow(/tnl_pop as the only action/)
    expect(() => put([{ type: 'clone', actions: pop }, ...output(2)])).toThrow(/tnl_pop/)
    expect(() => put([{ type: 'reenter', port: 1 }])).toThrow(/reenter/)
    expect(nic().ruleCount).toBe(0)
  })
})

describe('super-frames', () => {
  it('go in and out of a tunnel whole, and count as the segments that they are on the wire', async () => {
    await open()
    nic().encapPut(entry(5, 2, { mtu: 1600 }))
    nic().rulePut({ id: 1, match: portMatch(1), actions: push(5) })
    nic().rulePut({ id: 2, match: outerMatch(3), actions: pop })
    nic().rulePut({ id: 3, match: innerMatch(3), actions: output(1) })
    await world.settle()
    const payload = Array.from({ length: 5 * 1448 + 100 }, (_, i) => i & 255)
    const frame = build(
      {
        dst: '02:00:00:00:00:02',
        src: '02:00:00:00:00:01',
        ip: { src: '10.0.0.1', dst: '10.0.0.2' },
        tcp: { src: 1, dst: 2 },
        payload,
      },
      true,
    )
    const facts = { vflags: 1, gsoType: GSO_TCPV4, gsoSize: 1448, hdrLen: 54, csumStart: 34, csumOff: 16 }
    world.port(1).inject(frame, facts)
    await world.settle()
    const out = world.port(2).sent[0]!
    expect(out.vnet.gsoType).toBe(GSO_TCPV4 | GSO_UDP_TUNNEL_IPV4)
    const onWire = payload.length + 6 * 54
    expect([counted(1), world.count(2, PS_TX_PACKETS), world.count(2, PS_TX_BYTES)]).toEqual([
      [6, onWire],
      6,
      onWire + 6 * HEADERS,
    ])
    world.port(3).inject(out.data, out.vnet)
    await world.settle()
    expect([counted(2), counted(3)]).toEqual([
      [6, onWire + 6 * HEADERS],
      [6, onWire],
    ])
    expect([world.port(1).sent[0]!.data, world.port(1).sent[0]!.vnet]).toMatchObject([frame, facts])
  })

  it('are too big only if a segment is', async () => {
    await open()
    const taken: number[] = []
    world.dpif.onTooBig((slot, id) => {
      taken.push(id)
      world.dpif.upcallDone(slot, [])
    })
    for (const [id, mtu] of [
      [5, 1552],
      [6, 1551],
    ] as const) {
      nic().encapPut(entry(id, 2, { mtu }))
      world.dpif.encapPut(entry(id, 2, { mtu }))
    }
    putFlow(world.dpif, portMatch(1), push(6))
    await world.settle()
    const frame = build(
      {
        dst: '02:00:00:00:00:02',
        src: '02:00:00:00:00:01',
        ip: { src: '10.0.0.1', dst: '10.0.0.2' },
        tcp: { src: 1, dst: 2 },
        payload: Array<number>(3000).fill(1),
      },
      true,
    )
    // 54 bytes of headers and 1,462 of data in the longest one, 36 without Ethernet's in front.
    const facts = { vflags: 1, gsoType: GSO_TCPV4, gsoSize: 1462, hdrLen: 54, csumStart: 34, csumOff: 16 }
    nic().rulePut({ id: 1, match: portMatch(1), actions: push(5) })
    await world.settle()
    world.port(1).inject(frame, facts)
    await world.settle()
    expect([world.port(2).sent.length, taken]).toEqual([1, []])
    nic().rulePut({ id: 1, match: portMatch(1), actions: push(6) })
    await world.settle()
    world.port(1).inject(frame, facts)
    await world.settle()
    expect([world.port(2).sent.length, taken]).toEqual([1, [6]])
  })
})
