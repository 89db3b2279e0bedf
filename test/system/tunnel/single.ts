/**
 * A hypervisor `hv1` with one NIC: an uplink p0 and a guest `a`. At the other end of the uplink is `peer`, a namespace with the kernel's VXLAN device and a guest `b` behind it.
 * Guests know each other, and have IPv6 only over an underlay of IPv6: nothing is sent but what a test sends.
 */
import { Daemon } from '../kit/daemon.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'
import { Fabric, ipBatch, type KernelVtep, kernelVtep, veth } from '../kit/underlay.ts'

export const A = { ip: '10.1.0.1', ip6: 'fd01::1', mac: '02:00:00:00:73:01' }
export const B = { ip: '10.1.0.2', ip6: 'fd01::2', mac: '02:00:00:00:73:02' }
export const HOST_MAC = '02:00:00:00:73:f1'
export const PEER_MAC = '02:00:00:00:73:f2'
export const VNI = 100

export interface SingleOptions {
  /** Of the underlay; 4 unless told. */
  readonly version?: 4 | 6
  /** Of the underlay; 1600 unless told. */
  readonly mtu?: number
  /** Further options of the tunnel port. */
  readonly tunnel?: Record<string, unknown>
  /** Between the uplink and the peer is a cable, on which checksums are complete: wire1 of the guest `fabric`. */
  readonly cable?: boolean
  /** Of the kernel's VXLAN device. */
  readonly device?: Pick<KernelVtep, 'dstPort' | 'options'>
  /** A port vxf of the guest's bridge whose rules set the endpoint; and those rules: ports are 1 vf0, 2 vx0, 3 vxf. */
  readonly flows?: (local: string, remote: string) => readonly string[]
}

export interface Single {
  readonly bed: Testbed
  readonly daemon: Daemon
  readonly guests: Record<'hv1' | 'peer' | 'a' | 'b', Guest>
  /** There with `cable`. */
  readonly fabric?: Guest
  /** Tunnel addresses. */
  readonly local: string
  readonly remote: string
}

export const startSingle = async ({
  version = 4,
  mtu = 1600,
  tunnel = {},
  device = {},
  cable = false,
  flows,
}: SingleOptions = {}): Promise<Single> => {
  const bed = new Testbed()
  try {
    const guests = await bed.guests('hv1', 'peer', 'a', 'b')
    for (const guest of Object.values(guests))
      for (const scope of ['all', 'default'])
        await guest.sysctl(
          `net.ipv6.conf.${scope}.${version === 4 ? 'disable_ipv6' : 'router_solicitations'}`,
          version === 4 ? 1 : 0,
        )
    // Else a host's own address is usable only after a second or two.
    for (const scope of ['all', 'default']) await guests.hv1.sysctl(`net.ipv6.conf.${scope}.accept_dad`, 0)
    const [local, remote, length] =
      version === 4 ? (['192.168.0.1', '192.168.0.2', 24] as const) : (['fd00::1', 'fd00::2', 64] as const)
    const fabric = cable ? await Fabric.make(bed, mtu) : undefined
    const daemon = await Daemon.start(bed, {
      eswitches: {
        nic0: {
          ports: {
            p0: {
              role: 'uplink',
              mtu,
              ...(fabric ? { netns: fabric.guest.netns } : { netns: guests.peer.netns, mac: PEER_MAC }),
            },
            vf0: { role: 'vf', netns: guests.a.netns, mac: A.mac },
          },
        },
      },
      bridges: {
        'br-phy': {
          internal: { addresses: [`${local}/${length}`], mtu, mac: HOST_MAC, netns: guests.hv1.netns },
          ports: { p0: {} },
        },
        'br-int': {
          ports: {
            vf0: { ofport: 1 },
            vx0: { type: 'vxlan', ofport: 2, options: { local_ip: local, remote_ip: remote, key: VNI, ...tunnel } },
            ...(flows
              ? { vxf: { type: 'vxlan', ofport: 3, options: { local_ip: local, remote_ip: 'flow', key: 'flow' } } }
              : {}),
          },
          ...(flows ? { flows: flows(local, remote) } : {}),
        },
      },
    })
    if (fabric) {
      await veth(guests.peer, 'p0', fabric.guest, 'far', mtu)
      await ipBatch(guests.peer, [`link set p0 address ${PEER_MAC}`])
      await fabric.plug('left', 'p0')
      await fabric.plug('right', 'far')
    }
    await guests.peer.address('p0', `${remote}/${length}`)
    await kernelVtep(guests.peer, { vni: VNI, local: remote, remote: local, guest: guests.b, mac: B.mac, ...device })
    for (const [guest, link, own, other] of [
      [guests.a, 'vf0', A, B],
      [guests.b, 'eth0', B, A],
    ] as const) {
      await guest.address(link, `${own.ip}/24`, ...(version === 6 ? [`${own.ip6}/64`] : []))
      const known = version === 6 ? [other.ip, other.ip6] : [other.ip]
      await ipBatch(
        guest,
        known.map((ip) => `neigh replace ${ip} lladdr ${other.mac} dev ${link} nud permanent`),
      )
    }
    return { bed, daemon, guests, local, remote, ...(fabric ? { fabric: fabric.guest } : {}) }
  } catch (error) {
    await bed.close()
    throw error
  }
}
