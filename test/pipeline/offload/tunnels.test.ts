/** Tunnels through all tiers: what changes of routes, neighbours, MTUs and workers do to traffic that is on its way. */
import { afterEach, describe, expect, test } from 'vitest'
import { parseFlow } from '../../../src/flow/ofp-text.ts'
import { Nics, type NicsOptions, P0, P1, P2, UPLINKS, VF0 } from './nics.ts'

let nics: Nics
/** Sent so far, and received so far, by peer and flow. */
let out: Map<string, number>
let back: Map<string, number>

const open = async (options: NicsOptions = {}): Promise<Nics> => {
  nics = await Nics.open(options)
  out = new Map()
  back = new Map()
  return nics
}
afterEach(() => nics.close())

const next = (counts: Map<string, number>, peer: number, flow: number): number => {
  const n = counts.get(`${peer} ${flow}`) ?? 0
  counts.set(`${peer} ${flow}`, n + 1)
  return n
}
const send = (peer: number, flow: number, count = 1): void => {
  for (let i = 0; i < count; i++) nics.send(peer, flow, next(out, peer, flow))
}
const receive = (peer: number, flow: number, uplink = P0, count = 1): void => {
  for (let i = 0; i < count; i++) nics.receive(peer, flow, next(back, peer, flow), uplink)
}
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

/** All that was sent left, each once; by each uplink in order. */
const expectAll = (peer: number, flow: number): void => {
  const left = UPLINKS.map((port) => nics.left(port, peer, flow))
  for (const numbers of left) expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
  expect(left.flat().sort((a, b) => a - b)).toEqual(upTo(out.get(`${peer} ${flow}`) ?? 0))
  expect(nics.left(VF0, peer, flow)).toEqual(upTo(back.get(`${peer} ${flow}`) ?? 0))
}

/** One flow each way, known to all tiers. */
const openOne = async (options: NicsOptions = {}): Promise<void> => {
  await open(options)
  send(1, 0)
  receive(1, 0)
  await nics.rest()
}

const codes = (): [string, string] => [
  Object.keys(nics.verdicts('encap')).join(),
  Object.keys(nics.verdicts('decap')).join(),
]
const IN_NIC0: [string, string] = ['offloaded nic0', 'offloaded nic0']

/** Traffic goes on both ways while things happen, a few frames each round; then all comes to rest. */
const during = async (change: () => void, uplink = P0): Promise<void> => {
  for (let round = 0; round < 30; round++) {
    if (round === 10) change()
    send(1, 0, 3)
    receive(1, 0, uplink, 3)
    await nics.step()
  }
  await nics.rest()
}

/** Frames that tier 2 sees of `count` each way. */
const slowly = async (uplink = P0, count = 20): Promise<number> => {
  const before = nics.slow()
  send(1, 0, count)
  receive(1, 0, uplink, count)
  await nics.rest()
  return nics.slow() - before
}

describe('a route that moves under traffic', () => {
  test('to the other uplink of the NIC and back: in tier 3 all the time, no upcall, nothing lost', async () => {
    await openOne()
    const upcalls = nics.upcalls()
    nics.news()
    for (const [by, uplink, before] of [
      [2, P1, P0],
      [1, P0, P1],
    ] as const) {
      await during(() => nics.route(1, by), before)
      expect(codes()).toEqual(IN_NIC0)
      expect(await slowly(uplink)).toBe(0)
      expect(nics.left(uplink, 1, 0).at(-1)).toBe(out.get('1 0')! - 1)
      const [event] = nics.news()
      expect(event).toMatchObject({ kind: 'route', text: '192.168.1.1/32', flows: 2, moved: 2, refused: 0 })
      expect(event!.micros).toBeGreaterThanOrEqual(0)
    }
    expectAll(1, 0)
    expect([nics.upcalls() - upcalls, nics.drops()]).toEqual([0, {}])
  })

  test('to the other NIC, and back', async () => {
    await openOne()
    const upcalls = nics.upcalls()
    nics.news()
    await during(() => nics.route(1, 3))
    expect(codes()).toEqual(['other-switch', 'other-switch'])
    expect(nics.news()).toMatchObject([{ flows: 2, moved: 0, refused: 2, offloaded: 0 }])
    expect(await slowly(P2)).toBe(40)
    await during(() => nics.route(1, 1), P2)
    expect(codes()).toEqual(IN_NIC0)
    expect(nics.news()).toMatchObject([{ flows: 2, refused: 0, offloaded: 2 }])
    expect(await slowly(P0)).toBe(0)
    expectAll(1, 0)
    expect([nics.upcalls() - upcalls, nics.drops()]).toEqual([0, {}])
  })

  test('the talk: packets arrive by the other NIC; when the route brings them to the guest’s, no packet needs an upcall', async () => {
    await open({ by: 3 })
    send(1, 0)
    receive(1, 0, P2)
    await nics.rest()
    expect(nics.verdicts('decap')).toEqual({ 'other-switch': 1 })
    const upcalls = nics.upcalls()
    nics.route(1, 1)
    await nics.rest()
    expect(nics.verdicts('decap')).toEqual({ 'offloaded nic0': 1 })
    expect(nics.preinstalled).toBe(1)
    expect(await slowly(P0)).toBe(0)
    expect(nics.upcalls()).toBe(upcalls)
    expectAll(1, 0)
  })

  test('over both uplinks of the NIC: packets may come by either', async () => {
    await openOne()
    const upcalls = nics.upcalls()
    await during(() => nics.route(1, 1, 2))
    expect(codes()).toEqual(IN_NIC0)
    expect(await slowly(P0)).toBe(0)
    expect(await slowly(P1)).toBe(0)
    expectAll(1, 0)
    expect([nics.upcalls() - upcalls, nics.drops()]).toEqual([0, {}])
  })

  test('over two NICs: what comes back is for tier 2, what goes leaves by the one or the other', async () => {
    await openOne()
    const upcalls = nics.upcalls()
    await during(() => nics.route(1, 1, 3))
    expect(codes()[1]).toBe('other-switch')
    expect(['offloaded nic0', 'other-switch']).toContain(codes()[0])
    await slowly(P0)
    await slowly(P2)
    await during(() => nics.route(1, 2), P2)
    expect(codes()).toEqual(IN_NIC0)
    expect(await slowly(P1)).toBe(0)
    expectAll(1, 0)
    expect([nics.upcalls() - upcalls, nics.drops()]).toEqual([0, {}])
  })

  test('from one NIC to the other again and again, without a rest', async () => {
    await openOne()
    const upcalls = nics.upcalls()
    for (let move = 0; move < 40; move++) {
      nics.route(1, [3, 1, 2, 1][move % 4]!)
      for (let round = 0; round < move % 7; round++) {
        send(1, 0, 2)
        await nics.step()
      }
    }
    await nics.rest()
    expect(codes()).toEqual(IN_NIC0)
    expectAll(1, 0)
    expect([nics.upcalls() - upcalls, nics.drops()]).toEqual([0, {}])
  })

  test('is away and comes back', async () => {
    await openOne()
    nics.route(1)
    await nics.rest()
    expect(codes()).toEqual(['no-route', 'no-route'])
    nics.route(1, 1)
    await nics.rest()
    expect(codes()).toEqual(IN_NIC0)
    expect(await slowly()).toBe(0)
    expectAll(1, 0)
  })
})

describe('a next hop', () => {
  test('that is not known yet: packets wait in tier 2, are ahead of what tier 3 sends then, and none is lost', async () => {
    await open({ known: false })
    nics.know(1, 'pending')
    for (let round = 0; round < 10; round++) {
      send(1, 0, 2)
      await nics.step()
    }
    await nics.rest(1)
    expect(nics.verdicts('encap')).toEqual({ 'neighbour-pending': 1 })
    expect(nics.left(P0, 1, 0)).toEqual([])
    const upcalls = nics.upcalls()
    for (let round = 0; round < 20; round++) {
      if (round === 5) nics.know(1)
      send(1, 0, 2)
      await nics.step()
    }
    await nics.rest(1)
    expect(nics.verdicts('encap')).toEqual({ 'offloaded nic0': 1 })
    expect(nics.left(P0, 1, 0)).toEqual(upTo(60))
    const before = nics.slow()
    send(1, 0, 20)
    await nics.rest(1)
    expect(nics.slow()).toBe(before)
    expectAll(1, 0)
    expect([nics.upcalls() - upcalls, nics.drops()]).toEqual([0, {}])
  })

  test('that changes its address: rules stay, the next frame has it', async () => {
    await openOne()
    const rules = [...nics.world.eswitch('nic0').ruleIds()]
    nics.news()
    await during(() => nics.know(1, 77))
    // Besides there is one for outer packets with the new address.
    expect([...nics.world.eswitch('nic0').ruleIds()].slice(0, -1)).toEqual(rules)
    expect(nics.news()[0]).toMatchObject({ kind: 'neighbour', moved: expect.any(Number), refused: 0 })
    const macs = nics.frames(P0).map(({ data }) => data[5])
    expect(new Set(macs)).toEqual(new Set([1, 77]))
    expect(macs).toEqual([...macs].sort((a, b) => a! - b!))
    expectAll(1, 0)
    expect(nics.drops()).toEqual({})
  })

  test('that fails and answers again', async () => {
    await openOne()
    nics.know(1, 'failed')
    await nics.rest()
    expect(codes()).toEqual(['neighbour-failed', 'neighbour-failed'])
    nics.know(1)
    await nics.rest()
    expect(codes()).toEqual(IN_NIC0)
    expect(await slowly()).toBe(0)
    expectAll(1, 0)
  })
})

describe('MTU', () => {
  test('too small, then large enough', async () => {
    await openOne()
    const set = (mtu: number) => (): void => {
      nics.mtus.set(VF0, 1500).set(P0, mtu)
      nics.offload.mtuChanged(P0)
    }
    await during(set(1549))
    expect(codes()).toEqual(['mtu', 'offloaded nic0'])
    await during(set(1550))
    expect(codes()).toEqual(IN_NIC0)
    expect(await slowly()).toBe(0)
    expectAll(1, 0)
    expect(nics.drops()).toEqual({})
  })
})

describe('workers and outer flows', () => {
  test('a worker that dies in mid-stream: tier 2 goes on, then tier 3 again, entries and all', async () => {
    await openOne()
    const upcalls = nics.upcalls()
    await nics.world.settle()
    nics.world.kill('nic0')
    expect(codes()).toEqual(['worker-gone', 'worker-gone'])
    await nics.rest(0)
    expect(await slowly()).toBeGreaterThanOrEqual(40)
    // While it is away the route moves.
    nics.route(1, 2)
    await nics.rest(5000)
    expect(codes()).toEqual(IN_NIC0)
    await nics.rest()
    expect(await slowly(P1)).toBe(0)
    expectAll(1, 0)
    expect([nics.upcalls() - upcalls, nics.drops()]).toEqual([0, {}])
  })

  test('an outer flow that is no tnl_pop any more takes the inner rules with it, and brings them back', async () => {
    await openOne()
    const rule = 'priority=100,in_port=1,udp,tp_dst=4789'
    const bridge = nics.ofproto.bridge('br0')!
    bridge.tables.add(parseFlow(`${rule},actions=drop`))
    await nics.rest(100)
    expect(codes()).toEqual(['offloaded nic0', 'outer-flow'])
    const before = nics.frames(VF0).length
    nics.receive(1, 0, 99)
    await nics.rest()
    expect(nics.frames(VF0).length).toBe(before)
    bridge.tables.delete(parseFlow(rule, { kind: 'delete' }), false)
    await nics.rest(100)
    expect(codes()).toEqual(IN_NIC0)
    expect(await slowly()).toBe(0)
    expectAll(1, 0)
  })
})

test('1,000 flows over 50 peers: an event looks at those of its peer', async () => {
  await open({ peers: 50, flows: 10 })
  for (let peer = 1; peer <= 50; peer++)
    for (let flow = 0; flow < 10; flow++) {
      send(peer, flow)
      receive(peer, flow)
      if (flow % 5 === 4) await nics.rest(0)
    }
  await nics.rest()
  expect(nics.verdicts('encap')).toEqual({ 'offloaded nic0': 500 })
  expect(nics.verdicts('decap')).toEqual({ 'offloaded nic0': 500 })
  expect(nics.offload.summary().tunnels).toMatchObject({ endpoints: 50, encap: 500, decap: 500 })
  const upcalls = nics.upcalls()
  nics.news()
  nics.route(7, 2)
  await nics.rest()
  expect(nics.news()).toMatchObject([{ text: '192.168.7.7/32', flows: 20, moved: 20, refused: 0 }])
  nics.route(7, 3)
  await nics.rest()
  expect(nics.news()).toMatchObject([{ flows: 20, refused: 20 }])
  nics.know(9, 200)
  await nics.rest()
  expect(nics.news().reduce((sum, { flows }) => sum + flows, 0)).toBeLessThanOrEqual(20)
  // A prefix over eight peers: seven of them have ways of their own.
  nics.fib.set('192.168.8.0/21', { members: [{ oif: 2, weight: 1 }] })
  await nics.rest()
  expect(nics.news().reduce((sum, { moved }) => sum + moved, 0)).toBe(0)
  const before = nics.slow()
  for (let peer = 1; peer <= 50; peer++) if (peer !== 7) for (let flow = 0; flow < 10; flow++) send(peer, flow)
  await nics.rest()
  expect([nics.slow() - before, nics.upcalls() - upcalls]).toEqual([0, 0])
  for (let peer = 1; peer <= 50; peer++) for (let flow = 0; flow < 10; flow++) expectAll(peer, flow)
  expect(nics.drops()).toEqual({})
})

describe('the golden rule', () => {
  interface Phase {
    readonly change: () => void
    /** By which uplinks packets of peers 1, 2 and 3 come. */
    readonly from: readonly [number, number, number]
    /** All of it should leave by tier 3. */
    readonly eligible?: true
  }

  /** A day in the life, with rests in between so that where a frame leaves does not depend on speed. */
  const phases: readonly Phase[] = [
    { change: () => {}, from: [P0, P0, P0], eligible: true },
    { change: () => nics.route(1, 2), from: [P1, P0, P0], eligible: true },
    { change: () => nics.route(2, 3), from: [P1, P2, P0] },
    { change: () => nics.route(1, 1, 2), from: [P0, P2, P1] },
    { change: () => nics.know(3, 99), from: [P1, P0, P0] },
    { change: () => nics.route(2, 1), from: [P1, P0, P0], eligible: true },
    { change: () => nics.know(1, 'failed'), from: [P1, P0, P0] },
    { change: () => nics.know(1), from: [P1, P0, P0], eligible: true },
    { change: () => nics.route(3), from: [P0, P1, P0] },
    { change: () => nics.route(3, 2), from: [P0, P0, P1], eligible: true },
  ]

  const FLOWS = 4

  const traffic = async (from: Phase['from'], rounds: number): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      for (const peer of [1, 2, 3])
        for (let flow = 0; flow < FLOWS; flow++) {
          send(peer, flow, 3)
          receive(peer, flow, from[peer - 1]!, 3)
        }
      await nics.rest(1)
    }
  }

  test('the same frames leave by the same ports in the same order, offload on and off; at least 80 % by tier 3', async () => {
    const captures: Map<string, string[]>[] = []
    let eligible = 0
    let slow = 0
    for (const offload of [true, false]) {
      await open({ offload, peers: 3, flows: FLOWS })
      for (const phase of phases) {
        phase.change()
        await nics.rest()
        const before = [nics.slow(), nics.total()]
        await traffic(phase.from, 5)
        if (!offload || !phase.eligible) continue
        slow += nics.slow() - before[0]!
        eligible += nics.total() - before[1]!
      }
      captures.push(nics.capture())
      if (offload) await nics.close()
    }
    expect(Object.fromEntries(captures[0]!)).toEqual(Object.fromEntries(captures[1]!))
    expect(eligible).toBeGreaterThan(1500)
    expect(slow / eligible).toBeLessThan(0.2)
  })
})
