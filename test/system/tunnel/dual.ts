/**
 * A hypervisor `hv1` whose guests are on nic0, which has two uplinks, p0 and p1; nic1 has p2. Each uplink is in an underlay bridge of its own; all three lead to `peer`, a
 * namespace with the kernel's VXLAN device and a guest `b` behind it. Tunnel addresses are on loopback interfaces.
 */
import type { OffloadEventsReply } from '../../../src/control/replies.ts'
import { Daemon } from '../kit/daemon.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'
import { ipBatch, kernelVtep } from '../kit/underlay.ts'

export const LOCAL = '192.0.2.1'
export const PEER = '192.0.2.2'
export const A = { ip: '10.1.0.1', mac: '02:00:00:00:72:01' }
export const B = { ip: '10.1.0.2', mac: '02:00:00:00:72:02' }
/** Of the guest that only sends. */
export const MANY_MAC = '02:00:00:00:72:03'

export type Way = 'p0' | 'p1' | 'p2'
export const WAYS = ['p0', 'p1', 'p2'] as const
/** Address in the network of an uplink: 1 is hv1, 2 the peer. */
export const hop = (way: Way, host: 1 | 2): string => `10.0.${way.slice(1)}.${host}`

export interface Dual {
  readonly bed: Testbed
  readonly daemon: Daemon
  readonly guests: Record<'hv1' | 'peer' | 'a' | 'b' | 'many', Guest>
}

export interface DualOptions {
  /** Rules of the bridge of guest `many` (ports vf1 and vxf, whose rules set the endpoint). */
  readonly many?: readonly string[]
  readonly datapath?: Record<string, number>
}

export const startDual = async (options: DualOptions = {}): Promise<Dual> => {
  const bed = new Testbed()
  try {
    const guests = await bed.guests('hv1', 'peer', 'a', 'b', 'many')
    for (const guest of Object.values(guests))
      for (const scope of ['all', 'default']) await guest.sysctl(`net.ipv6.conf.${scope}.disable_ipv6`, 1)
    await ipBatch(guests.hv1, [`address add ${LOCAL}/32 dev lo`])
    await ipBatch(guests.peer, [`address add ${PEER}/32 dev lo`])
    const uplink = { role: 'uplink', netns: guests.peer.netns, mtu: 1600 }
    const underlay = (way: Way): [string, object] => [
      `br-${way}`,
      { internal: { addresses: [`${hop(way, 1)}/24`], mtu: 1600, netns: guests.hv1.netns }, ports: { [way]: {} } },
    ]
    const daemon = await Daemon.start(bed, {
      eswitches: {
        nic0: {
          ports: {
            p0: uplink,
            p1: uplink,
            vf0: { role: 'vf', netns: guests.a.netns, mac: A.mac },
            vf1: { role: 'vf', netns: guests.many.netns, mac: MANY_MAC },
          },
        },
        nic1: { ports: { p2: uplink } },
      },
      bridges: {
        ...Object.fromEntries(WAYS.map(underlay)),
        'br-int': {
          ports: { vf0: {}, vx0: { type: 'vxlan', options: { local_ip: LOCAL, remote_ip: PEER, key: 100 } } },
        },
        'br-many': {
          ports: {
            vf1: { ofport: 1 },
            vxf: { type: 'vxlan', ofport: 2, options: { local_ip: LOCAL, remote_ip: 'flow', key: 'flow' } },
          },
          flows: options.many ?? [],
        },
      },
      ...(options.datapath ? { datapath: options.datapath } : {}),
    })
    for (const way of WAYS) await guests.peer.address(way, `${hop(way, 2)}/24`)
    await kernelVtep(guests.peer, { vni: 100, local: PEER, remote: LOCAL, guest: guests.b, mac: B.mac })
    await guests.a.address('vf0', `${A.ip}/24`)
    await guests.b.address('eth0', `${B.ip}/24`)
    await guests.many.must(['ip', 'link', 'set', 'vf1', 'up'])
    // The guests know each other, so that nothing but what a test sends is there.
    await ipBatch(guests.a, [`neigh replace ${B.ip} lladdr ${B.mac} dev vf0 nud permanent`])
    await ipBatch(guests.b, [`neigh replace ${A.ip} lladdr ${A.mac} dev eth0 nud permanent`])
    // And so that nobody is asked again who has just answered.
    for (const way of WAYS) {
      await guests.hv1.sysctl(`net.ipv4.neigh.br-${way}.delay_first_probe_time`, 60)
      await guests.peer.sysctl(`net.ipv4.neigh.${way}.delay_first_probe_time`, 60)
    }
    return { bed, daemon, guests }
  } catch (error) {
    await bed.close()
    throw error
  }
}

/**
 * The switch has heard of a change in hv1 and done all that follows: only then may the peer's packets come by another way without being a surprise, which tier 1 would be asked
 * about.
 */
export const applied = (daemon: Daemon): Promise<string> => daemon.verb('revalidator/wait')

/** One way, or several of a multipath route; in hv1 towards the peer, in the peer back. `{}` in a prefix stands for the address at the other end. */
export const route = async (
  { guests, daemon }: Dual,
  verb: 'add' | 'replace' | 'del',
  prefix: string,
  ways: readonly Way[],
  table = '',
): Promise<void> => {
  const line = (there: string, host: 1 | 2): string => {
    const hops = ways.map((way) => `via ${hop(way, host)}`)
    const text = hops.length === 1 ? hops[0]! : hops.map((one) => `nexthop ${one}`).join(' ')
    return `route ${verb} ${prefix.replace('{}', there)} ${text} ${table}`
  }
  await ipBatch(guests.hv1, [line(PEER, 2)])
  await applied(daemon)
  await ipBatch(guests.peer, [line(LOCAL, 1)])
}

/** Makes the next hops known to both ends. */
export const greet = async ({ guests }: Dual): Promise<void> => {
  for (const way of WAYS) await guests.hv1.must(['ping', '-n', '-q', '-c', '1', '-W', '2', hop(way, 2)])
}

/** The time line since `total` events. */
export const eventsSince = async (daemon: Daemon, total: number): Promise<OffloadEventsReply['events']> => {
  const reply = await daemon.data<OffloadEventsReply>('offload/events')
  return reply.events.slice(Math.max(0, reply.events.length - (reply.total - total)))
}
export const eventTotal = async (daemon: Daemon): Promise<number> =>
  (await daemon.data<OffloadEventsReply>('offload/events')).total
