/**
 * A hypervisor `hv1` with a guest `a`, whose uplink leads over a cable to wire1, a link on which a test sends and sees raw frames in the place of a peer. The peer's address
 * is known to hv1 for good; nobody answers by itself, and nothing is on the cable but what a test sends or the switch.
 */
import { Daemon } from '../kit/daemon.ts'
import { makeFrames } from '../kit/scapy.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'
import { Fabric, ipBatch } from '../kit/underlay.ts'

export const LOCAL = '192.168.0.1'
export const PEER = '192.168.0.2'
export const HOST_MAC = '02:00:00:00:74:f1'
export const PEER_MAC = '02:00:00:00:74:f2'
export const VNI = 100
/** The guest, and the one that is said to be behind the peer. */
export const A = { ip: '10.1.0.1', ip6: 'fd01::1', mac: '02:00:00:00:74:01' }
export const B = { ip: '10.1.0.2', ip6: 'fd01::2', mac: '02:00:00:00:74:02' }

/** Tunnel addresses, by version of the underlay. */
export const ENDS = {
  4: { local: LOCAL, peer: PEER, length: 24 },
  6: { local: 'fd00::1', peer: 'fd00::2', length: 64 },
} as const

export interface Raw {
  readonly bed: Testbed
  readonly daemon: Daemon
  readonly guests: Record<'hv1' | 'a', Guest>
  /** Where wire1 is. */
  readonly far: Guest
}

/** `version`: of the underlay. */
export const startRaw = async ({
  offload = true,
  version = 4,
}: {
  readonly offload?: boolean
  readonly version?: 4 | 6
} = {}): Promise<Raw> => {
  const { local, peer, length } = ENDS[version]
  const bed = new Testbed()
  try {
    const guests = await bed.guests('hv1', 'a')
    for (const scope of ['all', 'default']) {
      await guests.a.sysctl(`net.ipv6.conf.${scope}.disable_ipv6`, 1)
      // Over IPv6 the host has the one address, and says nothing by itself.
      const quiet = { accept_dad: 0, addr_gen_mode: 1, router_solicitations: 0 }
      for (const [key, value] of Object.entries(version === 4 ? { disable_ipv6: 1 } : quiet))
        await guests.hv1.sysctl(`net.ipv6.conf.${scope}.${key}`, value)
    }
    const { guest: far } = await Fabric.make(bed)
    const daemon = await Daemon.start(bed, {
      offload: { enabled: offload },
      eswitches: {
        nic0: {
          ports: {
            p0: { role: 'uplink', netns: far.netns, mtu: 1600 },
            vf0: { role: 'vf', netns: guests.a.netns, mac: A.mac },
          },
        },
      },
      bridges: {
        'br-phy': {
          internal: { addresses: [`${local}/${length}`], mtu: 1600, mac: HOST_MAC, netns: guests.hv1.netns },
          ports: { p0: {} },
        },
        'br-int': {
          // For the host in the guests' network, where a test wants it.
          internal: { netns: guests.hv1.netns },
          ports: {
            vf0: {},
            vx0: { type: 'vxlan', options: { local_ip: local, remote_ip: peer, key: VNI } },
          },
        },
      },
    })
    await ipBatch(far, ['link set p0 master left up'])
    await ipBatch(guests.hv1, [`neigh replace ${peer} lladdr ${PEER_MAC} dev br-phy nud permanent`])
    await guests.a.must(['ip', 'link', 'set', 'vf0', 'up'])
    return { bed, daemon, guests, far }
  } catch (error) {
    await bed.close()
    throw error
  }
}

/** Python: `tunnelled(inner, n)` is the frame as the peer sends it; `n` varies the source port. Over IPv6 it has a checksum. */
export const tunnelled = (version: 4 | 6): string => {
  const { local, peer } = ENDS[version]
  const ip =
    version === 4 ? `IP(src="${peer}", dst="${local}", flags="DF", id=0)` : `IPv6(src="${peer}", dst="${local}")`
  return `
def outer(n=0, **udp):
    return Ether(src="${PEER_MAC}", dst="${HOST_MAC}")/${ip}/UDP(sport=40000 + n % 16, dport=4789, **(${version === 4 ? '{"chksum": 0}' : '{}'} | udp))
def tunnelled(inner, n=0):
    return outer(n)/VXLAN(flags=8, vni=${VNI})/Raw(bytes(inner))
`
}
export const TUNNELLED = tunnelled(4)

/** Broadcasts of the peer, of the guest behind it, and of `a`, from which the bridges learn where they are. */
export const hellos = async (
  version: 4 | 6 = 4,
): Promise<{ readonly peer: Uint8Array[]; readonly a: Uint8Array[] }> => {
  const [peer, b, a] = await makeFrames(`${tunnelled(version)}
def hello(mac): return Ether(src=mac, dst="ff:ff:ff:ff:ff:ff", type=0x88b5)/Raw(b"hello".ljust(46))
frames = [hello("${PEER_MAC}"), tunnelled(hello("${B.mac}")), hello("${A.mac}")]`)
  return { peer: [peer!, b!], a: [a!] }
}
