/**
 * A hypervisor with two NICs and all of its tiers, without kernel: the real tier 1, tunnel layer, offload module, datapath and eswitches over memory ports. Routes and neighbours are
 * the test's. nic0 has the guest vf0 and the uplinks p0 and p1, nic1 the guest vf1 and the uplink p2. Each uplink has an underlay bridge with an internal port: br0, br1, br2, interfaces 1, 2,
 * 3. Tunnels go from 192.168.255.1 to wherever the rule says (`remote_ip=flow`), VNI 100.
 *
 * Peers are 192.168.N.N, 1 to 200; over an underlay of IPv6 fd00:1::N and we fd00:ff::1. Behind each are guests whose packets with the UDP source port 1000 + K are flow K.
 */

import { expect } from 'vitest'
import type { DpifCounters } from '../../../src/datapath/contract.ts'
import type { Profile } from '../../../src/eswitch/profile.ts'
import { loadProfile } from '../../../src/eswitch/profile-file.ts'
import { parseFlow } from '../../../src/flow/ofp-text.ts'
import { ManualScheduler } from '../../../src/lib/scheduler.ts'
import type { OffloadEvent } from '../../../src/offload/events.ts'
import { OffloadModule } from '../../../src/offload/module.ts'
import type { Bridge } from '../../../src/ofproto/bridge.ts'
import { Ofproto } from '../../../src/ofproto/ofproto.ts'
import { Udpif } from '../../../src/ofproto/udpif.ts'
import { Underlay } from '../../../src/ofproto/underlay.ts'
import { Tunnels } from '../../../src/tunnel/tunnels.ts'
import { FakeFib, FakeNeighbours, FakePorts, ip } from '../../unit/tunnel/fakes.ts'
import { build, numbered, numberOf } from '../tiers/frames.ts'
import { World } from '../tiers/harness.ts'
import { withProfile } from './with-profile.ts'

export const [VF0, VF1, P0, P1, P2] = [1, 2, 3, 4, 5]
const LOCALS = [11, 12, 13]
export const UPLINKS = [P0, P1, P2]
export const VXLAN = 50
const OURS = { 4: '192.168.255.1', 6: 'fd00:ff::1' } as const
const VNI = 100
const HEADERS = { 4: 50, 6: 70 } as const

export const peerIp = (peer: number, version: 4 | 6 = 4): string =>
  version === 4 ? `192.168.${peer}.${peer}` : `fd00:1::${peer.toString(16)}`
const peerMac = (peer: number): string => `02:00:00:00:00:${peer.toString(16).padStart(2, '0')}`
const bridgeMac = (i: number): string => `02:00:00:00:bb:0${i}`
const macNumber = (text: string): number => Number.parseInt(text.replaceAll(':', ''), 16)
const be32 = (v: number): number[] => [v >>> 24, (v >>> 16) & 255, (v >>> 8) & 255, v & 255]

/** What the guest sends to a peer's guest, and gets. */
const inner = (peer: number, flow: number, n: number, out: boolean): Uint8Array => {
  const [here, there] = ['10.0.0.1', `10.0.${peer}.1`]
  return numbered(flow, n, { ip: out ? { src: here, dst: there } : { src: there, dst: here } })
}

export interface NicsOptions {
  /** Of the underlay; 4 unless told. */
  readonly version?: 4 | 6
  readonly offload?: boolean
  /** Flows for each peer. */
  readonly flows?: number
  readonly peers?: number
  readonly profile?: Profile
  /** By which interface (1, 2, 3) peers are reached; 1 unless told. */
  readonly by?: number
  /** Neighbours are known from the start, unless false. */
  readonly known?: boolean
}

export class Nics {
  readonly world: World
  readonly fib = new FakeFib()
  readonly neighbours = new FakeNeighbours()
  readonly underlayPorts = new FakePorts()
  readonly scheduler = new ManualScheduler()
  readonly ofproto: Ofproto
  readonly udpif: Udpif
  readonly offload: OffloadModule
  readonly layer: Tunnels
  readonly int: Bridge
  readonly mtus = new Map<number, number>()
  readonly errors: unknown[] = []
  preinstalled = 0
  readonly #options: Required<Omit<NicsOptions, 'profile'>>
  readonly #profile: Profile

  private constructor(options: NicsOptions) {
    this.#options = { version: 4, offload: true, flows: 1, peers: 1, by: 1, known: true, ...options }
    this.#profile = options.profile ?? loadProfile('default')
    this.world = new World({ eswitches: { nic0: 4096, nic1: 4096 }, small: 2048, flows: 8192 })
    const { clock, dpif } = this.world
    const { scheduler } = this
    const log = { warnLimited: (text: string, data?: object) => void this.errors.push([text, data]) }
    this.ofproto = new Ofproto(clock)
    this.offload = new OffloadModule(dpif, { clock, scheduler, slice: 4, sliceMs: 0, enabled: this.#options.offload })
    this.udpif = new Udpif({ ofproto: this.ofproto, dpif: this.offload, clock, scheduler, log: log as never })
    this.udpif.revalidator.maxIdle = 600_000
    this.layer = new Tunnels({
      fib: this.fib,
      neighbours: this.neighbours,
      underlayPorts: this.underlayPorts,
      translator: new Underlay(this.ofproto, clock),
      dpif: this.offload,
      ports: this.ofproto.tunnels.ports,
      clock,
      scheduler,
      log,
    })
    this.ofproto.tunnels.use(this.layer)
    this.ofproto.tunnels.ports.setDpPort(4789, VXLAN)
    this.offload.attachTunnels({
      view: this.layer,
      mtu: (no) => this.mtus.get(no) ?? 0,
      preinstall: (key) => {
        this.preinstalled++
        return this.udpif.preinstall(key)
      },
    })
    this.int = this.ofproto.addBridge('br-int')
  }

  static async open(options: NicsOptions = {}): Promise<Nics> {
    const nics = new Nics(options)
    await nics.#start()
    return nics
  }

  async #start(): Promise<void> {
    const { world, int, fib } = this
    const { peers, flows, by, known, version } = this.#options
    const tun = version === 4 ? 'tun' : 'tun_ipv6'
    await world.start()
    for (const name of ['nic0', 'nic1']) this.offload.addEswitch(withProfile(world.eswitch(name), this.#profile))
    await world.addVf(VF0, 'vf0', 'nic0')
    await world.addVf(VF1, 'vf1', 'nic1')
    await world.addVf(P0, 'p0', 'nic0')
    await world.addVf(P1, 'p1', 'nic0')
    await world.addVf(P2, 'p2', 'nic1')
    await world.dpif.portAdd({ no: VXLAN, name: 'vxlan_sys_4789', kind: 'vxlan' })
    int.addPort({ name: 'vf0', dpPort: VF0, ofport: 1 })
    int.addPort({ name: 'vf1', dpPort: VF1, ofport: 2 })
    int.addPort({
      name: 'vx',
      ofport: 9,
      tunnel: { remote: 'flow', local: ip(OURS[version]), key: VNI, dstPort: 4789, tos: 0, ttl: 64, df: true },
    })
    for (const [i, dpPort] of LOCALS.entries()) {
      await world.addPort(dpPort, `br${i}`)
      const bridge = this.ofproto.addBridge(`br${i}`)
      bridge.addPort({ name: `br${i}`, dpPort })
      bridge.setPortMac(`br${i}`, macNumber(bridgeMac(i)))
      bridge.addPort({ name: `p${i}`, dpPort: UPLINKS[i]! })
      const mac = Uint8Array.from(bridgeMac(i).split(':'), (part) => Number.parseInt(part, 16))
      this.underlayPorts.set(i + 1, { name: `br${i}`, dpPort, mac, mtu: 1600 })
    }
    fib.setAddresses(1, OURS[version])
    for (let peer = 1; peer <= peers; peer++) {
      this.route(peer, by)
      if (known) this.know(peer)
      for (let k = 0; k < flows; k++) {
        const ports = `udp,tp_src=${1000 + k}`
        this.#rule(
          `priority=10,in_port=1,nw_dst=10.0.${peer}.1,${ports},actions=set_field:${this.#peer(peer)}->${tun}_dst,output:9`,
        )
        this.#rule(`priority=10,in_port=9,${tun}_src=${this.#peer(peer)},${ports},actions=output:1`)
      }
    }
    this.udpif.start()
    await this.rest()
  }

  #peer(peer: number): string {
    return peerIp(peer, this.#options.version)
  }

  get #headers(): number {
    return HEADERS[this.#options.version]
  }

  #rule(text: string): void {
    this.int.tables.add(parseFlow(text))
  }

  // What the kernel says.

  /** The peer is reached by these interfaces: 1 by p0, 2 by p1, 3 by p2; none: no way. */
  route(peer: number, ...by: number[]): void {
    const members = by.map((oif) => ({ oif, weight: 1 }))
    this.fib.set(
      `${this.#peer(peer)}/${this.#options.version === 4 ? 32 : 128}`,
      members.length > 0 ? { members } : 'blackhole',
    )
  }

  /** The peer answers, on each interface, with its own address or another one. */
  know(peer: number, answer: number | 'failed' | 'pending' = peer): void {
    for (let ifindex = 1; ifindex <= 3; ifindex++) this.neighbours.set(ifindex, this.#peer(peer), answer)
  }

  // Traffic.

  /** From the guest to one peer's. */
  send(peer: number, flow: number, n: number): void {
    this.world.port(VF0).inject(inner(peer, flow, n, true))
  }

  /** From a peer's guest, by an uplink. `from`: last byte of the next hop's address. */
  receive(peer: number, flow: number, n: number, uplink = P0): void {
    const frame = [...inner(peer, flow, n, false)]
    const { version } = this.#options
    const ends = { src: this.#peer(peer), dst: OURS[version] }
    const vxlan = [8, 0, 0, 0, ...be32(VNI << 8)]
    this.world.port(uplink).inject(
      build({
        dst: bridgeMac(UPLINKS.indexOf(uplink)),
        src: peerMac(peer),
        ...(version === 4 ? { ip: ends } : { ip6: ends }),
        udp: { src: 40000 + flow, dst: 4789, zero: version === 4 },
        payload: [...vxlan, ...frame],
      }),
    )
  }

  /** Numbers that left by a port, of one flow; by an uplink those to one peer. */
  left(port: number, peer: number, flow: number): number[] {
    return this.frames(port)
      .filter(({ data }) => (port < P0 ? data[28] : data[this.#headers + 32]) === peer)
      .map(({ data }) => numberOf(data))
      .filter((number) => number.flow === flow)
      .map(({ n }) => n)
  }

  /** All that left by a port, oldest first. */
  frames(port: number): readonly { readonly data: Uint8Array }[] {
    return this.world.port(port).sent
  }

  /** Frames that left by any port. */
  total(): number {
    return [VF0, VF1, ...UPLINKS].reduce((sum, port) => sum + this.frames(port).length, 0)
  }

  /** By egress port and microflow, for comparisons. */
  capture(): Map<string, string[]> {
    const out = new Map<string, string[]>()
    for (const port of [VF0, VF1, ...UPLINKS])
      for (const { data } of this.frames(port)) {
        const { flow } = numberOf(data)
        const name = `${port} ${port < P0 ? data[28] : data[this.#headers + 32]} ${flow}`
        const hex = Buffer.from(data).toString('hex')
        const list = out.get(name)
        if (list) list.push(hex)
        else out.set(name, [hex])
      }
    return out
  }

  // Time.

  /** One round of everything, deferred work included. */
  async step(): Promise<void> {
    this.world.step()
    this.scheduler.step()
    // Barriers are promises.
    for (let i = 0; i < 4; i++) await Promise.resolve()
  }

  /** Until nothing moves. `ms` pass first: of less than the idle time of flows. */
  async rest(ms = 20): Promise<void> {
    for (let i = 0; i < 3; i++) {
      this.world.clock.advance(ms)
      this.scheduler.advance(ms)
      await this.world.settle()
      this.scheduler.run()
      await this.world.settle()
    }
  }

  // What it looks like inside.

  upcalls(): number {
    return this.udpif.status().upcalls.upcalls
  }

  /** Frames that tier 2 has handled. */
  slow(): number {
    const out = {} as DpifCounters
    this.world.dpif.counters(out)
    return out.frames
  }

  /** Verdicts of tunnelled flows, 'offloaded' or the check, each with their number. */
  verdicts(direction: 'encap' | 'decap', peer?: number): Record<string, number> {
    const out: Record<string, number> = {}
    for (const { flow, verdict } of this.offload.list()) {
      const facts = this.offload.tunnelFacts(flow.id)
      const concerned = facts.some(
        (f) => f.direction === direction && (peer === undefined || f.peer === this.#peer(peer)),
      )
      if (!concerned) continue
      const name = verdict.state === 'offloaded' ? `offloaded ${verdict.eswitch}` : verdict.check
      out[name] = (out[name] ?? 0) + 1
    }
    return out
  }

  /** Causes since the last call. */
  news(): readonly OffloadEvent[] {
    const { events } = this.offload.summary().tunnels
    const fresh = this.offload.events(Math.min(256, events - this.#told))
    this.#told = events
    return fresh
  }
  #told = 0

  drops(): Record<string, number> {
    const out: Record<string, number> = {}
    for (const no of [VF0, VF1, ...UPLINKS, ...LOCALS, VXLAN])
      for (const [reason, n] of Object.entries(this.world.drops(no))) out[reason] = (out[reason] ?? 0) + n
    return out
  }

  /** Nothing is lost from sight: slots, errors. */
  async close(): Promise<void> {
    await this.rest()
    this.offload.close()
    this.udpif.stop()
    this.layer.close()
    expect([this.world.missingSlots(), this.errors]).toEqual([{}, []])
  }
}
