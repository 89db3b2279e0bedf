/** The switch: offloaded, by its datapath with TAPs of its own, by its datapath with a NIC's ports. */
import { Daemon } from '../../../test/system/kit/daemon.ts'
import { otherSide, outerAddress, outerPrefix, type Side, UNDERLAY_MTU, VNI } from '../scenario.ts'
import type { Site } from '../site.ts'
import type { Kind, Part } from './setup.ts'

type Way = 'offloaded' | 'software' | 'nic-software'

/** Ports of a NIC, or of the datapath: their place in the configuration differs. */
interface Placed {
  readonly eswitches: object
  port(name: string): object
}

const place = (way: Way, ports: Readonly<Record<string, { role: string; netns: string; mtu: number }>>): Placed => {
  if (way !== 'software') return { eswitches: { nic0: { ports } }, port: () => ({}) }
  const port = (name: string): object => {
    const { netns, mtu } = ports[name]!
    return { type: 'tap', netns, mtu }
  }
  return { eswitches: {}, port }
}

const part = (daemon: Daemon, way: Way, bridge: string, source: string, target: string): Part => ({
  pids: [daemon.process.pid],
  check: async () => {
    const flows = await daemon.flows()
    const packets = (offloaded: boolean): number =>
      flows.filter((f) => f.offloaded === offloaded).reduce((n, f) => n + f.packets, 0)
    const wanted = way === 'offloaded'
    if (packets(wanted) <= packets(!wanted))
      throw new Error(`${way}: ${packets(true)} packets in offloaded flows, ${packets(false)} in others`)
  },
  askAboutPort: async (port) => {
    const match = `priority=100,udp,tp_dst=${port},in_port=${source}`
    const look = 'move:NXM_OF_UDP_SRC[]->NXM_NX_REG0[0..15],move:NXM_OF_IP_SRC[]->NXM_NX_REG1[]'
    await daemon.verb('flow/add', bridge, `${match},actions=${look},output:${target}`)
    return async () => {
      await daemon.verb('flow/del', '--strict', bridge, match)
      await daemon.verb('revalidator/purge')
    }
  },
})

const between =
  (way: Way) =>
  async (site: Site): Promise<Part> => {
    const { mtu } = site.scenario
    const [a, b] = [site.link('a'), site.link('b')]
    const vf = (side: Side): { role: string; netns: string; mtu: number } => ({
      role: 'vf',
      netns: site.guests[side].netns,
      mtu,
    })
    const { eswitches, port } = place(way, { [a]: vf('a'), [b]: vf('b') })
    const daemon = await Daemon.start(
      site.bed,
      {
        offload: { enabled: way === 'offloaded' },
        eswitches,
        bridges: { br0: { ports: { [a]: port(a), [b]: port(b) } } },
      },
      { node: site.node },
    )
    return part(daemon, way, 'br0', a, b)
  }

const end =
  (way: Way) =>
  async (site: Site, side: Side): Promise<Part> => {
    const { scenario } = site
    const [host, fabric] = await Promise.all([site.host(side), site.fabric()])
    const [link, uplink] = [site.link(side), site.uplink(side)]
    const { eswitches, port } = place(way, {
      [link]: { role: 'vf', netns: site.guests[side].netns, mtu: scenario.mtu },
      [uplink]: { role: 'uplink', netns: fabric.netns, mtu: UNDERLAY_MTU },
    })
    const options = {
      local_ip: outerAddress(scenario, side),
      remote_ip: outerAddress(scenario, otherSide(side)),
      key: VNI,
    }
    const daemon = await Daemon.start(
      site.bed,
      {
        offload: { enabled: way === 'offloaded' },
        eswitches,
        bridges: {
          'br-phy': {
            internal: { addresses: [outerPrefix(scenario, side)], mtu: UNDERLAY_MTU, netns: host.netns },
            ports: { [uplink]: port(uplink) },
          },
          'br-int': { ports: { [link]: port(link), vx0: { type: 'vxlan', options } } },
        },
      },
      { node: site.node },
    )
    await site.plug(side)
    return part(daemon, way, 'br-int', link, 'vx0')
  }

const kind = (name: Way): Kind => ({ name, between: between(name), end: end(name) })

export const TAPSWITCH: readonly Kind[] = [kind('offloaded'), kind('software'), kind('nic-software')]
