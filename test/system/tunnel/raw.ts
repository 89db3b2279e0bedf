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

export interface Raw {
  readonly bed: Testbed
  readonly daemon: Daemon
  readonly guests: Record<'hv1' | 'a', Guest>
  /** Where wire1 is. */
  readonly far: Guest
}

export const startRaw = async ({ offload = true } = {}): Promise<Raw> => {
  const bed = new Testbed()
  try {
    const guests = await bed.guests('hv1', 'a')
    for (const guest of Object.values(guests))
      for (const scope of ['all', 'default']) await guest.sysctl(`net.ipv6.conf.${scope}.disable_ipv6`, 1)
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
          internal: { addresses: [`${LOCAL}/24`], mtu: 1600, mac: HOST_MAC, netns: guests.hv1.netns },
          ports: { p0: {} },
        },
        'br-int': {
          // For the host in the guests' network, where a test wants it.
          internal: { netns: guests.hv1.netns },
          ports: {
            vf0: {},
            vx0: { type: 'vxlan', options: { local_ip: LOCAL, remote_ip: PEER, key: VNI } },
          },
        },
      },
    })
    await ipBatch(far, ['link set p0 master left up'])
    await ipBatch(guests.hv1, [`neigh replace ${PEER} lladdr ${PEER_MAC} dev br-phy nud permanent`])
    await guests.a.must(['ip', 'link', 'set', 'vf0', 'up'])
    return { bed, daemon, guests, far }
  } catch (error) {
    await bed.close()
    throw error
  }
}

/** Python: `tunnelled(inner, n)` is the frame as the peer sends it; `n` varies the source port. */
export const TUNNELLED = `
def outer(n=0, **udp):
    return Ether(src="${PEER_MAC}", dst="${HOST_MAC}")/IP(src="${PEER}", dst="${LOCAL}", flags="DF", id=0)/UDP(sport=40000 + n % 16, dport=4789, **({"chksum": 0} | udp))
def tunnelled(inner, n=0):
    return outer(n)/VXLAN(flags=8, vni=${VNI})/Raw(bytes(inner))
`

/** Broadcasts of the peer, of the guest behind it, and of `a`, from which the bridges learn where they are. */
export const hellos = async (): Promise<{ readonly peer: Uint8Array[]; readonly a: Uint8Array[] }> => {
  const [peer, b, a] = await makeFrames(`${TUNNELLED}
def hello(mac): return Ether(src=mac, dst="ff:ff:ff:ff:ff:ff", type=0x88b5)/Raw(b"hello".ljust(46))
frames = [hello("${PEER_MAC}"), tunnelled(hello("${B.mac}")), hello("${A.mac}")]`)
  return { peer: [peer!, b!], a: [a!] }
}
