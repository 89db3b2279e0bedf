/**
 * The switch's open ports: descriptor, datapath port, link state. Gives each its number, hands TAPs of a NIC to its eswitch and all others to the datapath, and follows
 * the links: a representor's MTU is its VF's, an uplink is down while the far side of its TAP is, a VF's carrier follows its representor. Main thread.
 */
import type { DatapathClient } from '../datapath/client.ts'
import type { EswitchClient } from '../eswitch/client.ts'
import type { Log } from '../lib/log.ts'
import { native } from '../native/binding.ts'
import type { Link } from '../netlink/link.ts'
import { MAX_PORTS } from '../port/contract.ts'
import { ownIfindex } from '../tunnel/own-port.ts'
import { type Hold, type Namespaces, namespaceExists } from './namespaces.ts'
import { changeSettings, type OpenedPort, openPort } from './open-port.ts'
import { canAdjust, type PortPlan, samePlan } from './plan.ts'

export interface SwitchPort {
  plan: PortPlan
  readonly no: number
  readonly opened: OpenedPort
  /** Absent of a port that no host's stack owns. */
  readonly hold?: Hold
  /** The kernel side as last heard of; undefined after it has gone. */
  link: Link | undefined
  /** The interface was deleted, or its namespace. Stays so until the port is opened again. */
  gone: boolean
  adminUp: boolean
  /** Ends following the link. */
  unsubscribe: () => void
}

export interface PortTableOptions {
  readonly datapath: DatapathClient
  readonly namespaces: Namespaces
  readonly eswitch: (name: string) => EswitchClient
  readonly log: Log
  /** A link came up, went down, or has another MTU. */
  readonly changed: (port: SwitchPort, previous: Link | undefined) => void
}

/** True when frames can pass: the kernel side is there, up, and has a carrier. */
export const linkUp = (port: SwitchPort): boolean =>
  port.link?.up === true && port.adminUp && (port.link.carrier || port.plan.kind !== 'packet')

/** A port without interface, in the shape of one. */
const stacklessLink = ({ name, mac = '', mtu = 0 }: PortPlan, ifindex: number): Link => ({
  ifindex,
  name,
  up: true,
  carrier: true,
  operState: 'up',
  mtu,
  mac,
})

const close = ({ opened }: SwitchPort): void => {
  if (opened.fd >= 0) native.close(opened.fd)
}

const tunnelPortName = (udpPort: number): string => `vxlan_sys_${udpPort}`

export class PortTable {
  readonly #o: PortTableOptions
  readonly #byName = new Map<string, SwitchPort>()
  /** Datapath ports of kind 'vxlan', by UDP port. */
  readonly #tunnels = new Map<number, number>()
  /** Numbers are given out in turn, so that one is not used again soon. */
  #lastNo = 0
  /** Highest number given out so far. */
  highest = 0

  constructor(options: PortTableOptions) {
    this.#o = options
    options.datapath.onPortDead((no) => this.dead(no))
  }

  all(): Iterable<SwitchPort> {
    return this.#byName.values()
  }

  get(name: string): SwitchPort | undefined {
    return this.#byName.get(name)
  }

  /** Of a port's interface, by datapath port; 0 when it is not known. */
  mtu(no: number): number {
    for (const port of this.#byName.values()) if (port.no === no) return port.link?.mtu ?? 0
    return 0
  }

  /** What must be closed, and what be adjusted, so that the ports are as planned. `leaving`: NICs that are about to go. */
  outdated(plans: readonly PortPlan[], leaving: ReadonlySet<string>): { closing: Set<string>; adjusting: PortPlan[] } {
    const wanted = new Map(plans.map((plan) => [plan.name, plan]))
    const closing = new Set<string>()
    const adjusting: PortPlan[] = []
    for (const port of this.#byName.values()) {
      const plan = wanted.get(port.plan.name)
      if (plan === undefined || leaving.has(port.plan.eswitch ?? '')) closing.add(port.plan.name)
      else if (port.gone) {
        // One whose namespace is not back yet would only be lost from sight.
        if (!samePlan(plan, port.plan) || namespaceExists(plan.netns)) closing.add(plan.name)
      } else if (samePlan(plan, port.plan)) continue
      else if (canAdjust(port.plan, plan)) adjusting.push(plan)
      else closing.add(plan.name)
    }
    return { closing, adjusting }
  }

  /** Opens and connects. Rejects with an Error that names the port; then nothing is left of it. */
  async add(plan: PortPlan): Promise<SwitchPort> {
    if (plan.stack === 'none') return this.#addStackless(plan)
    const { namespaces } = this.#o
    const hold = await namespaces.take(plan.netns).catch((error: Error) => {
      throw new Error(`port ${plan.name}: ${error.message}`, { cause: error })
    })
    const { namespace } = hold
    let opened: OpenedPort | undefined
    try {
      opened = await openPort(plan, namespace)
      const no = this.#number()
      await this.#connect(plan, no, opened)
      const port: SwitchPort = {
        plan,
        no,
        opened,
        hold,
        link: opened.link,
        gone: false,
        adminUp: true,
        unsubscribe: () => {},
      }
      this.#byName.set(plan.name, port)
      this.#mtu(port, opened.link.mtu)
      // Last: it calls back at once with what has changed since the port was opened.
      port.unsubscribe = namespace.links.subscribe(opened.ifindex, (link) => this.#follow(port, link))
      return port
    } catch (error) {
      if (opened) native.close(opened.fd)
      hold.give()
      throw error
    }
  }

  async #addStackless(plan: PortPlan): Promise<SwitchPort> {
    const no = this.#number()
    await this.#o.datapath.portAdd({ no, name: plan.name, kind: plan.kind }, { type: 'none' })
    const link = stacklessLink(plan, ownIfindex(no))
    const opened = { fd: -1, vnetHdr: 0, offloads: 0, ifindex: link.ifindex, link }
    const port: SwitchPort = { plan, no, opened, link, gone: false, adminUp: true, unsubscribe: () => {} }
    this.#byName.set(plan.name, port)
    this.#mtu(port, link.mtu)
    this.#o.changed(port, undefined)
    return port
  }

  /** The datapath port where packets to a tunnel's UDP port arrive, named as Open vSwitch names it; made if need be. */
  async addTunnel(udpPort: number): Promise<number> {
    const known = this.#tunnels.get(udpPort)
    if (known !== undefined) return known
    const no = this.#number()
    this.#tunnels.set(udpPort, no)
    await this.#o.datapath.portAdd({ no, name: tunnelPortName(udpPort), kind: 'vxlan' })
    return no
  }

  async removeTunnel(udpPort: number): Promise<void> {
    const no = this.#tunnels.get(udpPort)
    if (no === undefined) return
    await this.#o.datapath.portDel(no)
    this.#tunnels.delete(udpPort)
  }

  /** UDP ports that have a datapath port. */
  tunnelUdpPorts(): number[] {
    return [...this.#tunnels.keys()]
  }

  /** The datapath ports where tunnels' packets arrive. */
  *tunnelPorts(): Generator<{ readonly name: string; readonly no: number }> {
    for (const [udpPort, no] of this.#tunnels) yield { name: tunnelPortName(udpPort), no }
  }

  /** Lets go of the port and closes its descriptor; a TAP that is not persistent vanishes with it. */
  async remove(name: string): Promise<void> {
    const port = this.#byName.get(name)
    if (port === undefined) return
    this.#byName.delete(name)
    port.unsubscribe()
    if (port.plan.eswitch !== undefined) await this.#o.eswitch(port.plan.eswitch).portDel(port.no)
    await this.#o.datapath.portDel(port.no)
    close(port)
    port.hold?.give()
  }

  /** Changes MTU, MAC and addresses of an open port (canAdjust). Rejects with an Error that names the port; then it has kept its plan. */
  async adjust(plan: PortPlan): Promise<void> {
    const port = this.#byName.get(plan.name)
    if (port === undefined) throw new Error(`no port ${plan.name}`)
    if (port.hold !== undefined) await changeSettings(port.plan, plan, port.opened.ifindex, port.hold.namespace)
    port.plan = plan
    if (port.hold === undefined) this.#follow(port, stacklessLink(plan, port.opened.ifindex))
  }

  /** At the end, when no worker runs any more. */
  closeAll(): void {
    for (const port of this.#byName.values()) {
      port.unsubscribe()
      close(port)
    }
    this.#byName.clear()
  }

  /** A representor that is taken down takes its VF's carrier with it. Throws when there is no such port. */
  setAdmin(name: string, up: boolean): void {
    const port = this.#byName.get(name)
    if (port === undefined) throw new Error(`no port ${name}`)
    if (port.gone) throw new Error(`port ${name}: its interface is gone`)
    port.adminUp = up
    if (port.plan.kind !== 'packet' && port.opened.fd >= 0) native.setCarrier(port.opened.fd, up)
    this.#o.datapath.portAdmin(port.no, up)
    if (port.plan.eswitch !== undefined) this.#o.eswitch(port.plan.eswitch).portAdmin(port.no, up)
    this.#o.changed(port, port.link)
  }

  /** The descriptor turned out dead: its namespace or interface was deleted. */
  dead(no: number): void {
    for (const port of this.#byName.values()) if (port.no === no) this.#follow(port, undefined)
  }

  async #connect(plan: PortPlan, no: number, opened: OpenedPort): Promise<void> {
    const { datapath, eswitch } = this.#o
    const { fd, vnetHdr, offloads } = opened
    const base = { no, name: plan.name, kind: plan.kind }
    if (plan.eswitch === undefined) {
      const type = plan.kind === 'packet' ? 'packet' : 'tap'
      await datapath.portAdd(base, { type, fd, vnetHdr, offloads })
      return
    }
    await datapath.portAdd({ ...base, eswitch: plan.eswitch })
    try {
      await eswitch(plan.eswitch).portAdd(no, plan.name, { type: 'tap', fd, vnetHdr, offloads }, opened.link.mtu)
    } catch (error) {
      await datapath.portDel(no)
      throw error
    }
  }

  #follow(port: SwitchPort, link: Link | undefined): void {
    if (port.gone) return
    const previous = port.link
    port.link = link
    if (link === undefined) {
      // Heard of more than once: from the kernel's news, from the namespace's name, and from the thread that reads it.
      port.gone = true
      const { name, netns } = port.plan
      this.#o.log.warn('interface is gone', netns === undefined ? { port: name } : { port: name, netns })
    }
    if (link && link.mtu !== previous?.mtu) this.#mtu(port, link.mtu)
    if (link?.up && !previous?.up) {
      if (port.plan.eswitch === undefined) this.#o.datapath.portUp(port.no)
      else {
        this.#o.eswitch(port.plan.eswitch).portUp(port.no)
        this.#o.datapath.portUp(port.no)
      }
    }
    this.#o.changed(port, previous)
  }

  #mtu(port: SwitchPort, mtu: number): void {
    this.#o.datapath.portMtu(port.no, mtu)
    if (port.plan.eswitch !== undefined) this.#o.eswitch(port.plan.eswitch).portMtu(port.no, mtu)
  }

  #number(): number {
    const taken = new Set([...this.#tunnels.values(), ...[...this.#byName.values()].map((port) => port.no)])
    for (let tries = 1; tries < MAX_PORTS; tries++) {
      this.#lastNo = (this.#lastNo % (MAX_PORTS - 1)) + 1
      if (taken.has(this.#lastNo)) continue
      this.highest = Math.max(this.highest, this.#lastNo)
      return this.#lastNo
    }
    throw new Error(`no datapath port number is free: at most ${MAX_PORTS - 1} ports expected`)
  }
}
