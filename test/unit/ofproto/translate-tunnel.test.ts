import { describe, expect, it } from 'vitest'
import { parseFlow } from '../../../src/flow/ofp-text.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import type { Bridge } from '../../../src/ofproto/bridge.ts'
import { Ofproto } from '../../../src/ofproto/ofproto.ts'
import { parseTraceArgs, trace } from '../../../src/ofproto/trace.ts'
import type { TunnelConfig } from '../../../src/tunnel/contract.ts'
import { FakeTunnelLayer, ip, tunnelConfig } from '../../pipeline/ofproto/fake-tunnels.ts'
import { addPorts, TCP, translated } from './translate-kit.ts'

const PEER = ip(192, 168, 0, 2)
const LOCAL_MAC = 0x02000000aa00

interface World {
  readonly ofproto: Ofproto
  readonly bridge: Bridge
  readonly layer: FakeTunnelLayer
}

/** br0 of the kit, whose own address is 192.168.0.1, and the tunnel port vx0 of number 9. */
const world = (rules: readonly string[], config: TunnelConfig = tunnelConfig(PEER, 100)): World => {
  const ofproto = new Ofproto(new ManualClock())
  const layer = new FakeTunnelLayer('192.168.0.1')
  ofproto.tunnels.use(layer)
  ofproto.tunnels.ports.setDpPort(4789, 50)
  const bridge = ofproto.addBridge('br0', { normal: false })
  bridge.addPort({ name: 'br0', dpPort: 10 })
  bridge.setPortMac('br0', LOCAL_MAC)
  addPorts(bridge, 10, [1, 2])
  bridge.addPort({ name: 'vx0', tunnel: config, ofport: 9 })
  for (const rule of rules) bridge.tables.add(parseFlow(rule))
  return { ofproto, bridge, layer }
}

/** The spec of the only entry that a flow leads to. */
const specOf = (actions: string, config: TunnelConfig, flow = TCP) => {
  const { ofproto, layer } = world([`${actions.includes('OF_IP') ? 'ip,' : ''}actions=${actions}`], config)
  const text = translated(ofproto, flow).actions
  return { text, spec: layer.entries.get(0)?.spec }
}

describe('output to a tunnel', () => {
  it('names an entry with what the options say', () => {
    const config: TunnelConfig = { ...tunnelConfig(PEER, 100), local: ip(192, 168, 0, 1), tos: 'inherit', ttl: 9 }
    const { text, spec } = specOf('output:9', config)
    expect(text).toBe('tnl_push(entry(0))')
    expect(spec).toEqual({
      peer: PEER,
      local: ip(192, 168, 0, 1),
      vni: 100,
      dstPort: 4789,
      tos: 'inherit',
      ttl: 9,
      df: true,
      csum: false,
      lasting: true,
    })
  })

  it('has a checksum over IPv6 unless told otherwise', () => {
    const peer = Uint8Array.from([0xfd, ...Array<number>(14).fill(0), 2])
    expect(specOf('output:9', tunnelConfig(peer)).spec?.csum).toBe(true)
    expect(specOf('output:9', { ...tunnelConfig(peer), csum: false }).spec?.csum).toBe(false)
  })

  it.each([
    ['set_field:192.168.0.7->tun_dst,output:9', ip(192, 168, 0, 7)],
    ['load:0xc0a80007->NXM_NX_TUN_IPV4_DST[],output:9', ip(192, 168, 0, 7)],
    ['load:0xc0a80000->NXM_NX_TUN_IPV4_DST[],load:9->NXM_NX_TUN_IPV4_DST[0..7],output:9', ip(192, 168, 0, 9)],
    ['set_field:fd00::7->tun_ipv6_dst,output:9', Uint8Array.from([0xfd, ...Array<number>(14).fill(0), 7])],
    ['set_field:fd00::7->tun_ipv6_dst,set_field:192.168.0.7->tun_dst,output:9', ip(192, 168, 0, 7)],
    ['move:NXM_OF_IP_DST[]->NXM_NX_TUN_IPV4_DST[],output:9', ip(10, 0, 0, 2)],
  ])('takes the remote address from the rules: %s', (actions, peer) => {
    expect(specOf(actions, tunnelConfig('flow')).spec?.peer).toEqual(peer)
  })

  it('takes key and local address from the rules, in both spellings', () => {
    const config: TunnelConfig = { ...tunnelConfig(PEER, 'flow'), local: 'flow' }
    expect(specOf('set_tunnel:0x64,set_field:192.168.0.1->tun_src,output:9', config).spec).toMatchObject({
      vni: 100,
      local: ip(192, 168, 0, 1),
    })
    expect(specOf('set_field:0xff000007->tun_id,output:9', config).spec).toMatchObject({ vni: 7 })
    expect(specOf('output:9', config).spec).toMatchObject({ vni: 0 })
    expect(specOf('output:9', config).spec).not.toHaveProperty('local')
  })

  it('keeps what rules set over several outputs, and commits no header for it', () => {
    const { ofproto, layer } = world(
      ['actions=set_tunnel:1,output:9,set_tunnel:2,output:9,output:2'],
      tunnelConfig(PEER, 'flow'),
    )
    expect(translated(ofproto, TCP).actions).toBe('tnl_push(entry(0)),tnl_push(entry(1)),12')
    expect([...layer.entries.values()].map(({ spec }) => spec.vni)).toEqual([1, 2])
  })

  it('commits what was set in the inner packet, before', () => {
    const { ofproto } = world(['actions=mod_nw_ttl:7,push_vlan:0x8100,output:9'])
    expect(translated(ofproto, TCP).actions).toBe('set(ipv4(ttl=7)),push_vlan(vid=0,pcp=0),tnl_push(entry(0))')
  })

  it.each<[string, string, TunnelConfig]>([
    ['output:9', 'no-tunnel-remote', tunnelConfig('flow')],
    ['set_field:0.0.0.0->tun_dst,output:9', 'no-tunnel-remote', tunnelConfig('flow')],
    ['set_field:fd00::7->tun_ipv6_dst,output:9', 'tunnel-address-mismatch', { ...tunnelConfig('flow'), local: PEER }],
  ])('is dropped with a name when there can be no header: %s', (actions, reason, config) => {
    expect(specOf(actions, config).text).toBe(`drop(${reason})`)
  })

  it('is dropped with a name when there are too many entries, and other outputs are not', () => {
    const { ofproto, layer } = world(['in_port=1,actions=output:9', 'in_port=2,actions=output:9,output:1'])
    layer.full = true
    expect(translated(ofproto, TCP).actions).toBe('drop(too-many-encaps)')
    expect(translated(ofproto, `in_port=2,${TCP}`).actions).toBe('11')
  })

  it('asks for the next hop only for packets that go', () => {
    const { ofproto, layer } = world(['actions=output:9'])
    translated(ofproto, TCP)
    expect(layer.resolved).toEqual([])
  })

  it('looks at nothing of a packet that came by no tunnel', () => {
    const { ofproto } = world(['actions=set_tunnel:5,output:9'], tunnelConfig(PEER, 'flow'))
    expect(translated(ofproto, TCP).megaflow).toBe('ip,nw_frag=no')
  })
})

const VXLAN = `udp,dl_dst=02:00:00:00:aa:00,nw_src=192.168.0.2,nw_dst=192.168.0.1,tp_src=40000,tp_dst=4789`

describe('output to the host', () => {
  const rules = ['actions=LOCAL']

  it('ends a tunnel when address, UDP port and MAC are ours', () => {
    const { ofproto } = world(rules)
    const { actions, megaflow } = translated(ofproto, VXLAN)
    expect(actions).toBe('tnl_pop(50)')
    expect(megaflow).toBe('udp,dl_dst=02:00:00:00:aa:00,nw_dst=192.168.0.1,nw_frag=no,tp_dst=4789')
  })

  it('ends one over IPv6', () => {
    const { ofproto, layer } = world(rules)
    layer.setLocals([0xfd, ...Array<number>(14).fill(0), 1].join('.'))
    const flow = 'udp6,dl_dst=02:00:00:00:aa:00,ipv6_dst=fd00::1,tp_dst=4789'
    expect(translated(ofproto, flow).actions).toBe('tnl_pop(50)')
    expect(translated(ofproto, flow.replace('::1', '::2')).actions).toBe('10')
  })

  it.each([
    ['another protocol', 'tcp,tp_dst=4789', 'tcp,nw_frag=no'],
    ['another UDP port', VXLAN.replace('4789', '4790'), 'udp,nw_frag=no,tp_dst=4790'],
    [
      "another host's address",
      VXLAN.replace('nw_dst=192.168.0.1', 'nw_dst=192.168.0.3'),
      'udp,nw_dst=192.168.0.3,nw_frag=no,tp_dst=4789',
    ],
    [
      "another interface's MAC",
      VXLAN.replace('aa:00', 'aa:01'),
      'udp,dl_dst=02:00:00:00:aa:01,nw_dst=192.168.0.1,nw_frag=no,tp_dst=4789',
    ],
    ['a later fragment', `${VXLAN.replace(/,tp.*/, '')},nw_frag=later`, 'udp,nw_frag=later'],
    ['a tag', `${VXLAN},vlan_tci=0x1007`, 'ip,nw_frag=no'],
  ])('goes to it with %s', (_, flow, looked) => {
    const { actions, megaflow } = translated(world(rules).ofproto, flow)
    expect(actions).toBe('10')
    expect(megaflow).toBe(looked)
  })

  it('takes a tag off that the port does not want, and then ends', () => {
    const { ofproto, bridge } = world(['actions=NORMAL'])
    bridge.reconfigurePort('br0', { tag: 7 })
    bridge.macs.learn(LOCAL_MAC, 7, bridge.portByName('br0')!.bundle, 1_000_000, false)
    expect(translated(ofproto, `${VXLAN},vlan_tci=0x1007`).actions).toBe('pop_vlan,tnl_pop(50)')
  })

  it('drops the first fragment of a tunnel packet, by name', () => {
    const { actions, megaflow } = translated(world(rules).ofproto, `${VXLAN},nw_frag=first`)
    expect(actions).toBe('drop(outer-fragment)')
    expect(megaflow).toBe('udp,dl_dst=02:00:00:00:aa:00,nw_dst=192.168.0.1,nw_frag=first,tp_dst=4789')
  })

  it('looks at nothing more while there are no tunnels', () => {
    const { ofproto, bridge } = world(rules)
    bridge.deletePort('vx0')
    expect(translated(ofproto, VXLAN)).toMatchObject({ actions: '10', megaflow: 'ip,nw_frag=no' })
  })
})

/** A packet from 192.168.0.2 with VNI 100. */
const DECAPPED = `in_port=9,tun_id=100,tun_src=192.168.0.2,tun_dst=192.168.0.1,${TCP}`

describe('a packet from a tunnel', () => {
  it('keeps its metadata, which rules may match and send on', () => {
    const config: TunnelConfig = { ...tunnelConfig('flow', 'flow'), local: 'flow' }
    const { ofproto, layer } = world(
      ['tun_id=100,tun_src=192.168.0.2,actions=resubmit(,1)', 'table=1,actions=set_field:192.168.0.3->tun_dst,in_port'],
      config,
    )
    expect(translated(ofproto, DECAPPED).actions).toBe('tnl_push(entry(0))')
    expect(layer.entries.get(0)!.spec).toMatchObject({ peer: ip(192, 168, 0, 3), local: PEER, vni: 100 })
  })

  it('can be answered by its addresses', () => {
    const { ofproto, layer } = world(
      ['actions=move:NXM_NX_TUN_IPV4_SRC[]->NXM_NX_TUN_IPV4_DST[],in_port'],
      tunnelConfig('flow', 'flow'),
    )
    expect(translated(ofproto, DECAPPED).actions).toBe('tnl_push(entry(0))')
    expect(layer.entries.get(0)!.spec).toMatchObject({ peer: PEER, vni: 100 })
  })

  it('does not go back to the address that it came to', () => {
    const { ofproto } = world(['actions=in_port'], tunnelConfig('flow', 'flow'))
    expect(translated(ofproto, DECAPPED).actions).toBe('drop(tunnel-to-self)')
  })

  it('has no IPv4 address when its tunnel is one of IPv6', () => {
    const { ofproto } = world(['actions=move:NXM_NX_TUN_IPV4_SRC[]->NXM_NX_TUN_IPV4_DST[],in_port'], {
      ...tunnelConfig('flow', 'flow'),
    })
    expect(translated(ofproto, `in_port=9,tun_ipv6_src=fd00::2,tun_ipv6_dst=fd00::1,${TCP}`).actions).toBe(
      'drop(no-tunnel-remote)',
    )
  })

  it('is told apart by all but ports and TTL', () => {
    const { ofproto } = world(['actions=output:2'])
    expect(translated(ofproto, DECAPPED).megaflow).toBe(
      'ip,tun_id=0x64,tun_src=192.168.0.2,tun_dst=192.168.0.1,tun_tos=0,tun_flags=0,nw_frag=no',
    )
  })

  it.each([
    ['tun_flags=+csum', 'tun_flags=csum', 'tun_flags=0'],
    ['tun_tos=0xb8', 'tun_tos=0xb8', 'tun_tos=0xb9'],
    ['tun_ttl=9', 'tun_ttl=9', 'tun_ttl=8'],
  ])('goes where a rule on %s says, and no other packet does', (rule, taken, passed) => {
    const { ofproto } = world([`priority=9,${rule},actions=output:1`, 'priority=1,actions=output:2'])
    const outer = 'in_port=9,tun_id=100,tun_src=192.168.0.2,tun_dst=192.168.0.1'
    const [its, others] = [taken, passed].map((words) => translated(ofproto, `${outer},${words},${TCP}`).actions)
    expect({ its, others }).toEqual({ its: '11', others: '12' })
  })

  it('is learned on the tunnel port and not sent back by it', () => {
    const { ofproto, bridge } = world(['actions=NORMAL'])
    expect(translated(ofproto, DECAPPED).actions).toBe('11,12,10')
    bridge.macs.learn(0x020000000002, 0, bridge.portByName('vx0')!.bundle, 1_000_000, false)
    expect(translated(ofproto, DECAPPED).actions).toBe('drop')
    expect(translated(ofproto, `in_port=1,${TCP}`).actions).toBe('tnl_push(entry(0))')
  })

  it('does not go from protected port to protected port', () => {
    const { ofproto, bridge } = world(['actions=NORMAL'])
    bridge.addPort({ name: 'vx1', tunnel: tunnelConfig(ip(192, 168, 0, 3), 100), ofport: 8, protected: true })
    expect(translated(ofproto, DECAPPED).actions).toBe('11,12,tnl_push(entry(0)),10')
    bridge.reconfigurePort('vx0', { protected: true })
    expect(translated(ofproto, DECAPPED).actions).toBe('11,12,10')
  })
})

describe('tunnel ports', () => {
  it('are refused when another one takes the same packets, and change nothing then', () => {
    const { bridge, ofproto } = world([])
    const other = ofproto.addBridge('br1')
    expect(() => other.addPort({ name: 'vx1', tunnel: tunnelConfig(PEER, 100) })).toThrow(/those of vx0/)
    expect(other.ports()).toEqual([])
    expect(ofproto.portByName('vx1')).toBeUndefined()
    bridge.addPort({ name: 'vx2', tunnel: tunnelConfig(PEER, 101) })
    expect(() => bridge.reconfigurePort('vx2', { tunnel: tunnelConfig(PEER, 100) })).toThrow(/those of vx0/)
    expect(bridge.portByName('vx2')!.tunnel).toMatchObject({ key: 101 })
  })

  it('need a tunnel layer', () => {
    const bridge = new Ofproto(new ManualClock()).addBridge('br0')
    expect(() => bridge.addPort({ name: 'vx0', tunnel: tunnelConfig(PEER) })).toThrow('no tunnels')
  })

  it('count as changes: addresses of the host, and of the bridge port', () => {
    const { ofproto, layer, bridge } = world([])
    const versions = [ofproto.version]
    layer.setLocals('192.168.0.9')
    versions.push(ofproto.version)
    bridge.setPortMac('br0', 5)
    versions.push(ofproto.version)
    bridge.setPortMac('br0', 5)
    versions.push(ofproto.version)
    expect(new Set(versions).size).toBe(3)
  })
})

describe('ofproto/trace', () => {
  const traced = ({ ofproto }: World, ...args: string[]): string => {
    const { key, inPort } = parseTraceArgs(ofproto, args)
    return trace(key, inPort)
  }

  it('writes out the header that an output to a tunnel puts on, and asks for no next hop', () => {
    const made = world(['actions=output:9'])
    const text = traced(made, 'br0', `in_port=1,${TCP}`)
    expect(text).toContain(' -> output to native tunnel\n')
    expect(text).toContain(' -> encap entry 0 is valid: as told\n')
    expect(text).toMatch(/Datapath actions: clone\(tnl_push\(tnl_port\(50\),header\(.*\),out_port\(1\)\),900\)$/)
    expect(made.layer.resolved).toEqual([])
  })

  it("takes a tunnel port's packet by the port, whose options say what is not given", () => {
    const made = world(['tun_id=100,tun_src=192.168.0.2,actions=output:2'])
    const text = traced(made, 'br0', `in_port=vx0,${TCP}`)
    expect(text).toContain('Flow: tcp,')
    expect(text).toContain('tun_id=0x64')
    expect(text).toContain('tun_src=192.168.0.2')
    expect(text).toContain('Datapath actions: 12')
  })

  it("takes one by the datapath's port and its metadata", () => {
    const made = world(['actions=output:2'])
    const flow = (vni: number) =>
      `tunnel(tun_id=0x${vni.toString(16)},src=192.168.0.2,dst=192.168.0.1,flags(key)),in_port(50),eth(),eth_type(0x1234)`
    expect(traced(made, flow(100))).toMatch(/in_port=9,.*Datapath actions: 12$/s)
    expect(() => traced(made, flow(101))).toThrow('drop(unknown-vni)')
  })

  it('says why nothing goes into a tunnel', () => {
    const made = world(['actions=output:9'], tunnelConfig('flow'))
    expect(traced(made, 'br0', `in_port=1,${TCP}`)).toContain(' >> tun_dst is not set, skipping output to the tunnel\n')
  })
})
