import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Capture } from '../kit/capture.ts'
import { Daemon } from '../kit/daemon.ts'
import { ping } from '../kit/ping.ts'
import { makeFrames, sendFrames } from '../kit/scapy.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'
import { Fabric } from '../kit/underlay.ts'
import { untilBoth } from './flows.ts'

/** Three hypervisors, each with a guest and a tunnel to each of the other two. All uplinks are in one bridge. */

const NODES = [1, 2, 3] as const
type Node = (typeof NODES)[number]
const others = (n: Node): Node[] => NODES.filter((one) => one !== n)

const PAIRS = [
  [1, 2],
  [2, 3],
  [3, 1],
] as const

const outer = (n: Node): string => `192.168.0.${n}`
const ip = (n: Node): string => `10.1.0.${n}`
const mac = (n: Node): string => `02:00:00:00:75:0${n}`
/** An EtherType of local experiments (IEEE 802), by which a test's frames are told from ARP. */
const OURS = 0x88b5
/** Ethernet, IPv4, UDP, VXLAN. */
const OUTER = 50

let bed: Testbed
let fabric: Fabric
let guests: Record<`hv${Node}` | `vm${Node}`, Guest>
const daemons = new Map<Node, Daemon>()

const config = (n: Node): Record<string, unknown> => ({
  eswitches: {
    nic0: {
      ports: {
        [`h${n}p0`]: { role: 'uplink', netns: bed.netns('fabric'), mtu: 1600 },
        vf0: { role: 'vf', netns: bed.netns(`vm${n}`), mac: mac(n) },
      },
    },
  },
  bridges: {
    'br-phy': {
      internal: { addresses: [`${outer(n)}/24`], mtu: 1600, netns: bed.netns(`hv${n}`) },
      ports: { [`h${n}p0`]: {} },
    },
    'br-int': {
      ports: {
        vf0: {},
        ...Object.fromEntries(
          others(n).map((to) => [
            `vx${to}`,
            { type: 'vxlan', protected: true, options: { local_ip: outer(n), remote_ip: outer(to), key: 100 } },
          ]),
        ),
      },
    },
  },
})

/** Whether the tunnel ports of all hypervisors are protected, from now on. */
const protect = (on: boolean): Promise<unknown> =>
  Promise.all(
    [...daemons.values()].map(async (daemon) => {
      const text = readFileSync(daemon.configPath, 'utf8')
      writeFileSync(daemon.configPath, text.replaceAll(/"protected": (true|false)/g, `"protected": ${on}`))
      await daemon.verb('reload')
    }),
  )

const spoken = (to: string, count: number): Promise<Uint8Array[]> =>
  makeFrames(
    `frames = [Ether(src="${mac(1)}", dst="${to}", type=${OURS})/Raw(b"%04d" % n + bytes(46)) for n in range(${count})]`,
  )

/** Numbers of the frames of `spoken` that are in a capture, `at` bytes into each. */
const heard = (frames: readonly { readonly bytes: Uint8Array }[], at = 0): number[] =>
  frames.flatMap(({ bytes }) => {
    const frame = Buffer.from(bytes.subarray(at))
    return frame.length >= 18 && frame.readUInt16BE(12) === OURS ? [Number(frame.toString('latin1', 14, 18))] : []
  })

const meet = async (): Promise<void> => {
  for (const [from, to] of PAIRS)
    expect(await ping(guests[`vm${from}`], ip(to))).toMatchObject({ loss: 0, duplicates: 0 })
}

/** Frames that all hypervisors have sent into the underlay. */
const sent = async (): Promise<number> => {
  const ports = await Promise.all(NODES.map((n) => daemons.get(n)!.port(`h${n}p0`)))
  return ports.reduce((sum, { txPackets }) => sum + txPackets, 0)
}

beforeAll(async () => {
  bed = new Testbed()
  guests = await bed.guests('hv1', 'hv2', 'hv3', 'vm1', 'vm2', 'vm3')
  for (const guest of Object.values(guests))
    for (const scope of ['all', 'default']) await guest.sysctl(`net.ipv6.conf.${scope}.disable_ipv6`, 1)
  fabric = await Fabric.make(bed)
  await Promise.all(NODES.map(async (n) => daemons.set(n, await Daemon.start(bed, config(n)))))
  await fabric.plug('left', 'h1p0', 'h2p0', 'h3p0')
  for (const n of NODES) await guests[`vm${n}`].address('vf0', `${ip(n)}/24`)
}, 60_000)
afterAll(() => bed?.close())

describe('three hypervisors in a full mesh', () => {
  it('reach each other by the NIC, both ways', async () => {
    await meet()
    for (const [from, to] of PAIRS)
      for (const n of [from, to]) await untilBoth(daemons.get(n)!, mac(from), mac(to), 'offloaded')
  })

  it.each([
    ['a broadcast', 'ff:ff:ff:ff:ff:ff'],
    ['a multicast', '01:00:5e:7f:00:75'],
    ['a frame to nobody who is known', '02:00:00:00:75:99'],
  ])('%s comes once to each other guest and crosses the underlay twice', async (_, to) => {
    const COUNT = 40
    const numbers = Array.from({ length: COUNT }, (__, n) => n)
    const frames = await spoken(to, COUNT)
    const captures = await Promise.all([
      ...NODES.map((n) => Capture.start(bed, guests[`vm${n}`], 'vf0', { direction: 'in' })),
      ...NODES.map((n) => Capture.start(bed, fabric.guest, `h${n}p0`, { direction: 'in', filter: 'udp port 4789' })),
    ])
    await sendFrames(guests.vm1, 'vf0', frames)
    await captures[1]!.until(COUNT)
    await captures[2]!.until(COUNT)
    // What still circled would be seen before the answers to these, which go the same ways.
    await meet()
    const [vm1, vm2, vm3, hv1, hv2, hv3] = await Promise.all(captures.map((capture) => capture.stop()))
    expect(heard(vm1!)).toEqual([])
    expect(heard(vm2!)).toEqual(numbers)
    expect(heard(vm3!)).toEqual(numbers)
    expect(heard(hv1!, OUTER).toSorted((x, y) => x - y)).toEqual(numbers.flatMap((n) => [n, n]))
    expect([...heard(hv2!, OUTER), ...heard(hv3!, OUTER)]).toEqual([])
  })

  it('a trace shows why', async () => {
    const broadcast = (port: string, from: Node): Promise<string> =>
      daemons.get(1)!.cli('trace', 'br-int', `in_port=${port},dl_src=${mac(from)},dl_dst=ff:ff:ff:ff:ff:ff,tun_id=100`)
    const received = await broadcast('vx2', 2)
    expect(received).toContain('protected ports')
    expect(received.match(/^Datapath actions: .*$/m)![0]).not.toContain('tnl_push')
    expect(await broadcast('vf0', 1)).toMatch(/^Datapath actions: .*tnl_push.*tnl_push/m)
  })

  it('without protected ports a broadcast circles, and no longer once they are protected again', async () => {
    await protect(false)
    const before = await sent()
    await sendFrames(guests.vm1, 'vf0', await spoken('ff:ff:ff:ff:ff:ff', 1))
    await daemons.get(1)!.until('it circles', sent, (now) => now - before > 300, 10_000)
    await protect(true)
    // What circled has taught the bridges that its sender is elsewhere, each another place; they all learn again from what it tells all of them now.
    await sendFrames(guests.vm1, 'vf0', await spoken('ff:ff:ff:ff:ff:ff', 1))
    for (const [from, to] of PAIRS) expect(await ping(guests[`vm${from}`], ip(to))).toMatchObject({ received: 5 })
    const after = await sent()
    await meet()
    // Fifteen requests and their answers, and ARP of whoever likes.
    expect((await sent()) - after).toBeLessThan(60)
  })
})
