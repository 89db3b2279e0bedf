/** Two and three hypervisors over a wire, each with all of its own tiers: what the fakes promise holds of the real ones. */
import { afterEach, describe, expect, it } from 'vitest'
import { formatOdpActions } from '../../../src/flow/odp-text.ts'
import { parseFlow } from '../../../src/flow/ofp-text.ts'
import type { TunnelConfig } from '../../../src/tunnel/contract.ts'
import { ip, tunnelConfig } from './fake-tunnels.ts'
import { GUEST, Hypervisor, hostMac, LOCAL, settleAll, UPLINK, VXLAN } from './hypervisor.ts'
import { udpFrame } from './udp-frame.ts'

let hosts: Hypervisor[] = []

/** Hypervisors 1 to n, each with a tunnel of VNI 100 to each other one, neighbours known. */
const mesh = async (n: number, config: Partial<TunnelConfig> = {}, spec: { protected?: boolean } = {}) => {
  hosts = []
  for (let me = 1; me <= n; me++) {
    const host = await new Hypervisor(me).start()
    for (let peer = 1; peer <= n; peer++)
      if (peer !== me) {
        host.tunnel(`vx${peer}`, { tunnel: { ...tunnelConfig(ip(192, 168, 0, peer), 100), ...config }, ...spec })
        host.knows(peer)
      }
    await host.settle(20)
    hosts.push(host)
  }
  return hosts as [Hypervisor, Hypervisor, Hypervisor]
}

afterEach(async () => {
  for (const host of hosts) {
    await host.settle()
    expect(host.world.missingSlots()).toEqual({})
    expect(host.errors).toEqual([])
  }
})

const A = 0x020000000001
const B = 0x020000000002
const hello = udpFrame({ src: A, dst: B, payload: 200 })
const answer = udpFrame({ src: B, dst: A, srcIp: 2, dstIp: 1, payload: 100 })

describe('two hypervisors', () => {
  it('carry a conversation both ways, by four flows that no later packet asks for again', async () => {
    const [one, two] = await mesh(2)
    one.port(GUEST).inject(hello)
    const [wire] = await settleAll(one, two)
    expect(two.taken(GUEST)).toEqual([hello])
    expect([...wire!.subarray(0, 14)]).toEqual([2, 0, 0, 0, 0xaa, 2, 2, 0, 0, 0, 0xaa, 1, 8, 0])
    expect([...wire!.subarray(26, 34), ...wire!.subarray(36, 38)]).toEqual([192, 168, 0, 1, 192, 168, 0, 2, 18, 181])
    two.port(GUEST).inject(answer)
    await settleAll(one, two)
    expect(one.taken(GUEST)).toEqual([answer])
    // Addresses were learned on the way: now they need not flood any more.
    for (const host of hosts) await host.settle(50)
    one.port(GUEST).inject(hello)
    two.port(GUEST).inject(answer)
    await settleAll(one, two)
    one.taken(GUEST)
    two.taken(GUEST)
    const upcalls = [one.upcalls(), two.upcalls()]
    for (let i = 0; i < 20; i++) {
      one.port(GUEST).inject(hello)
      two.port(GUEST).inject(answer)
    }
    await settleAll(one, two)
    expect([one.taken(GUEST).length, two.taken(GUEST).length]).toEqual([20, 20])
    expect([one.upcalls(), two.upcalls()]).toEqual(upcalls)
    const actions = [...one.world.dpif.flows()].map((flow) => formatOdpActions(flow.actions))
    expect(actions.filter((text) => /^(tnl_push\(entry\(0\)\)|tnl_pop\(50\)|2)$/.test(text)).length).toBe(3)
  })

  it('count what went for entries, rules and ports', async () => {
    const [one, two] = await mesh(2)
    for (let i = 0; i < 5; i++) one.port(GUEST).inject(hello)
    await settleAll(one, two)
    for (const host of hosts) await host.settle(600)
    const tx = one.int.portByName('vx2')!
    expect([tx.txPackets, tx.txBytes]).toEqual([5, 5 * hello.length])
    const rx = two.int.portByName('vx1')!
    expect([rx.rxPackets, rx.rxBytes]).toEqual([5, 5 * hello.length])
    const [rule] = one.phy.tables.table(0)!.covered({ key: new Int32Array(80), mask: new Int32Array(80) })
    expect([rule!.packets, rule!.bytes]).toEqual([5, 5 * (hello.length + 50)])
  })

  it('let the host have what is no tunnel packet', async () => {
    const [one, two] = await mesh(2)
    const ssh = udpFrame({ src: hostMac(1), dst: hostMac(2), net: 168, srcIp: 1, dstIp: 2, dport: 53 })
    one.port(LOCAL).inject(ssh)
    await settleAll(one, two)
    expect(two.taken(LOCAL)).toEqual([ssh])
  })

  it('drop a VNI that nobody wants, by name, and take it when somebody does', async () => {
    const [one, two] = await mesh(2)
    two.int.reconfigurePort('vx1', { tunnel: tunnelConfig(ip(192, 168, 0, 1), 7) })
    one.port(GUEST).inject(hello)
    await settleAll(one, two)
    expect(two.taken(GUEST)).toEqual([])
    expect(two.world.drops(VXLAN)).toEqual({ 'unknown-vni': 1 })
    two.int.reconfigurePort('vx1', { tunnel: tunnelConfig(ip(192, 168, 0, 1), 100) })
    await two.settle(50)
    one.port(GUEST).inject(hello)
    await settleAll(one, two)
    expect(two.taken(GUEST)).toEqual([hello])
  })

  it('send again when the next hop is known, all that waited, in order', async () => {
    hosts = [await new Hypervisor(1).start(), await new Hypervisor(2).start()]
    const [one, two] = hosts as [Hypervisor, Hypervisor]
    one.tunnel('vx2', { tunnel: tunnelConfig(ip(192, 168, 0, 2), 100) })
    two.tunnel('vx1', { tunnel: tunnelConfig(ip(192, 168, 0, 1), 100) })
    const frames = Array.from({ length: 10 }, (_, i) => udpFrame({ src: A, dst: B, payload: 50 + i }))
    for (const frame of frames) one.port(GUEST).inject(frame)
    await settleAll(one, two)
    expect(two.taken(GUEST)).toEqual([])
    one.knows(2)
    await one.settle(20)
    await settleAll(one, two)
    expect(two.taken(GUEST)).toEqual(frames)
    expect(one.upcalls()).toBe(1)
  })

  it('follow a rule of the underlay without touching a flow', async () => {
    const [one, two] = await mesh(2)
    one.port(GUEST).inject(hello)
    await settleAll(one, two)
    const { modified, deleted } = one.udpif.status().revalidation
    one.phy.tables.add(parseFlow('priority=9,udp,in_port=LOCAL,actions=mod_nw_tos:184,NORMAL'))
    await one.settle(50)
    await one.settle(50)
    one.taken(UPLINK)
    one.port(GUEST).inject(hello)
    await one.settle()
    const [frame] = one.taken(UPLINK)
    expect(frame![15]).toBe(184)
    expect(one.udpif.status().revalidation).toMatchObject({ modified, deleted })
  })

  it('make a second pass when rules of the underlay differ by flow', async () => {
    const [one, two] = await mesh(2)
    one.phy.tables.add(parseFlow('priority=9,udp,in_port=LOCAL,tp_src=40001,actions=drop'))
    await one.settle(50)
    one.port(GUEST).inject(hello)
    await settleAll(one, two)
    expect(two.taken(GUEST)).toEqual([hello])
    const [entry] = one.layer.entries()
    expect(entry).toMatchObject({
      entry: { reason: 'underlay-ambiguous', actions: [{ type: 'reenter', port: LOCAL }] },
    })
  })

  it('lose a loop of tunnels by name: the way to the peer leads through the tunnel', async () => {
    const [one] = await mesh(2)
    one.phy.addPort({ name: 'to-int', peer: 'to-phy' })
    one.int.addPort({ name: 'to-phy', peer: 'to-int' })
    one.phy.deletePort('p0')
    await one.settle(50)
    one.port(GUEST).inject(hello)
    await one.settle()
    const [entry] = one.layer.entries()
    expect(entry).toMatchObject({ entry: { state: 'drop', reason: 'tunnel-loop' } })
    expect(one.world.drops(GUEST)['tunnel-loop']).toBe(1)
  })
})

describe('too big a packet', () => {
  const big = (df: boolean) => udpFrame({ src: A, dst: B, payload: 1472, df })

  it('that may not be fragmented is answered to the guest', async () => {
    const [one, two] = await mesh(2)
    one.port(GUEST).inject(big(true))
    await settleAll(one, two)
    expect(two.taken(GUEST)).toEqual([])
    const [icmp, ...more] = one.taken(GUEST)
    expect(more).toEqual([])
    expect([...icmp!.subarray(0, 12)]).toEqual([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2])
    expect([...icmp!.subarray(34, 36), icmp![40], icmp![41]]).toEqual([3, 4, 1450 >> 8, 1450 & 0xff])
    expect(one.mtu.counters.icmp).toBe(1)
    expect(one.world.drops(GUEST)).toEqual({ 'tunnel-mtu': 1 })
  })

  it('goes in fragments where that is allowed, and is lost by name where it is not', async () => {
    const [one, two] = await mesh(2, { df: false })
    one.port(GUEST).inject(big(false))
    const wire = await settleAll(one, two)
    expect(wire.map((frame) => ((frame[20]! << 8) | frame[21]!) & 0x3fff)).toEqual([0x2000, 1480 / 8])
    expect(one.world.drops(GUEST)).toEqual({})
    // Fragments of outer packets end here.
    expect(two.taken(GUEST)).toEqual([])
    expect(two.world.drops(UPLINK)).toEqual({ 'outer-fragment': 1 })
    expect(two.taken(LOCAL).length).toBe(1)
    one.int.reconfigurePort('vx2', { tunnel: tunnelConfig(ip(192, 168, 0, 2), 100) })
    await one.settle(50)
    one.port(GUEST).inject(big(false))
    await settleAll(one, two)
    expect(one.mtu.counters).toMatchObject({ df: 1, fragmented: 1, fragments: 2 })
    expect(one.world.drops(GUEST)).toEqual({ 'tunnel-mtu': 1 })
  })
})

describe('three hypervisors in a full mesh of protected ports', () => {
  it('deliver a broadcast once to each, and it ends', async () => {
    const all = await mesh(3, {}, { protected: true })
    const broadcast = udpFrame({ src: A, dst: 0xffffffffffff, payload: 60 })
    all[0].port(GUEST).inject(broadcast)
    const wire = await settleAll(...all)
    expect(all.map((host) => host.taken(GUEST).length)).toEqual([0, 1, 1])
    expect(wire.length).toBe(2)
  })
})
