import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needKernel } from '../kit/kernel.ts'
import { ping } from '../kit/ping.ts'
import { makeFrames, sendFrames } from '../kit/scapy.ts'
import { Stream, WHOLE } from '../kit/stream.ts'
import { ipBatch } from '../kit/underlay.ts'
import {
  A,
  applied,
  B,
  type Dual,
  eventsSince,
  eventTotal,
  greet,
  hop,
  LOCAL,
  MANY_MAC,
  PEER,
  route,
  startDual,
  type Way,
} from './dual.ts'
import { flowsBetween, untilBoth, verdictOf } from './flows.ts'

/** 1,000 flows of guest `many` to 50 peers, 172.16.0.1 to 172.16.49.1, 20 each. */
const PEERS = 50
const FLOWS = 20
const peerNet = (p: number): string => `172.16.${p}.0/24`

let dual: Dual
beforeAll(async () => {
  const many = Array.from({ length: PEERS * FLOWS }, (_, i) => {
    const p = Math.floor(i / FLOWS)
    const to = `172.16.${p}.1`
    return `priority=10,in_port=1,ip,nw_dst=10.77.${p}.${i % FLOWS},actions=set_field:${to}->tun_dst,set_field:200->tun_id,output:2`
  })
  dual = await startDual({ many, datapath: { 'max-idle': 120_000 } })
  const { guests, daemon } = dual
  await greet(dual)
  await route(dual, 'replace', 'default', ['p0'])
  await ipBatch(
    guests.hv1,
    Array.from({ length: PEERS }, (_, p) => `route add ${peerNet(p)} via ${hop('p0', 2)}`),
  )
  const frames = await makeFrames(`
frames = [Ether(src="${MANY_MAC}", dst="02:00:00:00:72:99")/IP(src="10.77.99.1", dst="10.77.%d.%d" % (p, f))/UDP(sport=7, dport=9)/b"x"
          for p in range(${PEERS}) for f in range(${FLOWS})]`)
  await sendFrames(guests.many, 'vf1', frames, { burst: 8, gap: 0.01 })
  await daemon.until(
    '1,000 tunnelled flows offloaded',
    () => daemon.data<{ tunnels: { encap: number }; offloaded: number }>('offload/show'),
    ({ tunnels, offloaded }) => tunnels.encap >= PEERS * FLOWS && offloaded >= PEERS * FLOWS,
    15_000,
  )
}, 60_000)
afterAll(() => dual?.bed.close())

/** Makes the move while packets run both ways; what the time line has of it. */
const underTraffic = async (
  moves: readonly (readonly [move: () => Promise<unknown>, verdict: string, most: number])[],
): Promise<void> => {
  const { daemon, guests } = dual
  const stream = await Stream.start(guests.a, A.ip, guests.b, B.ip)
  await untilBoth(daemon, A.mac, B.mac, 'offloaded')
  const { misses } = (await daemon.counters()).dpif
  for (const [move, verdict, most] of moves) {
    const before = await eventTotal(daemon)
    await move()
    await untilBoth(daemon, A.mac, B.mac, verdict)
    const events = await eventsSince(daemon, before)
    expect(
      events.reduce((sum, event) => sum + event.flows, 0),
      JSON.stringify(events),
    ).toBeLessThanOrEqual(most)
  }
  const [atA, atB] = await stream.stop()
  expect(atA).toMatchObject(WHOLE)
  expect(atB).toMatchObject(WHOLE)
  expect((await daemon.counters()).dpif.misses - misses).toBe(0)
}

const OTHER = 'other-switch'
/** Flows to and from the peer: an encapsulating and a decapsulated one, each looked at once for the route in hv1; nothing else may be. */
const OWN = 8

describe('under 5,000 packets a second both ways, with 1,000 flows to 50 other peers, none is lost and tier 1 is not asked when', () => {
  it('a /32 moves to the other uplink, to the other NIC, and back', async (context) => {
    await needKernel(context, 'vxlan', 'bridge', 'veth')
    await underTraffic([
      [() => route(dual, 'add', '{}/32', ['p1']), 'offloaded', OWN],
      [() => route(dual, 'replace', '{}/32', ['p2']), OTHER, OWN],
      [() => route(dual, 'replace', '{}/32', ['p1']), 'offloaded', OWN],
      [() => route(dual, 'del', '{}/32', ['p1']), 'offloaded', OWN],
    ])
  })

  it('a /24 does', async (context) => {
    await needKernel(context, 'vxlan', 'bridge', 'veth')
    const net = '192.0.2.0/24'
    await underTraffic([
      [() => route(dual, 'add', net, ['p1']), 'offloaded', OWN],
      [() => route(dual, 'replace', net, ['p2']), OTHER, OWN],
      [() => route(dual, 'del', net, ['p2']), 'offloaded', OWN],
    ])
  })

  it('the default route does', async (context) => {
    await needKernel(context, 'vxlan', 'bridge', 'veth')
    const to = (way: Way) => () => route(dual, 'replace', 'default', [way])
    await underTraffic([
      [to('p1'), 'offloaded', OWN],
      [to('p2'), OTHER, OWN],
      [to('p0'), 'offloaded', OWN],
    ])
  })

  it('a multipath route does', async (context) => {
    await needKernel(context, 'vxlan', 'bridge', 'veth')
    await underTraffic([
      [() => route(dual, 'add', '{}/32', ['p0', 'p1']), 'offloaded', OWN],
      [() => route(dual, 'replace', '{}/32', ['p1']), 'offloaded', OWN],
      [() => route(dual, 'replace', '{}/32', ['p2']), OTHER, OWN],
      [() => route(dual, 'replace', '{}/32', ['p1', 'p0']), 'offloaded', OWN],
      [() => route(dual, 'del', '{}/32', ['p1', 'p0']), 'offloaded', OWN],
    ])
  })

  it('a rule does, for which all flows may be looked at', async (context) => {
    await needKernel(context, 'vxlan', 'bridge', 'veth')
    await route(dual, 'add', 'default', ['p1'], 'table 101')
    await route(dual, 'add', 'default', ['p2'], 'table 102')
    const rule = (verb: 'add' | 'del', table: number) => async () => {
      await ipBatch(dual.guests.hv1, [`rule ${verb} to ${PEER} lookup ${table} priority ${table}`])
      await applied(dual.daemon)
      await ipBatch(dual.guests.peer, [`rule ${verb} to ${LOCAL} lookup ${table} priority ${table}`])
    }
    const all = 2 * PEERS * FLOWS + OWN
    await underTraffic([
      [rule('add', 102), OTHER, all],
      [rule('add', 101), 'offloaded', all],
      [rule('del', 101), OTHER, all],
      [rule('del', 102), 'offloaded', all],
    ])
  })
})

it('a /24 to one of 50 peers moves: 20 flows are looked at, 20 moved, and no other', async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  const { daemon, guests } = dual
  const before = await eventTotal(daemon)
  await ipBatch(guests.hv1, [`route replace ${peerNet(7)} via ${hop('p1', 2)}`])
  const events = await daemon.until(
    'the event is applied',
    () => eventsSince(daemon, before),
    (list) => list.some((event) => event.text.includes(peerNet(7)) && event.micros !== null),
  )
  expect(events.filter((event) => event.text.includes(peerNet(7)))).toMatchObject([
    { kind: 'route', flows: FLOWS, moved: FLOWS, refused: 0, offloaded: 0 },
  ])
})

it('the decap ingress problem: what arrives by eth1, on another switch, is not offloaded and says why; when the route moves to eth0 it is, without an upcall', async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  const { daemon, guests } = dual
  // eth1 is p2, of nic1; eth0 is p0, of the guest's own NIC.
  await route(dual, 'add', '{}/32', ['p2'])
  expect(await ping(guests.b, A.ip)).toMatchObject({ loss: 0 })
  await untilBoth(daemon, A.mac, B.mac, OTHER)
  const [refused] = await flowsBetween(daemon, B.mac, A.mac)
  expect(refused!.match).toContain(`src=${PEER},dst=${LOCAL}`)
  expect(refused!.why).toMatch(/p2|nic1/)
  const stream = await Stream.start(guests.a, A.ip, guests.b, B.ip, { rate: 1000 })
  const before = await daemon.counters()
  await route(dual, 'replace', '{}/32', ['p0'])
  await untilBoth(daemon, A.mac, B.mac, 'offloaded')
  const reports = await stream.stop()
  const after = await daemon.counters()
  for (const report of reports) expect(report).toMatchObject(WHOLE)
  expect(after.dpif.misses - before.dpif.misses).toBe(0)
  const [offloaded] = await flowsBetween(daemon, B.mac, A.mac)
  expect({ verdict: verdictOf(offloaded!), eswitch: offloaded!.eswitch }).toEqual({
    verdict: 'offloaded',
    eswitch: 'nic0',
  })
  // And it is the NIC that carries it.
  const frames = after.dpif.frames
  expect(await ping(guests.b, A.ip, { count: 20, interval: 0.01 })).toMatchObject({ loss: 0 })
  expect((await daemon.counters()).dpif.frames - frames).toBeLessThan(10)
  await route(dual, 'del', '{}/32', ['p0'])
})
