/** The kernel's own: a bridge with veths, its vxlan device. */
import type { Guest } from '../../../test/system/kit/testbed.ts'
import { ipBatch } from '../../../test/system/kit/underlay.ts'
import { otherSide, outerAddress, outerPrefix, type Side, UNDERLAY_MTU, VNI } from '../scenario.ts'
import type { Site } from '../site.ts'
import type { Kind, Part } from './setup.ts'

/** MAC of a tunnel's end where it is chosen by the bench. */
export const endMac = (side: Side): string => `02:00:00:00:0e:0${side === 'a' ? 1 : 2}`

const bridge = (host: Guest): Promise<string> =>
  ipBatch(host, ['link add br0 type bridge mcast_snooping 0', 'link set br0 up'])

const port = (host: Guest, site: Site, side: Side): Promise<string> =>
  ipBatch(host, [
    `link add p${side} type veth peer name ${site.link(side)} netns ${site.guests[side].netns}`,
    `link set p${side} master br0 up`,
  ])

const between = async (site: Site): Promise<Part> => {
  const host = await site.host('a')
  await bridge(host)
  await port(host, site, 'a')
  await port(host, site, 'b')
  return { pids: [] }
}

/** `silentPeer`: the other end does not answer ARP; its MAC is `endMac`. */
export const kernelEnd = async (site: Site, side: Side, silentPeer = false): Promise<Part> => {
  const { scenario } = site
  const [host, fabric] = await Promise.all([site.host(side), site.fabric()])
  const local = outerAddress(scenario, side)
  const remote = outerAddress(scenario, otherSide(side))
  await ipBatch(host, [
    `link add eth0 address ${endMac(side)} mtu ${UNDERLAY_MTU} type veth peer name ${site.uplink(side)} mtu ${UNDERLAY_MTU} netns ${fabric.netns}`,
    `address add ${outerPrefix(scenario, side)} dev eth0${scenario.outer === 6 ? ' nodad' : ''}`,
    'link set eth0 up',
    ...(silentPeer ? [`neigh add ${remote} lladdr ${endMac(otherSide(side))} dev eth0 nud permanent`] : []),
    `link add vx0 mtu ${scenario.mtu} type vxlan id ${VNI} local ${local} remote ${remote} dstport 4789`,
  ])
  await site.plug(side)
  await bridge(host)
  await ipBatch(host, ['link set vx0 master br0 up'])
  await port(host, site, side)
  return { pids: [] }
}

export const KERNEL: Kind = { name: 'kernel', between, end: (site, side) => kernelEnd(site, side) }
