import { describe, expect, it } from 'vitest'
import { addressToWords } from '../../../src/flow/address.ts'
import { createKey, K_NW, K_TP } from '../../../src/flow/key.ts'
import { formatOdpMatch } from '../../../src/flow/odp-text.ts'
import { parseFlow } from '../../../src/flow/ofp-text.ts'
import type { Bridge } from '../../../src/ofproto/bridge.ts'
import { Underlay } from '../../../src/ofproto/underlay.ts'
import { M_TUN_DST, M_TUN_ID, M_TUN_META, M_TUN_SRC } from '../../../src/packet/slot.ts'
import { FakeTunnelLayer, ip, outerKey, tunnelConfig, underlayPort } from './fake-tunnels.ts'
import { addRules, createLab, frame, type Lab, shown } from './kit.ts'

const VX = 50
const A = 0x020000000001
const B = 0x020000000002

/** Metadata of a packet from 192.168.0.`from` to 192.168.0.`to`. */
const tunnelled = (vni: number, from: number, to: number, ttl = 64): Map<number, number> => {
  const words = new Int32Array(8)
  addressToWords(ip(192, 168, 0, from), words, 0)
  addressToWords(ip(192, 168, 0, to), words, 4)
  const meta = new Map([
    [M_TUN_ID + 1, vni],
    [M_TUN_META, (ttl << 16) | 8],
  ])
  words.forEach((word, i) => {
    meta.set((i < 4 ? M_TUN_SRC : M_TUN_DST - 4) + i, word)
  })
  return meta
}

interface Host extends Lab {
  readonly layer: FakeTunnelLayer
  readonly bridge: Bridge
}

/** br-int with a guest (datapath port 2) and a tunnel to each of `peers`, 192.168.0.N, with VNI 100; we are 192.168.0.`me`. */
const host = (me: number, peers: readonly number[], spec: { protected?: boolean } = {}): Host => {
  const lab = createLab()
  const layer = new FakeTunnelLayer(`192.168.0.${me}`)
  lab.ofproto.tunnels.use(layer)
  lab.ofproto.tunnels.ports.setDpPort(4789, VX)
  const bridge = lab.ofproto.addBridge('br-int')
  bridge.addPort({ name: 'guest', dpPort: 2 })
  for (const peer of peers)
    bridge.addPort({ name: `vx${peer}`, tunnel: tunnelConfig(ip(192, 168, 0, peer), 100), ...spec })
  return { ...lab, layer, bridge }
}

describe('packets from tunnels', () => {
  it('come by the port of their peer, and what no port takes is dropped by a flow that says no more than that', () => {
    const { dpif, udpif } = host(1, [2, 3])
    expect(shown(dpif.receive(VX, frame({ src: A }), tunnelled(100, 2, 1)))).toEqual(['2', 'push 0'])
    expect(dpif.receive(VX, frame({ src: A }), tunnelled(101, 2, 1))).toEqual([])
    const [, unknown] = dpif.flows()
    expect(unknown!.actions).toEqual([{ type: 'drop', reason: 'unknown-vni' }])
    expect(formatOdpMatch(unknown!.match)).toBe(
      'tunnel(tun_id=0x65,src=192.168.0.2,dst=192.168.0.1),recirc_id(0),in_port(50),eth()',
    )
    expect(dpif.receive(VX, frame({ src: B, dst: A, tags: [7] }), tunnelled(101, 2, 1, 3))).toEqual([])
    expect(dpif.receive(VX, frame({ src: A }), tunnelled(100, 4, 1))).toEqual([])
    expect(udpif.status().upcalls).toMatchObject({ upcalls: 3, installed: 3, unowned: 0 })
  })

  it('follow the tunnel ports, as they come and go', () => {
    const { dpif, bridge, pass } = host(1, [2])
    expect(dpif.receive(VX, frame({}), tunnelled(100, 3, 1))).toEqual([])
    bridge.addPort({ name: 'vx3', tunnel: tunnelConfig(ip(192, 168, 0, 3), 100) })
    pass(50)
    expect(shown(dpif.receive(VX, frame({}), tunnelled(100, 3, 1)))).toEqual(['2', 'push 0'])
    bridge.deletePort('vx3')
    pass(50)
    expect(dpif.flows().map(({ actions }) => actions)).toEqual([[{ type: 'drop', reason: 'unknown-vni' }]])
    expect(dpif.receive(VX, frame({}), tunnelled(100, 3, 1))).toEqual([])
  })

  it('go by the options that a port has now', () => {
    const { dpif, bridge, pass } = host(1, [2])
    bridge.reconfigurePort('vx2', { tunnel: tunnelConfig(ip(192, 168, 0, 2), 7) })
    expect(shown(dpif.receive(VX, frame({}), tunnelled(7, 2, 1)))).toEqual(['2'])
    expect(dpif.receive(VX, frame({}), tunnelled(100, 2, 1))).toEqual([])
    bridge.reconfigurePort('vx2', { tag: 10 })
    pass(50)
    expect(shown(dpif.receive(VX, frame({}), tunnelled(7, 2, 1)))).toEqual(['2[10]'])
  })

  it('share flows unless something tells them apart', () => {
    const { dpif } = host(1, [2])
    dpif.receive(VX, frame({ src: A, dst: B }), tunnelled(100, 2, 1, 64))
    dpif.receive(VX, frame({ src: A, dst: B }), tunnelled(100, 2, 1, 63))
    expect(dpif.upcalls).toBe(1)
  })

  it('are learned on the tunnel port, so that answers take it', () => {
    const { dpif, layer, bridge } = host(1, [2, 3])
    dpif.receive(VX, frame({ src: A }), tunnelled(100, 3, 1))
    expect([...bridge.macs.entries()].map((e) => e.bundle.name)).toEqual(['vx3'])
    const [sent] = dpif.receive(2, frame({ src: B, dst: A }))
    expect(layer.entries.get(Number(sent!.via!.slice(5)))!.spec.peer).toEqual(ip(192, 168, 0, 3))
  })

  it('count for the port, which has none of its own in the datapath', () => {
    const { dpif, bridge, layer, pass } = host(1, [2])
    dpif.receive(VX, frame({ src: A, dst: B }), tunnelled(100, 2, 1))
    for (let i = 0; i < 3; i++) dpif.receive(2, frame({ src: B, dst: A }))
    pass(600)
    const port = bridge.portByName('vx2')!
    expect([port.rxPackets, port.rxBytes, port.txPackets, port.txBytes]).toEqual([1, 60, 3, 180])
    expect(layer.credits).toEqual([
      { id: 0, packets: 1, bytes: 60 },
      { id: 0, packets: 2, bytes: 120 },
    ])
  })
})

describe('encap entries', () => {
  it('are held by the flows that name them, and asked for with a packet', () => {
    const { dpif, layer, bridge, pass, udpif } = host(1, [2, 3])
    dpif.receive(2, frame({ src: A, dst: B }))
    expect(layer.resolved.length).toBe(2)
    expect([...layer.held]).toEqual([
      [0, 1],
      [1, 1],
    ])
    bridge.macs.learn(B, 0, bridge.portByName('vx2')!.bundle, 1_000_000, false)
    pass(50)
    expect(shown(dpif.receive(2, frame({ src: A, dst: B })))).toEqual(['push 0'])
    expect([...layer.held]).toEqual([
      [0, 1],
      [1, 0],
    ])
    dpif.late = []
    udpif.purge()
    expect(layer.held.get(0)).toBe(1)
    for (const gone of dpif.late) gone()
    expect(layer.held.get(0)).toBe(0)
  })

  it('are revalidated once in a pass, before flows, and only after a change', () => {
    const { layer, bridge, pass, dpif } = host(1, [2])
    dpif.receive(2, frame({ src: A }))
    pass(1000)
    const before = layer.revalidations
    pass(2000)
    expect(layer.revalidations).toBe(before)
    const order: string[] = []
    layer.revalidate = () => void order.push('entries')
    const { encap } = layer
    layer.encap = (...args) => {
      order.push('flow')
      return encap.apply(layer, args)
    }
    addRules(bridge, 'priority=1,in_port=99,actions=drop')
    pass(20)
    expect(order).toEqual(['entries', 'flow'])
  })
})

describe('preinstall', () => {
  it('puts the flow of a key before its first packet, which then needs no upcall', () => {
    const { dpif, udpif, ofproto, pass } = host(1, [2])
    const phy = ofproto.addBridge('br-phy')
    phy.addPort({ name: 'br-phy', dpPort: 1 })
    phy.addPort({ name: 'p0', dpPort: 3 })
    phy.setPortMac('br-phy', 0x02000000bb00)
    const key = outerKey(3, ip(192, 168, 0, 2), ip(192, 168, 0, 1), 4789)
    phy.macs.learn(0x02000000bb00, 0, phy.portByName('br-phy')!.bundle, 1_000_000, false)
    expect(udpif.preinstall(key)).toBe(true)
    expect(udpif.status().upcalls).toMatchObject({ upcalls: 0, installed: 0, preinstalled: 1 })
    expect(dpif.flows().map(({ actions }) => actions)).toEqual([[{ type: 'tnl_pop', port: VX }]])
    const [flow] = [...udpif.flows()]
    expect(flow).toMatchObject({ preinstalled: true, packets: 0 })
    expect(udpif.flow(flow!.id)).toBe(flow)
    expect([...phy.macs.entries()].length).toBe(1)
    dpif.setFlowLimit(0)
    pass(9000)
    expect(dpif.flowCount).toBe(1)
    pass(2000)
    expect(dpif.flowCount).toBe(0)
  })

  it('says no for a port that nobody owns, and puts nothing', () => {
    const { dpif, udpif } = host(1, [])
    expect(udpif.preinstall(outerKey(77, ip(1, 1, 1, 1), ip(2, 2, 2, 2), 4789))).toBe(false)
    expect(dpif.flowCount).toBe(0)
  })
})

describe('the underlay', () => {
  const LOCAL = underlayPort(1)
  const key = outerKey(1, ip(192, 168, 0, 1), ip(192, 168, 0, 2), 4789)
  const NEXT_HOP = 0x02000000bb00

  const phy = (...rules: string[]) => {
    const made = host(1, [2])
    const bridge = made.ofproto.addBridge('br-phy', { normal: rules.length === 0 })
    bridge.addPort({ name: 'br-phy', dpPort: 1 })
    bridge.addPort({ name: 'p0', dpPort: 3, ofport: 1 })
    bridge.addPort({ name: 'p1', dpPort: 4, ofport: 2 })
    addRules(bridge, ...rules)
    const underlay = new Underlay(made.ofproto, made.clock)
    const way = (varying = createKey(), learn = false) => underlay.translate(LOCAL, key, varying, learn)
    return { ...made, phy: bridge, way, underlay }
  }

  it('sends where its bridge sends, and learns and counts when packets go', () => {
    const { phy: bridge, way, clock } = phy()
    expect(way().actions).toEqual([
      { type: 'output', port: 3 },
      { type: 'output', port: 4 },
    ])
    bridge.macs.learn(NEXT_HOP, 0, bridge.port(2)!.bundle, clock.now(), false)
    const version = bridge.macs.counters
    const { actions, dropped, vlan, ambiguous, credit } = way()
    expect({ actions, dropped, vlan, ambiguous }).toEqual({
      actions: [{ type: 'output', port: 4 }],
      dropped: undefined,
      vlan: 0,
      ambiguous: false,
    })
    expect(version.moved).toBe(0)
    expect(bridge.macs.size).toBe(1)
    credit(3, 300, clock.now())
    expect([...bridge.macs.entries()].map((e) => e.mac)).toContain(0x02000000aa00)
    const [rule] = bridge.tables.table(0)!.covered({ key: createKey(), mask: createKey() })
    expect([rule!.packets, rule!.bytes]).toEqual([3, 300])
  })

  it('learns at once when a packet is about to go', () => {
    const { phy: bridge, way } = phy()
    way(createKey(), true)
    expect(bridge.macs.size).toBe(1)
  })

  it('tells the tag with which they leave', () => {
    expect(phy('actions=push_vlan:0x8100,set_field:4103->vlan_vid,output:1').way().vlan).toBe(0x81001007 | 0)
    const access = phy()
    access.phy.reconfigurePort('br-phy', { tag: 9 })
    access.phy.reconfigurePort('p0', { tag: 9 })
    access.phy.reconfigurePort('p1', { trunks: [9] })
    expect(access.way()).toMatchObject({ vlan: 0x81001009 | 0 })
    expect(access.way().actions).toEqual([
      { type: 'output', port: 3 },
      { type: 'push_vlan', tpid: 0x8100, tci: 0x1009 },
      { type: 'output', port: 4 },
    ])
  })

  it('is ambiguous when rules look at what differs between packets of an entry', () => {
    const varying = createKey()
    varying[K_TP] = 0x7fff << 16
    const { way, phy: bridge } = phy('priority=1,udp,tp_dst=4789,actions=output:1')
    expect(way(varying).ambiguous).toBe(false)
    bridge.tables.add(parseFlow('priority=2,udp,tp_src=40001,actions=output:2'))
    expect(way(varying).ambiguous).toBe(true)
    expect(way().ambiguous).toBe(false)
    const tos = createKey()
    tos[K_NW] = 0xff0000
    expect(way(tos).ambiguous).toBe(false)
  })

  it.each([
    ['the rules', ['actions=drop'], 'flow-drop'],
    ['a limit', ['actions=resubmit(,0)'], 'recursion-too-deep'],
    ['a controller that is not there', ['actions=CONTROLLER'], 'no-controller'],
  ])('says why nothing leaves: %s', (_, rules, dropped) => {
    expect(phy(...rules).way()).toMatchObject({ actions: dropped === 'no-controller' ? [{}] : [], dropped })
  })

  it('has no way into a tunnel, whatever else it sends', () => {
    const { phy: bridge, way } = phy()
    bridge.addPort({ name: 'vx9', tunnel: tunnelConfig(ip(192, 168, 0, 9), 9) })
    expect(way()).toMatchObject({ actions: [], dropped: 'tunnel-loop' })
  })

  it('has no way through another bridge into a tunnel either', () => {
    const { ofproto, phy: bridge, way, bridge: int } = phy('actions=output:9')
    bridge.addPort({ name: 'to-int', peer: 'to-phy', ofport: 9 })
    int.addPort({ name: 'to-phy', peer: 'to-int' })
    expect(way()).toMatchObject({ dropped: 'tunnel-loop' })
    ofproto.bridge('br-int')!.deletePort('vx2')
    expect(way().actions).toEqual([{ type: 'output', port: 2 }])
  })

  it('is none when no bridge has the port', () => {
    const { phy: bridge, way } = phy()
    bridge.deletePort('br-phy')
    expect(way()).toMatchObject({ actions: [], dropped: 'no-bridge' })
  })
})

describe('three hypervisors in a full mesh', () => {
  const mesh = (isProtected: boolean) => {
    const hosts = [1, 2, 3].map((me) =>
      host(
        me,
        [1, 2, 3].filter((peer) => peer !== me),
        { protected: isProtected },
      ),
    )
    /** Frames that guests got, by host, for a broadcast of the first one's guest; stops after `most` hops. */
    const flood = (most: number) => {
      const got = [0, 0, 0]
      const queue = [{ to: 1, port: 2, from: 0 }]
      let hops = 0
      for (let next = queue.shift(); next !== undefined && hops < most; next = queue.shift()) {
        const { dpif, layer } = hosts[next.to - 1]!
        const meta = next.from === 0 ? new Map<number, number>() : tunnelled(100, next.from, next.to)
        for (const { port, via } of dpif.receive(next.port, frame({ src: A }), meta)) {
          if (via?.startsWith('push')) {
            hops++
            const { peer } = layer.entry(Number(via.slice(5)))!
            queue.push({ to: peer[3]!, port: VX, from: next.to })
          } else if (port === 2) got[next.to - 1]!++
        }
      }
      return { got, hops }
    }
    return flood
  }

  it('delivers a broadcast once to each, when the tunnel ports are protected', () => {
    expect(mesh(true)(1000)).toEqual({ got: [0, 1, 1], hops: 2 })
  })

  it('would not end otherwise', () => {
    expect(mesh(false)(1000).hops).toBeGreaterThanOrEqual(1000)
  })
})
