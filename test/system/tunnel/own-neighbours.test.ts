/**
 * A hypervisor whose underlay bridge has no host's stack: `stack: none`, no namespace of its own, so that the switch is in the machine's own one, whose addresses it must not touch. Its
 * peer is the kernel: a namespace with VXLAN devices, over IPv4, over IPv6, and one whose address is beyond the network that both are in; a guest is behind each.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { NeighbourReply } from '../../../src/control/replies.ts'
import { Daemon } from '../kit/daemon.ts'
import { COUNTED_SHORT, iperf } from '../kit/iperf.ts'
import { needKernel } from '../kit/kernel.ts'
import { ping } from '../kit/ping.ts'
import { must } from '../kit/process.ts'
import { scapy } from '../kit/scapy.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'
import { ipBatch, kernelVtep, wire } from '../kit/underlay.ts'
import { eventsSince, eventTotal } from './dual.ts'
import { bothWays, untilBoth } from './flows.ts'

const US = { mac: '02:00:00:00:73:f1', 4: '192.168.0.1', 6: 'fd00:41::1' }
const PEER = { mac: '02:00:00:00:73:f2', 4: '192.168.0.2', 6: 'fd00:41::2' }
const MOVED = '02:00:00:00:73:f3'
/** Not in the network of both: reached by a route that is added by hand. */
const BEYOND = '198.51.100.2'
const A = { ip: '10.1.0.1', mac: '02:00:00:00:73:01' }
const ENDS = [
  { version: 4, vni: 104, guest: 'g4', ip: '10.1.0.4', mac: '02:00:00:00:73:04' },
  { version: 6, vni: 106, guest: 'g6', ip: '10.1.0.6', mac: '02:00:00:00:73:06' },
] as const
const FAR = { vni: 107, ip: '10.1.0.7', mac: '02:00:00:00:73:07' }

let bed: Testbed
let guests: Record<'fabric' | 'peer' | 'a' | 'g4' | 'g6' | 'far', Guest>
let daemon: Daemon
let before: string

/** What the machine has of its own, as far as the switch could change it. */
const host = async (): Promise<string> => {
  const parts = await Promise.all(
    ['link', 'address', 'route show table all', '-6 route show table all', 'neigh'].map((what) =>
      must(['ip', '-o', ...what.split(' ')]),
    ),
  )
  // Others' traffic: lifetimes, states, neighbours.
  return parts
    .slice(0, 4)
    .map((text) => text.replaceAll(/ (valid_lft|preferred_lft|expires|used|age) \S+/g, ''))
    .join('\n---\n')
}

const neighbours = (): Promise<NeighbourReply[]> => daemon.data('tnl/neigh/show')
const neighbour = async (address: string): Promise<NeighbourReply | undefined> =>
  (await neighbours()).find((row) => row.address === address)
const counter = async (name: string): Promise<number> => Number(await daemon.verb('coverage/read-counter', name))

beforeAll(async () => {
  bed = new Testbed()
  guests = await bed.guests('fabric', 'peer', 'a', 'g4', 'g6', 'far')
  for (const guest of Object.values(guests)) await guest.sysctl('net.ipv6.conf.default.accept_dad', 0)
  for (const guest of [guests.a, guests.g4, guests.g6, guests.far])
    await guest.sysctl('net.ipv6.conf.default.disable_ipv6', 1)
  for (const scope of ['all', 'default']) await guests.fabric.sysctl(`net.ipv6.conf.${scope}.disable_ipv6`, 1)
  before = await host()
  daemon = await Daemon.start(bed, {
    eswitches: {
      nic0: {
        ports: {
          wire0: { role: 'uplink', netns: guests.fabric.netns, mtu: 1600 },
          vf0: { role: 'vf', netns: guests.a.netns, mac: A.mac },
        },
      },
    },
    datapath: { 'max-idle': 120_000 },
    bridges: {
      'br-phy': {
        internal: { stack: 'none', addresses: [`${US[4]}/24`, `${US[6]}/64`], mac: US.mac, mtu: 1600 },
        ports: { wire0: {} },
      },
      'br-int': {
        ports: {
          vf0: {},
          'vx-far': { type: 'vxlan', options: { remote_ip: BEYOND, key: FAR.vni } },
          ...Object.fromEntries(
            ENDS.map(({ version, vni }) => [
              `vx${version}`,
              { type: 'vxlan', options: { remote_ip: PEER[version], key: vni } },
            ]),
          ),
        },
      },
    },
  })
  await ipBatch(guests.fabric, [
    'link add wires mtu 1600 type bridge mcast_snooping 0',
    'link set wire0 master wires up',
    `link add far mtu 1600 type veth peer name eth0 mtu 1600 address ${PEER.mac} netns ${guests.peer.netns}`,
    'link set far master wires up',
    'link set wires up',
  ])
  await wire(guests.fabric, 'far')
  await guests.peer.address('eth0', `${PEER[4]}/24`, `${PEER[6]}/64`)
  for (const { version, vni, guest, mac } of ENDS)
    await kernelVtep(guests.peer, { vni, local: PEER[version], remote: US[version], guest: guests[guest], mac })
  await ipBatch(guests.peer, [`address add ${BEYOND}/32 dev lo`])
  await kernelVtep(guests.peer, { vni: FAR.vni, local: BEYOND, remote: US[4], guest: guests.far, mac: FAR.mac })
  await guests.far.address('eth0', `${FAR.ip}/24`)
  await guests.a.address('vf0', `${A.ip}/24`)
  for (const { guest, ip } of ENDS) await guests[guest].address('eth0', `${ip}/24`)
}, 60_000)
afterAll(() => bed?.close())

describe.each(ENDS)('over IPv$version', ({ version, guest, ip, mac }) => {
  it('ping and TCP go both ways, offloaded, with neighbours that only the switch knows', async (context) => {
    await needKernel(context, 'vxlan', 'bridge', 'veth')
    expect(await ping(guests.a, ip)).toMatchObject({ loss: 0, duplicates: 0 })
    expect(await ping(guests[guest], A.ip)).toMatchObject({ loss: 0, duplicates: 0 })
    const all = 16 * 2 ** 20 - COUNTED_SHORT
    expect((await iperf(guests.a, guests[guest], ip, { bytes: '16M' })).bytes).toBeGreaterThan(all)
    expect((await iperf(guests[guest], guests.a, A.ip, { bytes: '16M' })).bytes).toBeGreaterThan(all)
    for (const flow of await bothWays(daemon, A.mac, mac)) expect(flow).toMatchObject({ offloaded: true })
    expect(await neighbour(PEER[version])).toMatchObject({ mac: PEER.mac, bridge: 'br-phy', state: 'REACHABLE' })
    expect(await guests.peer.must(['ip', 'neigh', 'show', US[version]])).toContain(US.mac)
  })
})

it('nothing of the machine itself is touched', async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  expect(await host()).toBe(before)
})

it("the addresses and routes are shown as the underlay's", async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  const shown = await daemon.verb('ovs/route/show')
  expect(shown).toContain(`Cached: ${US[4]}/32 dev br-phy SRC ${US[4]} local`)
  expect(shown).toContain(`Cached: 192.168.0.0/24 dev br-phy SRC ${US[4]}\n`)
  expect(await daemon.verb('ovs/route/lookup', PEER[6])).toBe(`src ${US[6]}\ngateway ::\ndev br-phy\n`)
  expect(await daemon.verb('tnl/ports/show', '-v')).toContain(`eth(dst=${US.mac}),eth_type(0x0800),ipv4(dst=${US[4]}`)
})

it("what is neither a tunnel's nor ARP is a counted drop", async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  const was = (await daemon.port('br-phy')).drops['no-stack'] ?? 0
  expect((await ping(guests.peer, US[4], { count: 3, wait: 0.5 })).loss).toBe(100)
  expect((await daemon.port('br-phy')).drops['no-stack']! - was).toBeGreaterThanOrEqual(3)
})

it('a reply that nobody asked for is counted, and makes nobody known', async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  const was = await counter('own_neighbour_unsolicited')
  await scapy(
    guests.peer,
    `
for i in range(5):
    sendp(Ether(src="02:00:00:00:73:99", dst="${US.mac}")/ARP(op=2, hwsrc="02:00:00:00:73:99", psrc="192.168.0.99", hwdst="${US.mac}", pdst="${US[4]}"), iface="eth0")
sendp(Ether(src="02:00:00:00:73:99", dst="${US.mac}")/IPv6(src="fd00:41::99", dst="${US[6]}")/ICMPv6ND_NA(tgt="fd00:41::99", S=1, O=1, R=0)/ICMPv6NDOptDstLLAddr(lladdr="02:00:00:00:73:99"), iface="eth0")
`,
  )
  await daemon.until(
    'six are counted',
    () => counter('own_neighbour_unsolicited'),
    (now) => now >= was + 6,
  )
  expect(await neighbour('192.168.0.99')).toBeUndefined()
  expect(await neighbour('fd00:41::99')).toBeUndefined()
  expect(await neighbour(PEER[4])).toMatchObject({ mac: PEER.mac })
})

it('a route by hand leads beyond the network, and no longer when it is taken away', async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  const why = async (): Promise<string> => {
    await ping(guests.a, FAR.ip, { count: 1, wait: 0.5 })
    return JSON.stringify(await daemon.flows())
  }
  await daemon.until('nobody knows the way', why, (text) => text.includes('"no-route"'))
  await expect(daemon.verb('ovs/route/add', `${BEYOND}/32`, 'br-int', PEER[4])).rejects.toThrow(/br-int/)
  await expect(daemon.verb('ovs/route/add', `${BEYOND}/32`, 'br-phy', PEER[6])).rejects.toThrow(/IPv4/)
  expect(await daemon.appctl('ovs/route/add', `${BEYOND}/32`, 'br-phy', PEER[4])).toBe('OK\n')
  expect(await daemon.verb('ovs/route/show')).toContain(`User: ${BEYOND}/32 dev br-phy GW ${PEER[4]} SRC ${US[4]}\n`)
  expect(await daemon.verb('ovs/route/lookup', BEYOND)).toBe(`src ${US[4]}\ngateway ${PEER[4]}\ndev br-phy\n`)
  expect(await ping(guests.a, FAR.ip)).toMatchObject({ loss: 0 })
  await untilBoth(daemon, A.mac, FAR.mac, 'offloaded')
  expect(await daemon.appctl('ovs/route/del', `${BEYOND}/32`)).toBe('OK\n')
  await expect(daemon.verb('ovs/route/del', `${BEYOND}/32`)).rejects.toThrow('Not found')
  await untilBoth(daemon, A.mac, FAR.mac, 'no-route')
})

it('a neighbour by hand is used, and asked for again when it is forgotten', async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  await expect(daemon.verb('tnl/neigh/set', 'br-int', PEER[4], PEER.mac)).rejects.toThrow(/stack: none/)
  expect(await daemon.appctl('tnl/arp/set', 'br-phy', PEER[4], '02:00:00:00:73:55')).toBe('OK\n')
  expect(await neighbour(PEER[4])).toMatchObject({ mac: '02:00:00:00:73:55', state: 'PERMANENT' })
  expect((await ping(guests.a, ENDS[0].ip, { count: 2, wait: 0.5 })).received).toBe(0)
  const seen = await eventTotal(daemon)
  expect(await daemon.appctl('tnl/neigh/flush')).toBe('OK\n')
  await daemon.until(
    'the answer is applied, by the NIC too',
    async () => ({ now: await neighbour(PEER[4]), events: await eventsSince(daemon, seen) }),
    ({ now, events }) => now?.mac === PEER.mac && events.length > 0 && events.every(({ micros }) => micros !== null),
  )
  expect(await ping(guests.a, ENDS[0].ip)).toMatchObject({ loss: 0 })
  expect(await neighbour(PEER[4])).toMatchObject({ mac: PEER.mac })
})

it('a peer that moves to another MAC and says so is followed under way, by both versions', async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  for (const { mac, ip } of ENDS) {
    await ping(guests.a, ip)
    await untilBoth(daemon, A.mac, mac, 'offloaded')
  }
  const { misses } = (await daemon.counters()).dpif
  const entries = await neighbours()
  await guests.peer.sysctl('net.ipv4.conf.eth0.arp_notify', 1)
  await guests.peer.sysctl('net.ipv6.conf.eth0.ndisc_notify', 1)
  await ipBatch(guests.peer, [`link set eth0 address ${MOVED}`])
  for (const { version, ip, mac } of ENDS) {
    await daemon.until(
      'the neighbour is followed',
      () => neighbour(PEER[version]),
      (row) => row?.mac === MOVED,
      1000,
    )
    expect(await ping(guests.a, ip)).toMatchObject({ loss: 0 })
    await untilBoth(daemon, A.mac, mac, 'offloaded')
  }
  // Entries have followed, not flows.
  expect((await neighbours()).length).toBe(entries.length)
  expect((await daemon.counters()).dpif.misses - misses).toBeLessThan(30)
})

it('a peer that is gone fails although all of its packets went by the NIC, says so, and is found again when it is back', async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  expect(await daemon.verb('tnl/neigh/aging')).toBe('30\n')
  await daemon.verb('tnl/neigh/aging', '1')
  // From the next answer on.
  await daemon.verb('tnl/neigh/flush')
  for (const { mac, ip } of ENDS) {
    await ping(guests.a, ip)
    await untilBoth(daemon, A.mac, mac, 'offloaded')
  }
  const failed = await counter('own_neighbour_failed')
  await ipBatch(guests.fabric, ['link set far down'])
  for (const { version, mac } of ENDS) {
    // At most 1.5 s reachable, 5 s of delay, three probes and three requests.
    await untilBoth(daemon, A.mac, mac, 'neighbour-failed', 16_000)
    expect(await neighbour(PEER[version])).not.toHaveProperty('mac')
  }
  expect(await counter('own_neighbour_failed')).toBeGreaterThanOrEqual(failed + 2)
  expect(
    (await daemon.flows()).filter(({ why }) => /192\.168\.0\.2 on br-phy does not answer/.test(why)).length,
  ).toBeGreaterThan(0)
  await ipBatch(guests.fabric, ['link set far up'])
  for (const { mac, ip } of ENDS) {
    await untilBoth(daemon, A.mac, mac, 'offloaded', 12_000)
    expect(await ping(guests.a, ip)).toMatchObject({ loss: 0 })
  }
})

it('other addresses are taken over while frames pass', async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  const config = JSON.parse(readFileSync(daemon.configPath, 'utf8'))
  config.bridges['br-phy'].internal.addresses.push('192.168.7.1/24')
  config.bridges['br-phy'].internal.mtu = 1700
  writeFileSync(daemon.configPath, JSON.stringify(config))
  await daemon.verb('reload')
  expect(await daemon.verb('ovs/route/lookup', '192.168.7.9')).toBe('src 192.168.7.1\ngateway ::\ndev br-phy\n')
  expect(await daemon.port('br-phy')).toMatchObject({ mtu: 1700, mac: US.mac, link: 'up' })
  await ipBatch(guests.peer, ['address add 192.168.7.2/24 dev eth0'])
  // Answered, though not by an echo.
  await ping(guests.peer, '192.168.7.1', { count: 1, wait: 0.2 })
  expect(await guests.peer.must(['ip', 'neigh', 'show', '192.168.7.1'])).toContain(US.mac)
  expect(await ping(guests.a, ENDS[0].ip)).toMatchObject({ loss: 0 })
  config.bridges['br-phy'].internal.stack = 'host'
  config.bridges['br-phy'].internal.netns = guests.peer.netns
  writeFileSync(daemon.configPath, JSON.stringify(config))
  await expect(daemon.verb('reload')).rejects.toThrow(/underlay/)
})
