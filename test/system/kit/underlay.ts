/** Underlays between hypervisors, and switches at their other end that are not ours. */
import { mkdirSync } from 'node:fs'
import type { Running } from './process.ts'
import type { Guest, Testbed } from './testbed.ts'

/** Frames that leave by these links are cut to size and have complete checksums, as on a cable. */
export const wire = async (guest: Guest, ...links: readonly string[]): Promise<void> => {
  const off = ['tx', 'off', 'tso', 'off', 'gso', 'off', 'tx-udp-segmentation', 'off']
  for (const link of links) await guest.must(['ethtool', '-K', link, ...off])
}

/** `ip -batch` in a namespace. */
export const ipBatch = (guest: Guest, lines: readonly string[]): Promise<string> =>
  guest.must(['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` })

/** A cable between two namespaces, both ends up. */
export const veth = async (a: Guest, linkA: string, b: Guest, linkB: string, mtu = 1500): Promise<void> => {
  await ipBatch(a, [
    `link add ${linkA} mtu ${mtu} type veth peer name ${linkB} mtu ${mtu} netns ${b.netns}`,
    `link set ${linkA} up`,
  ])
  await ipBatch(b, [`link set ${linkB} up`])
}

/** A namespace with two bridges, `left` and `right`, joined by a cable: wire0 in left, wire1 in right. Nobody speaks there but who is plugged in. */
export class Fabric {
  readonly guest: Guest

  private constructor(guest: Guest) {
    this.guest = guest
  }

  static async make(bed: Testbed, mtu = 1600): Promise<Fabric> {
    const guest = await bed.guest('fabric')
    await guest.sysctl('net.ipv6.conf.all.disable_ipv6', 1)
    await guest.sysctl('net.ipv6.conf.default.disable_ipv6', 1)
    // Where bridges have netfilter, it drops IP packets with a wrong header: a cable does not.
    await guest.run([
      'sysctl',
      '-q',
      '-w',
      'net.bridge.bridge-nf-call-iptables=0',
      'net.bridge.bridge-nf-call-ip6tables=0',
    ])
    await ipBatch(guest, [
      `link add left mtu ${mtu} type bridge mcast_snooping 0`,
      `link add right mtu ${mtu} type bridge mcast_snooping 0`,
      `link add wire0 mtu ${mtu} type veth peer name wire1 mtu ${mtu}`,
      'link set wire0 master left up',
      'link set wire1 master right up',
      'link set left up',
      'link set right up',
    ])
    await wire(guest, 'wire0', 'wire1')
    return new Fabric(guest)
  }

  async plug(side: 'left' | 'right', ...links: readonly string[]): Promise<void> {
    await ipBatch(
      this.guest,
      links.map((link) => `link set ${link} master ${side} up`),
    )
  }
}

export interface KernelVtep {
  readonly vni: number
  readonly local: string
  readonly remote: string
  /** Behind it, by link eth0. */
  readonly guest: Guest
  readonly mac: string
  /** 4789 unless told. */
  readonly dstPort?: number
  /** More words of `ip link add type vxlan`. */
  readonly options?: string
  /** Of the guest's; eth0 unless told. */
  readonly link?: string
}

/** The kernel's VXLAN device in `host`, bridged to one guest. */
export const kernelVtep = async (
  host: Guest,
  { vni, local, remote, guest, mac, dstPort = 4789, options = '', link = 'eth0' }: KernelVtep,
): Promise<void> => {
  await ipBatch(host, [
    `link add br${vni} type bridge mcast_snooping 0`,
    `link add vx${vni} type vxlan id ${vni} local ${local} remote ${remote} dstport ${dstPort} ${options}`,
    `link add port${vni} type veth peer name ${link} address ${mac} netns ${guest.netns}`,
    `link set vx${vni} master br${vni} up`,
    `link set port${vni} master br${vni} up`,
    `link set br${vni} up`,
  ])
}

/** Debian's Open vSwitch with its userspace datapath, a process of the test in a guest's namespace, with a database and a folder of its own. */
export class OvsPeer {
  readonly #guest: Guest
  readonly #folder: string
  #switch: Running | undefined

  private constructor(guest: Guest, folder: string) {
    this.#guest = guest
    this.#folder = folder
  }

  /** `settings`: other_config that must be there before the switch starts. */
  static async start(bed: Testbed, guest: Guest, settings: Readonly<Record<string, string>> = {}): Promise<OvsPeer> {
    const folder = bed.path(`ovs-${guest.netns}`)
    mkdirSync(folder)
    const env = { OVS_RUNDIR: folder, OVS_LOGDIR: folder, OVS_DBDIR: folder }
    const schema = '/usr/share/openvswitch/vswitch.ovsschema'
    await guest.must(['ovsdb-tool', 'create', `${folder}/conf.db`, schema], { env })
    const socket = `unix:${folder}/db.sock`
    const database = guest.start(
      [
        ...['ovsdb-server', `${folder}/conf.db`, `--remote=p${socket}`],
        ...[`--unixctl=${folder}/db.ctl`, '--no-chdir', '-vconsole:info'],
      ],
      { env },
    )
    await database.until(/ovsdb-server \(Open vSwitch\)/)
    const peer = new OvsPeer(guest, folder)
    await peer.vsctl('--no-wait', 'init')
    for (const [key, value] of Object.entries(settings))
      await peer.vsctl('--no-wait', 'set', 'Open_vSwitch', '.', `other_config:${key}=${value}`)
    // As Debian's service does (ovs-ctl).
    const argv = [
      ...['nice', '-n', '-10', 'ovs-vswitchd', socket, `--unixctl=${folder}/switch.ctl`],
      ...['--no-chdir', '-vconsole:warn'],
    ]
    peer.#switch = guest.start(argv, { env })
    return peer
  }

  /** Waits until the switch has done it. */
  vsctl(...args: readonly string[]): Promise<string> {
    return this.#guest.must(['ovs-vsctl', `--db=unix:${this.#folder}/db.sock`, '--timeout=10', ...args])
  }

  /** Of ovs-vswitchd. */
  get pid(): number {
    return this.#switch!.pid
  }

  ofctl(...args: readonly string[]): Promise<string> {
    return this.#guest.must(['ovs-ofctl', ...args], { env: { OVS_RUNDIR: this.#folder } })
  }

  appctl(...args: readonly string[]): Promise<string> {
    return this.#guest.must(['ovs-appctl', '-t', `${this.#folder}/switch.ctl`, ...args])
  }
}
