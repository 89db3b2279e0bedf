/** Debian's Open vSwitch, userspace datapath, with TAP ports: as it comes, and with userspace-tso-enable. */
import { OvsPeer } from '../../../test/system/kit/underlay.ts'
import { otherSide, outerAddress, outerPrefix, type Side, UNDERLAY_MTU, VNI } from '../scenario.ts'
import type { Site } from '../site.ts'
import type { Kind, Part } from './setup.ts'

const start = async (site: Site, side: Side, tso: boolean): Promise<{ ovs: OvsPeer; host: string }> => {
  const host = await site.host(side)
  const ovs = await OvsPeer.start(site.bed, host, tso ? { 'userspace-tso-enable': 'true' } : {})
  return { ovs, host: host.netns }
}

const addBridge = (name: string): string[] => [
  '--',
  'add-br',
  name,
  '--',
  'set',
  'bridge',
  name,
  'datapath_type=netdev',
]
const addTap = (bridge: string, name: string): string[] =>
  `-- add-port ${bridge} ${name} -- set interface ${name} type=tap`.split(' ')

const askAbout =
  (ovs: OvsPeer, bridge: string, source: string, target: string) =>
  async (port: number): Promise<() => Promise<void>> => {
    const match = `udp,tp_dst=${port},in_port=${source}`
    const look = 'move:NXM_OF_UDP_SRC[]->NXM_NX_REG0[0..15],move:NXM_OF_IP_SRC[]->NXM_NX_REG1[]'
    await ovs.ofctl('add-flow', bridge, `priority=100,${match},actions=${look},output:${target}`)
    return async () => {
      await ovs.ofctl('--strict', 'del-flows', bridge, `priority=100,${match}`)
      await ovs.appctl('dpctl/del-flows')
    }
  }

const between =
  (tso: boolean) =>
  async (site: Site): Promise<Part> => {
    const { ovs, host } = await start(site, 'a', tso)
    await ovs.vsctl(...addBridge('br0'), ...addTap('br0', site.link('a')), ...addTap('br0', site.link('b')))
    for (const side of ['a', 'b'] as const) await site.take(host, site.link(side), site.guests[side])
    return { pids: [ovs.pid], askAboutPort: askAbout(ovs, 'br0', site.link('a'), site.link('b')) }
  }

const end =
  (tso: boolean) =>
  async (site: Site, side: Side): Promise<Part> => {
    const { ovs, host } = await start(site, side, tso)
    const { scenario } = site
    await ovs.vsctl(
      ...[...addBridge('br-phy'), ...addTap('br-phy', site.uplink(side))],
      ...`-- set interface ${site.uplink(side)} mtu_request=${UNDERLAY_MTU}`.split(' '),
      ...[...addBridge('br-int'), ...addTap('br-int', site.link(side))],
      ...'-- add-port br-int vx0 -- set interface vx0 type=vxlan'.split(' '),
      `options:remote_ip=${outerAddress(scenario, otherSide(side))}`,
      `options:key=${VNI}`,
    )
    await site.take(host, site.link(side), site.guests[side])
    await site.take(host, site.uplink(side), await site.fabric())
    await site.plug(side)
    await site.hostAddress(host, 'br-phy', outerPrefix(scenario, side))
    return { pids: [ovs.pid], askAboutPort: askAbout(ovs, 'br-int', site.link(side), 'vx0') }
  }

export const OVS: readonly Kind[] = [
  { name: 'ovs', between: between(false), end: end(false) },
  // Open vSwitch 3.1 drops what has an open checksum on its way into a tunnel.
  { name: 'ovs-tso', between: between(true), end: end(true), partial: true },
]
