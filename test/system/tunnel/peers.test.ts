import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Capture } from '../kit/capture.ts'
import { Daemon } from '../kit/daemon.ts'
import { COUNTED_SHORT, iperf } from '../kit/iperf.ts'
import { needKernel } from '../kit/kernel.ts'
import { ping } from '../kit/ping.ts'
import { Stream, WHOLE } from '../kit/stream.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'
import { complaints, fields } from '../kit/tshark.ts'
import { Fabric, kernelVtep, OvsPeer, veth, wire } from '../kit/underlay.ts'
import { bothWays } from './flows.ts'

/**
 * One hypervisor with a guest `a` and six tunnels, on one underlay with IPv4 and IPv6 addresses: to another switch of ours, to the kernel's VXLAN devices and to
 * Open vSwitch, each by both versions. Behind each tunnel is one guest.
 */
const PEERS = [
  { name: 'ours', host: 2, version: 4, guest: 'o4' },
  { name: 'ours', host: 2, version: 6, guest: 'o6' },
  { name: 'the kernel', host: 3, version: 4, guest: 'k4' },
  { name: 'the kernel', host: 3, version: 6, guest: 'k6' },
  { name: 'Open vSwitch', host: 4, version: 4, guest: 'v4' },
  { name: 'Open vSwitch', host: 4, version: 6, guest: 'v6' },
] as const
type Peer = (typeof PEERS)[number]

const vni = ({ host, version }: Peer): number => host * 10 + version
const outer = (host: number, version: 4 | 6): string => (version === 4 ? `192.168.0.${host}` : `fd00:40::${host}`)
const inner = (peer: Peer): string => `10.1.0.${vni(peer)}`
const mac = (peer: Peer): string => `02:00:00:00:71:${vni(peer)}`
const A = { ip: '10.1.0.1', mac: '02:00:00:00:71:01' }

let bed: Testbed
let fabric: Fabric
let guests: Record<'hv1' | 'hv2' | 'hv3' | 'hv4' | 'a' | Peer['guest'], Guest>
let ours: Daemon
let other: Daemon

const tunnel = (peer: Peer, from: number, to: number): object => ({
  type: 'vxlan',
  options: { local_ip: outer(from, peer.version), remote_ip: outer(to, peer.version), key: vni(peer) },
})
const hypervisor = (n: 1 | 2): object => ({
  internal: {
    addresses: [`${outer(n, 4)}/24`, `${outer(n, 6)}/64`],
    mtu: 1600,
    netns: bed.netns(`hv${n}`),
  },
  ports: { [`h${n}p0`]: {} },
})
const uplink = (n: 1 | 2): object => ({ [`h${n}p0`]: { role: 'uplink', netns: bed.netns('fabric'), mtu: 1600 } })

const startOurs = (): Promise<Daemon> =>
  Daemon.start(bed, {
    eswitches: { nic0: { ports: { ...uplink(1), vf0: { role: 'vf', netns: bed.netns('a'), mac: A.mac } } } },
    bridges: {
      'br-phy': hypervisor(1),
      'br-int': {
        ports: {
          vf0: {},
          ...Object.fromEntries(PEERS.map((peer) => [`vx${vni(peer)}`, tunnel(peer, 1, peer.host)])),
        },
      },
    },
  })

/** The other switch of ours: two guests in VLANs of their own, so that its two tunnels do not meet. */
const startOther = (): Promise<Daemon> => {
  const mine = PEERS.filter(({ host }) => host === 2)
  const vf = ({ version, guest }: Peer, address: string): object => ({
    [`vf${version}`]: { role: 'vf', netns: bed.netns(guest), mac: address },
  })
  return Daemon.start(bed, {
    eswitches: { nic0: { ports: { ...uplink(2), ...vf(mine[0]!, mac(mine[0]!)), ...vf(mine[1]!, mac(mine[1]!)) } } },
    bridges: {
      'br-phy': hypervisor(2),
      'br-int': {
        ports: Object.fromEntries(
          mine.flatMap((peer) => [
            [`vf${peer.version}`, { tag: peer.version }],
            [`vx${vni(peer)}`, { ...tunnel(peer, 2, 1), tag: peer.version }],
          ]),
        ),
      },
    },
  })
}

const startKernel = async (): Promise<void> => {
  await veth(fabric.guest, 'h3', guests.hv3, 'eth0', 1600)
  await fabric.plug('right', 'h3')
  await guests.hv3.address('eth0', `${outer(3, 4)}/24`, `${outer(3, 6)}/64`)
  for (const peer of PEERS.filter(({ host }) => host === 3))
    await kernelVtep(guests.hv3, {
      vni: vni(peer),
      local: outer(3, peer.version),
      remote: outer(1, peer.version),
      guest: guests[peer.guest],
      mac: mac(peer),
    })
}

const startOvs = async (): Promise<void> => {
  await veth(fabric.guest, 'h4', guests.hv4, 'eth0', 1600)
  // Its packet sockets take no partial checksums.
  await wire(fabric.guest, 'h4')
  await fabric.plug('right', 'h4')
  const ovs = await OvsPeer.start(bed, guests.hv4)
  const bridge = (name: string): string[] => ['add-br', name, '--', 'set', 'bridge', name, 'datapath_type=netdev']
  const port = (bridgeName: string, name: string, ...settings: string[]): string[] => [
    ...['--', 'add-port', bridgeName, name, '--', 'set', 'interface', name, ...settings],
  ]
  await ovs.vsctl(
    ...bridge('br-phy'),
    ...port('br-phy', 'eth0', 'type=system'),
    ...['--', 'set', 'interface', 'br-phy', 'mtu_request=1600', '--'],
    ...[...bridge('br4'), '--', ...bridge('br6')],
    ...PEERS.filter(({ host }) => host === 4).flatMap((peer) => {
      const to = [`options:remote_ip=${outer(1, peer.version)}`, `options:key=${vni(peer)}`]
      const name = `br${peer.version}`
      return [...port(name, `vx${vni(peer)}`, 'type=vxlan', ...to), ...port(name, `tap${peer.version}`, 'type=tap')]
    }),
  )
  for (const peer of PEERS.filter(({ host }) => host === 4))
    await guests.hv4.must([
      'ip',
      'link',
      'set',
      `tap${peer.version}`,
      'address',
      mac(peer),
      'netns',
      bed.netns(peer.guest),
    ])
  await guests.hv4.address('br-phy', `${outer(4, 4)}/24`, `${outer(4, 6)}/64`)
}

const linkOf = ({ host, version }: Peer): string =>
  host === 2 ? `vf${version}` : host === 3 ? 'eth0' : `tap${version}`

beforeAll(async () => {
  bed = new Testbed()
  guests = await bed.guests('hv1', 'hv2', 'hv3', 'hv4', 'a', 'o4', 'o6', 'k4', 'k6', 'v4', 'v6')
  for (const guest of Object.values(guests)) await guest.sysctl('net.ipv6.conf.default.accept_dad', 0)
  fabric = await Fabric.make(bed)
  ;[ours, other] = await Promise.all([startOurs(), startOther(), startKernel(), startOvs()])
  await fabric.plug('left', 'h1p0')
  await fabric.plug('right', 'h2p0')
  await guests.a.address('vf0', `${A.ip}/24`)
  for (const peer of PEERS) await guests[peer.guest].address(linkOf(peer), `${inner(peer)}/24`)
}, 60_000)
afterAll(() => bed?.close())

/** Of the guests' TCP, whose links have an MTU of 1500. */
const MSS = 1448

const NAMED = PEERS.map((peer) => ({ ...peer, title: `${peer.name} over IPv${peer.version}` }))

describe.each(NAMED)('a tunnel to $title,', (peer) => {
  it('carries ping, TCP and UDP both ways, by the NIC', async (context) => {
    await needKernel(context, 'vxlan', 'bridge', 'veth')
    const there = guests[peer.guest]
    expect(await ping(guests.a, inner(peer))).toMatchObject({ loss: 0, duplicates: 0 })
    expect(await ping(there, A.ip)).toMatchObject({ loss: 0, duplicates: 0 })
    const stream = await Stream.start(guests.a, A.ip, there, inner(peer), { rate: 1000 })
    await delay(300)
    for (const report of await stream.stop()) expect(report).toMatchObject(WHOLE)
    const all = 16 * 2 ** 20 - COUNTED_SHORT
    expect((await iperf(guests.a, there, inner(peer), { bytes: '16M' })).bytes).toBeGreaterThan(all)
    expect((await iperf(there, guests.a, A.ip, { bytes: '16M' })).bytes).toBeGreaterThan(all)
    for (const flow of await bothWays(ours, A.mac, mac(peer))) expect(flow).toMatchObject({ offloaded: true })
    if (peer.host !== 2) return
    for (const flow of await bothWays(other, A.mac, mac(peer))) expect(flow).toMatchObject({ offloaded: true })
  })
})

it('frames on the wire decode without a complaint, checksums inside and outside validated', async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  const capture = await Capture.start(bed, fabric.guest, 'wire1')
  const received = new Map<string, number>()
  for (const peer of PEERS) {
    await ping(guests.a, inner(peer), { count: 3 })
    const { bytes } = await iperf(guests.a, guests[peer.guest], inner(peer), { bytes: '300K', streams: 3 })
    received.set(peer.guest, bytes)
    await iperf(guests[peer.guest], guests.a, A.ip, { bytes: '300K' })
    await iperf(guests.a, guests[peer.guest], inner(peer), { udp: true, bytes: '50K', rate: '20M', length: 1400 })
  }
  await capture.stop()
  expect(await complaints(capture.path)).toEqual([])
  const rows = await fields(
    capture.path,
    ...[
      'frame.len',
      'ip.src',
      'ipv6.src',
      'vxlan.vni',
      'udp.srcport',
      'ip.flags.df',
      'udp.checksum',
      'ip.dst',
      'ipv6.dst',
    ],
  )
  for (const peer of PEERS) {
    const source = peer.version === 4 ? 1 : 2
    const destination = peer.version === 4 ? 7 : 8
    const sent = rows.filter(
      (row) =>
        row[source]![0] === outer(1, peer.version) &&
        row[destination]![0] === outer(peer.host, peer.version) &&
        row[3]!.length > 0,
    )
    // Of which at least the TCP segments.
    expect(sent.length, peer.guest).toBeGreaterThan(received.get(peer.guest)! / MSS)
    expect([...new Set(sent.map((row) => row[3]![0]))], peer.guest).toEqual([String(vni(peer))])
    const ports = [...new Set(sent.map((row) => Number(row[4]![0])))]
    expect(ports.length, peer.guest).toBeGreaterThanOrEqual(4)
    expect(Math.min(...ports)).toBeGreaterThanOrEqual(32768)
    expect(Math.max(...ports)).toBeLessThanOrEqual(61000)
    if (peer.version === 4) expect([...new Set(sent.map((row) => row[5]![0]))], peer.guest).toEqual(['1'])
    else expect(sent.filter((row) => row[6]![0] === '0x0000')).toEqual([])
  }
  expect(Math.max(...rows.map((row) => Number(row[0]![0])))).toBeLessThanOrEqual(1614)
})
