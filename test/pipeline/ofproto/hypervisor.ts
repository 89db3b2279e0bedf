/**
 * A whole switch without kernel: tier 1, the tunnel layer and tier 2, as in production, over memory ports. br-int has a guest and tunnels, br-phy an uplink and an internal port with
 * the address 192.168.0.N. Routes and neighbours are the test's.
 */

import { ManualScheduler } from '../../../src/lib/scheduler.ts'
import type { Bridge } from '../../../src/ofproto/bridge.ts'
import { Ofproto } from '../../../src/ofproto/ofproto.ts'
import type { PortSpec } from '../../../src/ofproto/port.ts'
import { TunnelMtu } from '../../../src/ofproto/tunnel-mtu.ts'
import { Udpif } from '../../../src/ofproto/udpif.ts'
import { Underlay } from '../../../src/ofproto/underlay.ts'
import type { MemoryPort } from '../../../src/port/memory.ts'
import { Tunnels } from '../../../src/tunnel/tunnels.ts'
import { FakeFib, FakeNeighbours, FakePorts } from '../../unit/tunnel/fakes.ts'
import { World } from '../tiers/harness.ts'

export const LOCAL = 1
export const GUEST = 2
export const UPLINK = 3
export const VXLAN = 50
/** The interface behind br-phy's internal port. */
const IFINDEX = 1

/** 02:00:00:00:aa:0N: of hypervisor N's br-phy. */
export const hostMac = (n: number): number => 0x02000000aa00 + n
const macBytes = (mac: number): Uint8Array => Uint8Array.from([2, 0, 0, 0, (mac >> 8) & 0xff, mac & 0xff])

export class Hypervisor {
  readonly n: number
  readonly world = new World()
  readonly fib = new FakeFib()
  readonly neighbours = new FakeNeighbours()
  readonly underlayPorts = new FakePorts()
  readonly scheduler = new ManualScheduler()
  readonly ofproto: Ofproto
  readonly udpif: Udpif
  readonly mtu: TunnelMtu
  readonly layer: Tunnels
  readonly errors: unknown[] = []
  readonly int: Bridge
  readonly phy: Bridge

  constructor(n: number) {
    this.n = n
    const { world, scheduler } = this
    const { clock, dpif } = world
    const log = { warnLimited: (text: string, data?: object) => void this.errors.push([text, data]) }
    this.ofproto = new Ofproto(clock)
    this.udpif = new Udpif({ ofproto: this.ofproto, dpif, clock, scheduler, log: log as never })
    this.layer = new Tunnels({
      fib: this.fib,
      neighbours: this.neighbours,
      underlayPorts: this.underlayPorts,
      translator: new Underlay(this.ofproto, clock),
      dpif,
      ports: this.ofproto.tunnels.ports,
      clock,
      scheduler,
      log,
    })
    this.ofproto.tunnels.use(this.layer)
    this.ofproto.tunnels.ports.setDpPort(4789, VXLAN)
    this.mtu = new TunnelMtu({ ofproto: this.ofproto, dpif, clock, onError: (error) => this.errors.push(error) })
    this.int = this.ofproto.addBridge('br-int')
    this.phy = this.ofproto.addBridge('br-phy')
  }

  async start(mtu = 1500): Promise<this> {
    const { world, n } = this
    await world.addPort(LOCAL, 'br-phy')
    await world.addPort(GUEST, 'guest')
    await world.addPort(UPLINK, 'p0')
    await world.dpif.portAdd({ no: VXLAN, name: 'vxlan_sys_4789', kind: 'vxlan' })
    this.phy.addPort({ name: 'br-phy', dpPort: LOCAL })
    this.phy.setPortMac('br-phy', hostMac(n))
    this.phy.addPort({ name: 'p0', dpPort: UPLINK })
    this.int.addPort({ name: 'guest', dpPort: GUEST })
    this.underlayPorts.set(IFINDEX, { name: 'br-phy', dpPort: LOCAL, mac: macBytes(hostMac(n)), mtu })
    this.fib.setAddresses(IFINDEX, `192.168.0.${n}`)
    this.fib.set('192.168.0.0/24', { members: [{ oif: IFINDEX, weight: 1 }] })
    this.udpif.start()
    this.mtu.start()
    await this.settle()
    return this
  }

  tunnel(name: string, spec: Omit<PortSpec, 'name'>): void {
    this.int.addPort({ name, ...spec })
  }

  /** The kernel has learned where hypervisor `n` is. */
  knows(n: number): void {
    const key = FakeNeighbours.key(IFINDEX, Uint8Array.from([192, 168, 0, n]))
    this.neighbours.answers.set(key, { type: 'found', lladdr: macBytes(hostMac(n)) })
    this.neighbours.tell(IFINDEX, Uint8Array.from([192, 168, 0, n]))
  }

  port(no: number): MemoryPort {
    return this.world.port(no)
  }

  /** Lets everything come to rest, deferred work included. */
  async settle(ms = 0): Promise<void> {
    this.world.clock.advance(ms)
    this.scheduler.advance(ms)
    await this.world.settle()
    this.scheduler.run()
    await this.world.settle()
  }

  /** What was sent by a port since the last call. */
  taken(no: number): Uint8Array[] {
    return this.port(no)
      .sent.splice(0)
      .map(({ data }) => data)
  }

  upcalls(): number {
    return this.udpif.status().upcalls.upcalls
  }
}

/** Joins the uplinks by a wire on which nothing is lost, until nothing moves; returns what crossed it. */
export const settleAll = async (...hosts: readonly Hypervisor[]): Promise<Uint8Array[]> => {
  const wire: Uint8Array[] = []
  for (let rounds = 0; ; rounds++) {
    if (rounds > 50) throw new Error('the hypervisors do not come to rest')
    for (const host of hosts) await host.settle()
    let moved = 0
    for (const host of hosts)
      for (const frame of host.taken(UPLINK)) {
        moved++
        wire.push(frame)
        for (const other of hosts) if (other !== host) other.port(UPLINK).inject(frame)
      }
    if (moved === 0) return wire
  }
}
