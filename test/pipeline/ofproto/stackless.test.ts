/** A bridge without a host's stack: what tier 1 hands to the switch itself, what becomes of the rest, and what the switch sends. */
import { afterEach, describe, expect, it } from 'vitest'
import { formatOdpActions, formatOdpMatch } from '../../../src/flow/odp-text.ts'
import { parseFlow } from '../../../src/flow/ofp-text.ts'
import { parseTraceArgs, trace } from '../../../src/ofproto/trace.ts'
import { ARP_REPLY, ARP_REQUEST } from '../../../src/packet/arp.ts'
import { ND_SOLICIT } from '../../../src/packet/icmpv6.ts'
import { Stackless } from '../../../src/switch/stackless.ts'
import type { OwnPort } from '../../../src/tunnel/own-port.ts'
import { ip, mac } from '../../unit/tunnel/fakes.ts'
import { A, arp, B, nd } from '../../unit/tunnel/nud-kit.ts'
import { Hypervisor, hostMac, LOCAL, UPLINK } from './hypervisor.ts'

const ALL = new Uint8Array(6).fill(0xff)
const OURS = { mac: Uint8Array.of(2, 0, 0, 0, 0xaa, 1), v4: ip('192.168.0.1'), v6: ip('fd00::1') }
const PEER = ip('192.168.0.2')
const OTHER = ip('192.168.0.9')

let hv: Hypervisor
afterEach(async () => {
  await hv.settle()
  expect(hv.world.missingSlots()).toEqual({})
  expect(hv.errors).toEqual([])
})

const create = async () => {
  hv = await new Hypervisor(1).start()
  const { ofproto, scheduler } = hv
  const { dpif, clock } = hv.world
  const port: OwnPort = {
    name: 'br-phy',
    ifindex: -LOCAL,
    dpPort: LOCAL,
    mac: OURS.mac,
    addresses: [
      { bytes: OURS.v4, prefixLength: 24 },
      { bytes: OURS.v6, prefixLength: 64 },
    ],
  }
  const stackless = new Stackless({ ports: () => [port], ofproto, dpif, clock, scheduler })
  ofproto.tunnels.useStackless(stackless)
  await hv.settle(50)
  return {
    stackless,
    come: async (...frames: Uint8Array[]) => {
      for (const frame of frames) hv.port(UPLINK).inject(frame)
      await hv.settle(20)
    },
    arpFlows: () =>
      [...hv.world.dpif.flows()]
        .map((flow) => `${formatOdpMatch(flow.match)} ${formatOdpActions(flow.actions)}`)
        .filter((text) => text.includes('0x0806')),
  }
}

const hex = (frame: Uint8Array): string => Buffer.from(frame).toString('hex')
const asks = (target: Uint8Array, from = A, spa = PEER): Uint8Array =>
  arp(ARP_REQUEST, { src: from, dst: ALL }, from, spa, target)
const drops = (): object => ({ ...hv.world.drops(UPLINK), ...hv.world.drops(LOCAL) })

describe('a request for the address of the port', () => {
  it('is answered each time, by the port that it came by; no flow is made of it, and it is no drop', async () => {
    const { come, arpFlows } = await create()
    for (let i = 0; i < 3; i++) {
      await come(asks(OURS.v4))
      const [reply, ...more] = hv.taken(UPLINK)
      expect(more).toEqual([])
      expect(hex(reply!)).toBe(
        '02000000000a02000000aa01080600010800060400020200' + '0000aa01c0a8000102000000000ac0a80002',
      )
    }
    expect([arpFlows(), hv.taken(LOCAL), drops()]).toEqual([[], [], {}])
    expect(hv.udpif.status().upcalls).toMatchObject({ handed: 3, installed: 0 })
  })

  it('is answered by neighbour discovery', async () => {
    const { come } = await create()
    const group = ip('ff02::1:ff00:1')
    const eth = { src: A, dst: Uint8Array.of(0x33, 0x33, 0xff, 0, 0, 1) }
    await come(nd({ eth, src: ip('fd00::2'), dst: group, target: OURS.v6, type: ND_SOLICIT, sourceMac: A }))
    expect(hv.taken(UPLINK).map(hex)).toEqual([expect.stringMatching(/^02000000000a02000000aa0186dd/)])
    expect(drops()).toEqual({})
  })

  it('also goes where the rules send it besides', async () => {
    const { come } = await create()
    await hv.world.addPort(9, 'tap9')
    hv.phy.addPort({ name: 'tap9', dpPort: 9 })
    await hv.settle(50)
    await come(asks(OURS.v4))
    expect(hv.taken(9)).toEqual([asks(OURS.v4)])
    expect(hv.taken(UPLINK).length).toBe(1)
  })

  it('is not answered where the rules drop it', async () => {
    const { come } = await create()
    hv.phy.tables.add(parseFlow('priority=9,arp,actions=drop'))
    await hv.settle(50)
    await come(asks(OURS.v4))
    expect([hv.taken(UPLINK), drops()]).toEqual([[], { 'flow-drop': 1 }])
  })

  it('is answered with the tag of the network that the port is in', async () => {
    const { come } = await create()
    hv.phy.reconfigurePort('br-phy', { tag: 10 })
    await hv.settle(50)
    await come(asks(OURS.v4))
    expect(hv.taken(UPLINK)).toEqual([])
    const plain = asks(OURS.v4)
    await come(Uint8Array.of(...plain.subarray(0, 12), 0x81, 0, 0, 10, ...plain.subarray(12)))
    expect(hv.taken(UPLINK).map((frame) => hex(frame.subarray(0, 20)))).toEqual([
      '02000000000a02000000aa018100000a08060001',
    ])
  })

  it('is for nobody here while it has a tag', async () => {
    const { come } = await create()
    const plain = asks(OURS.v4)
    const tagged = Uint8Array.of(...plain.subarray(0, 12), 0x81, 0, 0, 10, ...plain.subarray(12))
    await come(tagged)
    expect([hv.taken(UPLINK), hv.taken(LOCAL)]).toEqual([[], [tagged]])
  })

  it('makes no flow before it comes', async () => {
    const { arpFlows } = await create()
    const { key } = parseTraceArgs(hv.ofproto, [
      'br-phy',
      'in_port=p0,arp,arp_op=1,arp_spa=192.168.0.2,arp_tpa=192.168.0.1',
    ])
    key[1] = UPLINK
    expect(hv.udpif.preinstall(key)).toBe(true)
    await hv.settle(50)
    expect([arpFlows(), hv.taken(UPLINK)]).toEqual([[], []])
  })

  it('is told of in a trace', async () => {
    await create()
    const { key, inPort } = parseTraceArgs(hv.ofproto, ['br-phy', 'in_port=p0,arp,arp_op=1,arp_tpa=192.168.0.1'])
    expect(trace(key, inPort)).toContain('handed to the switch itself')
  })
})

describe('what concerns others', () => {
  it('makes a flow that no other ARP falls under, and is for nobody here', async () => {
    const { come, arpFlows } = await create()
    await come(asks(OTHER), asks(OTHER), asks(OTHER))
    expect(arpFlows()).toEqual([expect.stringMatching(/arp\(sip=192\.168\.0\.2,tip=192\.168\.0\.9,?.*\).* 1$/)])
    expect(hv.taken(LOCAL).length).toBe(3)
    const { upcalls } = hv.udpif.status().upcalls
    await come(asks(OTHER))
    expect(hv.udpif.status().upcalls.upcalls).toBe(upcalls)
    await come(asks(OURS.v4))
    expect(hv.taken(UPLINK).length).toBe(1)
  })

  it('is heard as soon as it is of somebody who is asked for, although there was a flow', async () => {
    const { come, stackless, arpFlows } = await create()
    const gratuitous = (from: Uint8Array): Uint8Array => asks(PEER, from)
    // Nothing else is to change by the request.
    stackless.portsChanged()
    await hv.settle(50)
    await come(gratuitous(A))
    expect(arpFlows().length).toBe(1)
    await hv.settle(1000)
    stackless.neighbours.keepAlive(-LOCAL, PEER, true)
    await hv.settle(50)
    expect(arpFlows().length).toBe(0)
    await come(gratuitous(A))
    expect(stackless.neighbours.lookup(-LOCAL, PEER)).toEqual({ type: 'found', lladdr: A })
    // To and fro, each time.
    for (const at of [B, A, B]) {
      await come(gratuitous(at))
      expect(stackless.neighbours.lookup(-LOCAL, PEER)).toEqual({ type: 'found', lladdr: at })
    }
    expect(arpFlows()).toEqual([])
  })

  it('is not heard where the bridge sends it by the port: what passes by between others', async () => {
    const { come, stackless } = await create()
    stackless.neighbours.keepAlive(-LOCAL, PEER, true)
    await hv.settle(50)
    await come(asks(PEER, A))
    await hv.world.addPort(9, 'tap9')
    const { no } = hv.phy.addPort({ name: 'tap9', dpPort: 9 })
    hv.phy.tables.add(parseFlow(`priority=9,arp,in_port=${hv.phy.portByName('p0')!.no},actions=output:${no}`))
    await hv.settle(50)
    await come(asks(PEER, B))
    expect(hv.taken(9)).toEqual([asks(PEER, B)])
    expect(stackless.neighbours.lookup(-LOCAL, PEER)).toEqual({ type: 'found', lladdr: A })
  })

  it('is told apart by flows that rest on nothing else', async () => {
    const { come, stackless, arpFlows } = await create()
    hv.phy.tables.add(parseFlow(`priority=9,arp,in_port=${hv.phy.portByName('p0')!.no},actions=LOCAL`))
    stackless.neighbours.keepAlive(-LOCAL, PEER, true)
    await hv.settle(50)
    hv.taken(UPLINK)
    await come(asks(OTHER, B, ip('192.168.0.8')))
    expect(arpFlows().length).toBe(1)
    await come(asks(OURS.v4, B, ip('192.168.0.8')))
    expect(hv.taken(UPLINK).length).toBe(1)
    await come(asks(OTHER, A, PEER))
    expect(stackless.neighbours.lookup(-LOCAL, PEER)).toEqual({ type: 'found', lladdr: A })
  })

  it('is no ARP at all: a packet for the port goes there', async () => {
    const { come } = await create()
    const frame = new Uint8Array(60)
    frame.set([...OURS.mac, ...A, 0x88, 0xb5])
    await come(frame)
    expect(hv.taken(LOCAL)).toEqual([frame])
  })
})

describe('what the switch sends', () => {
  it('is a request, whose answer finds it again', async () => {
    const { come, stackless } = await create()
    stackless.neighbours.resolve(-LOCAL, PEER)
    expect(hv.taken(UPLINK)).toEqual([])
    await hv.settle(20)
    expect(hv.taken(UPLINK).map((frame) => hex(frame.subarray(0, 42)))).toEqual([
      'ffffffffffff02000000aa01080600010800060400010200' + '0000aa01c0a80001000000000000c0a80002',
    ])
    expect(hv.phy.macs.lookup(hostMac(1), 0)?.bundle.name).toBe('br-phy')
    await come(arp(ARP_REPLY, { src: A, dst: OURS.mac }, A, PEER, OURS.v4))
    expect(stackless.neighbours.lookup(-LOCAL, PEER)).toEqual({ type: 'found', lladdr: A })
    expect([stackless.stack.counters.unsolicited, stackless.counters]).toEqual([0, { sent: 1, lost: 0 }])
  })

  it('is lost, and counted, where the rules drop it', async () => {
    const { stackless } = await create()
    hv.phy.tables.add(parseFlow('priority=9,arp,actions=drop'))
    stackless.neighbours.resolve(-LOCAL, PEER)
    await hv.settle(20)
    expect(stackless.counters).toEqual({ sent: 0, lost: 1 })
  })

  it('announces ports that are new, and is silent about those that are not', async () => {
    const { stackless } = await create()
    stackless.portsChanged()
    await hv.settle(20)
    expect(hv.taken(UPLINK).length).toBe(2)
    stackless.portsChanged()
    await hv.settle(20)
    expect(hv.taken(UPLINK).length).toBe(0)
  })

  it('bears a flood of requests, within the limits of upcalls and answers', async () => {
    const { stackless } = await create()
    const flood = Array.from({ length: 3000 }, (_, i) => asks(OURS.v4, mac(i & 0x7f), ip(`192.168.0.${i % 250}`)))
    for (const frame of flood) hv.port(UPLINK).inject(frame)
    await hv.settle(20)
    const { answered, limited } = stackless.stack.counters
    expect(answered).toBeLessThanOrEqual(200 + 1000)
    const lost = Object.values(hv.world.drops(UPLINK)).reduce((sum, n) => sum + n, 0)
    expect(answered + limited + lost).toBe(3000)
    hv.taken(UPLINK)
  })
})
