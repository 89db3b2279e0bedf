import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
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
  routeAtOnce,
  startDual,
  type Way,
} from './dual.ts'
import { flowsBetween, untilBoth, verdictOf } from './flows.ts'
import { OTHER, OWN, underTraffic } from './moves.ts'

/** 1,000 flows of guest `many` to 50 peers, 172.16.0.1 to 172.16.49.1, 20 each. */
const PEERS = 50
const FLOWS = 20
/** Of four moves at both ends at once. */
const UPCALLS_AT_ONCE = 8
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

describe('under 5,000 packets a second both ways, with 1,000 flows to 50 other peers, none is lost and tier 1 is not asked when', () => {
  it('a /32 moves to the other uplink, to the other NIC, and back', async (context) => {
    await needKernel(context, 'vxlan', 'bridge', 'veth')
    await underTraffic(dual, [
      [() => route(dual, 'add', '{}', ['p1']), 'offloaded', OWN],
      [() => route(dual, 'replace', '{}', ['p2']), OTHER, OWN],
      [() => route(dual, 'replace', '{}', ['p1']), 'offloaded', OWN],
      [() => route(dual, 'del', '{}', ['p1']), 'offloaded', OWN],
    ])
  })

  it('a /24 does', async (context) => {
    await needKernel(context, 'vxlan', 'bridge', 'veth')
    const net = '192.0.2.0/24'
    await underTraffic(dual, [
      [() => route(dual, 'add', net, ['p1']), 'offloaded', OWN],
      [() => route(dual, 'replace', net, ['p2']), OTHER, OWN],
      [() => route(dual, 'del', net, ['p2']), 'offloaded', OWN],
    ])
  })

  it('the default route does', async (context) => {
    await needKernel(context, 'vxlan', 'bridge', 'veth')
    const to = (way: Way) => () => route(dual, 'replace', 'default', [way])
    await underTraffic(dual, [
      [to('p1'), 'offloaded', OWN],
      [to('p2'), OTHER, OWN],
      [to('p0'), 'offloaded', OWN],
    ])
  })

  it('a multipath route does', async (context) => {
    await needKernel(context, 'vxlan', 'bridge', 'veth')
    await underTraffic(dual, [
      [() => route(dual, 'add', '{}', ['p0', 'p1']), 'offloaded', OWN],
      [() => route(dual, 'replace', '{}', ['p1']), 'offloaded', OWN],
      [() => route(dual, 'replace', '{}', ['p2']), OTHER, OWN],
      [() => route(dual, 'replace', '{}', ['p1', 'p0']), 'offloaded', OWN],
      [() => route(dual, 'del', '{}', ['p1', 'p0']), 'offloaded', OWN],
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
    await underTraffic(dual, [
      [rule('add', 102), OTHER, all],
      [rule('add', 101), 'offloaded', all],
      [rule('del', 101), OTHER, all],
      [rule('del', 102), 'offloaded', all],
    ])
  })
})

it('both ends move at once: none is lost, and tier 1 is asked about what comes by another way before hv1 has heard of it, no more', async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  await underTraffic(
    dual,
    [
      [() => routeAtOnce(dual, 'add', '{}', ['p1']), 'offloaded', OWN],
      [() => routeAtOnce(dual, 'replace', '{}', ['p2']), OTHER, OWN],
      [() => routeAtOnce(dual, 'replace', '{}', ['p1']), 'offloaded', OWN],
      [() => routeAtOnce(dual, 'del', '{}', ['p1']), 'offloaded', OWN],
    ],
    UPCALLS_AT_ONCE,
  )
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
  await route(dual, 'add', '{}', ['p2'])
  expect(await ping(guests.b, A.ip)).toMatchObject({ loss: 0 })
  await untilBoth(daemon, A.mac, B.mac, OTHER)
  const [refused] = await flowsBetween(daemon, B.mac, A.mac)
  expect(refused!.match).toContain(`src=${PEER},dst=${LOCAL}`)
  expect(refused!.why).toMatch(/p2|nic1/)
  const stream = await Stream.start(guests.a, A.ip, guests.b, B.ip, { rate: 1000 })
  const before = await daemon.counters()
  await route(dual, 'replace', '{}', ['p0'])
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
  await route(dual, 'del', '{}', ['p0'])
})

describe('what the kernel does not route is not sent, and offloaded again by itself when it does:', () => {
  /** Packets of a guest that has no flow for them but to its peer. */
  const sent = 10
  const refused = async (undo: () => Promise<unknown>, detail: RegExp): Promise<void> => {
    const { daemon, guests } = dual
    await untilBoth(daemon, A.mac, B.mac, 'no-route')
    const [there] = await flowsBetween(daemon, A.mac, B.mac)
    expect(there!.why).toMatch(detail)
    const dropped = async (): Promise<number> =>
      Object.values(await daemon.drops()).reduce((n, port) => n + (port['no-route'] ?? 0), 0)
    const before = await dropped()
    const frames = await makeFrames(`
frames = [Ether(src="${A.mac}", dst="${B.mac}")/IP(src="${A.ip}", dst="10.1.0.77")/UDP(sport=7, dport=9)/b"x"] * ${sent}`)
    await sendFrames(guests.a, 'vf0', frames)
    await daemon.until('all are counted', dropped, (now) => now - before === sent)
    await undo()
    await untilBoth(daemon, A.mac, B.mac, 'offloaded')
    expect(await ping(guests.b, A.ip)).toMatchObject({ loss: 0 })
  }
  const inHv1 = (line: string) => (): Promise<string> => ipBatch(dual.guests.hv1, [line])

  it.for(['blackhole', 'unreachable', 'prohibit'])('a route that says %s', async (type, context: TestContext) => {
    await needKernel(context, 'vxlan', 'bridge', 'veth')
    const { daemon, guests } = dual
    expect(await ping(guests.a, B.ip)).toMatchObject({ loss: 0 })
    await untilBoth(daemon, A.mac, B.mac, 'offloaded')
    await inHv1(`route add ${type} ${PEER}/32`)()
    await refused(inHv1(`route del ${type} ${PEER}/32`), new RegExp(type))
  })

  it('a rule that says blackhole', async (context) => {
    await needKernel(context, 'vxlan', 'bridge', 'veth')
    await inHv1(`rule add to ${PEER} blackhole priority 90`)()
    await refused(inHv1(`rule del to ${PEER} blackhole priority 90`), /blackhole/)
  })

  it('an internal port that is down, whose routes the kernel removes without a word', async (context) => {
    await needKernel(context, 'vxlan', 'bridge', 'veth')
    await inHv1('link set br-p0 down')()
    await refused(async () => {
      await ipBatch(dual.guests.hv1, ['link set br-p0 up', `route add default via ${hop('p0', 2)}`])
    }, /no route|down/)
  })
})
