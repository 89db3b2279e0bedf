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
/** Of the underlay. */
export type Version = 4 | 6
/** Address in the network of an uplink: 1 is hv1, 2 the peer. */
export const hop = (way: Way, host: 1 | 2, version: Version = 4): string =>
  version === 4 ? `10.0.${way.slice(1)}.${host}` : `fd00:${way.slice(1)}::${host}`
/** Tunnel addresses. */
const ends = (version: Version) =>
  version === 4
    ? { local: LOCAL, peer: PEER, host: 32, net: 24 }
    : { local: 'fd00:ff::1', peer: 'fd00:ff::2', host: 128, net: 64 }

/**
 * No host speaks by itself: it has no link-local addresses, looks for no router, and for no other host that has its address. In which multicast groups it is (MLD) it says once, when it
 * joins; that it says so again, at any time within a second, is put off by a day: where the first time had no effect, it would be a new flow during the test.
 */
const SILENT = {
  accept_dad: 0,
  addr_gen_mode: 1,
  router_solicitations: 0,
  mldv2_unsolicited_report_interval: 86_400_000,
}

export interface Dual {
  readonly version: Version
  readonly bed: Testbed
  readonly daemon: Daemon
  readonly guests: Record<'hv1' | 'peer' | 'a' | 'b' | 'many', Guest>
}

export interface DualOptions {
  /** 4 unless told. */
  readonly version?: Version
  /** Rules of the bridge of guest `many` (ports vf1 and vxf, whose rules set the endpoint). */
  readonly many?: readonly string[]
  readonly datapath?: Record<string, number>
}

export const startDual = async (options: DualOptions = {}): Promise<Dual> => {
  const { version = 4 } = options
  const { local, peer, host, net } = ends(version)
  const bed = new Testbed()
  try {
    const guests = await bed.guests('hv1', 'peer', 'a', 'b', 'many')
    for (const guest of Object.values(guests))
      for (const scope of ['all', 'default']) {
        if (version === 4 || (guest !== guests.hv1 && guest !== guests.peer))
          await guest.sysctl(`net.ipv6.conf.${scope}.disable_ipv6`, 1)
        else
          for (const [key, value] of Object.entries(SILENT)) await guest.sysctl(`net.ipv6.conf.${scope}.${key}`, value)
      }
    await ipBatch(guests.hv1, [`address add ${local}/${host} dev lo`])
    await ipBatch(guests.peer, [`address add ${peer}/${host} dev lo`])
    // A kernel's first rule parts its local addresses from its main table, and what comes just then finds them in neither (IpInAddrErrors): before there is traffic.
    await ipBatch(guests.peer, ['rule add lookup 99 priority 99'])
    const uplink = { role: 'uplink', netns: guests.peer.netns, mtu: 1600 }
    const underlay = (way: Way): [string, object] => [
      `br-${way}`,
      {
        internal: { addresses: [`${hop(way, 1, version)}/${net}`], mtu: 1600, netns: guests.hv1.netns },
        ports: { [way]: {} },
      },
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
          ports: { vf0: {}, vx0: { type: 'vxlan', options: { local_ip: local, remote_ip: peer, key: 100 } } },
        },
        'br-many': {
          ports: {
            vf1: { ofport: 1 },
            vxf: { type: 'vxlan', ofport: 2, options: { local_ip: local, remote_ip: 'flow', key: 'flow' } },
          },
          flows: options.many ?? [],
        },
      },
      ...(options.datapath ? { datapath: options.datapath } : {}),
    })
    for (const way of WAYS) await guests.peer.address(way, `${hop(way, 2, version)}/${net}`)
    await kernelVtep(guests.peer, { vni: 100, local: peer, remote: local, guest: guests.b, mac: B.mac })
    await guests.a.address('vf0', `${A.ip}/24`)
    await guests.b.address('eth0', `${B.ip}/24`)
    await guests.many.must(['ip', 'link', 'set', 'vf1', 'up'])
    // The guests know each other, so that nothing but what a test sends is there.
    await ipBatch(guests.a, [`neigh replace ${B.ip} lladdr ${B.mac} dev vf0 nud permanent`])
    await ipBatch(guests.b, [`neigh replace ${A.ip} lladdr ${A.mac} dev eth0 nud permanent`])
    // And so that nobody is asked again who has just answered.
    for (const way of WAYS) {
      await guests.hv1.sysctl(`net.ipv${version}.neigh.br-${way}.delay_first_probe_time`, 60)
      await guests.peer.sysctl(`net.ipv${version}.neigh.${way}.delay_first_probe_time`, 60)
    }
    return { bed, daemon, guests, version }
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

/**
 * What `ip` is told for one way, or several of a multipath route: in hv1 towards the peer, in the peer back. `{}` in a prefix stands for the address at the other end with the length
 * of a host's.
 */
const routeLine = (
  { version }: Dual,
  host: 1 | 2,
  verb: 'add' | 'replace' | 'del',
  prefix: string,
  ways: readonly Way[],
  table = '',
): string => {
  const { local, peer, host: length } = ends(version)
  const hops = ways.map((way) => `via ${hop(way, host === 1 ? 2 : 1, version)}`)
  const text = hops.length === 1 ? hops[0]! : hops.map((one) => `nexthop ${one}`).join(' ')
  return `route ${verb} ${prefix.replace('{}', `${host === 1 ? peer : local}/${length}`)} ${text} ${table}`
}

type RouteWords = Parameters<typeof routeLine> extends [unknown, unknown, ...infer Words] ? Words : never

/** Moves it in hv1, and when that is applied in the peer. */
export const route = async (dual: Dual, ...words: RouteWords): Promise<void> => {
  await ipBatch(dual.guests.hv1, [routeLine(dual, 1, ...words)])
  await applied(dual.daemon)
  await ipBatch(dual.guests.peer, [routeLine(dual, 2, ...words)])
}

/** Moves it at both ends at once, without regard to what the switch has heard of. */
export const routeAtOnce = async (dual: Dual, ...words: RouteWords): Promise<void> => {
  await Promise.all([
    ipBatch(dual.guests.hv1, [routeLine(dual, 1, ...words)]),
    ipBatch(dual.guests.peer, [routeLine(dual, 2, ...words)]),
  ])
}

/** Makes the next hops known to both ends. */
export const greet = async ({ guests, version }: Dual): Promise<void> => {
  for (const way of WAYS) await guests.hv1.must(['ping', '-n', '-q', '-c', '1', '-W', '2', hop(way, 2, version)])
}

/** The time line since `total` events. */
export const eventsSince = async (daemon: Daemon, total: number): Promise<OffloadEventsReply['events']> => {
  const reply = await daemon.data<OffloadEventsReply>('offload/events')
  return reply.events.slice(Math.max(0, reply.events.length - (reply.total - total)))
}
export const eventTotal = async (daemon: Daemon): Promise<number> =>
  (await daemon.data<OffloadEventsReply>('offload/events')).total
