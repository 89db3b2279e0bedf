/** One bridge: its ports, rules and learned addresses. Made by Ofproto. Main thread. */
import { createMatch } from '../flow/key.ts'
import { OFPP_LOCAL, OFPP_MAX, OFPP_NONE, OFPP_NORMAL } from '../flow/ofp.ts'
import type { Clock } from '../lib/clock.ts'
import { CodedError } from '../lib/errors.ts'
import { createBundle } from './bundle.ts'
import { MacLearning } from './mac-learning.ts'
import { Port, type PortFlags, type PortSpec } from './port.ts'
import type { Rule } from './rule.ts'
import { FlowTables } from './tables.ts'
import type { Tunnels } from './tunnels.ts'

export interface BridgeOptions {
  /** Seconds (other_config:mac-aging-time). */
  readonly macAgeing?: number
  /** Entries (other_config:mac-table-size). */
  readonly macTableSize?: number
  /** Forward 01:80:c2:00:00:0x (other_config:forward-bpdu). */
  readonly forwardBpdu?: boolean
  readonly floodVlans?: readonly number[]
}

/** What a bridge may ask of the switch it belongs to. */
export interface BridgeHost {
  readonly clock: Clock
  readonly tunnels: Tunnels
  /** Something changed that translations depend on. */
  changed(): void
  /** Throws if the name, the datapath port or a tunnel's packets are taken by another port of the switch. */
  claim(port: Port): void
  release(port: Port): void
  findPort(name: string): Port | undefined
}

export class Bridge {
  readonly name: string
  readonly tables: FlowTables
  readonly macs: MacLearning
  readonly tunnels: Tunnels
  options: BridgeOptions = {}
  readonly #host: BridgeHost
  readonly #byName = new Map<string, Port>()
  /** Ascending by number, so that LOCAL is last. */
  #ports: readonly Port[] = []
  readonly #byNo = new Map<number, Port>()

  /** With `normal`, one rule of priority 0 makes it a learning switch. */
  constructor(name: string, host: BridgeHost, options: BridgeOptions, normal: boolean) {
    this.name = name
    this.#host = host
    this.tunnels = host.tunnels
    this.tables = new FlowTables({ clock: host.clock })
    this.tables.generation.onBump(() => host.changed())
    this.macs = new MacLearning(host.clock, () => host.changed())
    this.configure(options)
    if (normal) this.addNormalRule()
  }

  /** What a bridge without rules of its own does. */
  addNormalRule(): void {
    this.tables.add({
      table: 0,
      priority: 0,
      cookie: 0n,
      cookieMask: 0n,
      idleTimeout: 0,
      hardTimeout: 0,
      checkOverlap: false,
      resetCounts: false,
      match: createMatch(),
      actions: [{ type: 'output', port: OFPP_NORMAL }],
      outPort: OFPP_NONE,
    })
  }

  configure(options: BridgeOptions): void {
    this.options = options
    this.macs.setAgeing(options.macAgeing ?? 300)
    this.macs.setMax(options.macTableSize ?? 8192)
    this.macs.setFloodVlans(options.floodVlans ?? [])
    this.#host.changed()
  }

  /** Ascending by number. */
  ports(): readonly Port[] {
    return this.#ports
  }

  port(no: number): Port | undefined {
    return this.#byNo.get(no)
  }

  portByName(name: string): Port | undefined {
    return this.#byName.get(name)
  }

  /** The patch port at the other end, if it is there and points back. */
  peerOf(port: Port): Port | undefined {
    const peer = this.#host.findPort(port.peer)
    return peer !== undefined && peer !== port && peer.kind === 'patch' && peer.peer === port.name ? peer : undefined
  }

  lookup(table: number, key: Int32Array, wc: Int32Array | null): Rule | null {
    return this.tables.lookup(table, key, wc)
  }

  /** A port named as the bridge becomes LOCAL. Throws CodedError for a name, a datapath port or a tunnel that is taken. */
  addPort(spec: PortSpec): Port {
    const port = new Port(this, this.#allocate(spec), spec)
    this.#host.claim(port)
    this.#byName.set(port.name, port)
    this.#byNo.set(port.no, port)
    this.#portsChanged()
    return port
  }

  deletePort(name: string): void {
    const port = this.#require(name)
    port.alive = false
    this.#byName.delete(name)
    this.#byNo.delete(port.no)
    this.#host.release(port)
    this.macs.flushPort(name)
    this.#portsChanged()
  }

  /** Gives a port new VLAN settings, peer, tunnel or MTU. Its number, name, kind and datapath port stay. */
  reconfigurePort(name: string, spec: Omit<PortSpec, 'name' | 'dpPort' | 'ofport'>): Port {
    const port = this.#require(name)
    const bundle = createBundle(name, port, spec)
    if (port.kind === 'tunnel' && spec.tunnel !== undefined) {
      this.tunnels.replace(port, spec.tunnel)
      port.tunnel = spec.tunnel
    }
    port.peer = spec.peer ?? port.peer
    port.mtu = spec.mtu ?? port.mtu
    port.bundle = bundle
    this.macs.flushPort(name)
    this.#host.changed()
    return port
  }

  /** Changes OpenFlow's port configuration (`mod-port`). */
  setPortFlags(name: string, flags: Partial<PortFlags>): void {
    Object.assign(this.#require(name).flags, flags)
    this.#host.changed()
  }

  /** Notes the address of a port's interface: 48 bits. */
  setPortMac(name: string, mac: number): void {
    const port = this.#require(name)
    if (port.mac === mac) return
    port.mac = mac
    this.#host.changed()
  }

  /** Lets go of everything; Ofproto calls it. */
  close(): void {
    for (const port of this.#ports) this.deletePort(port.name)
  }

  #require(name: string): Port {
    const port = this.#byName.get(name)
    if (port === undefined) throw new CodedError('ENODEV', `bridge ${this.name} has no port ${name}`)
    return port
  }

  #portsChanged(): void {
    this.#ports = [...this.#byNo.values()].sort((a, b) => a.no - b.no)
    this.#host.changed()
  }

  #allocate({ name, ofport }: PortSpec): number {
    if (name === this.name) return OFPP_LOCAL
    if (ofport !== undefined && !(Number.isInteger(ofport) && ofport >= 1 && ofport < OFPP_MAX))
      throw new CodedError('EINVAL', `port ${name}: ofport ${ofport} is out of range: expected 1..${OFPP_MAX - 1}`)
    if (ofport !== undefined && !this.#byNo.has(ofport)) return ofport
    for (let no = 1; no < OFPP_MAX; no++) if (!this.#byNo.has(no)) return no
    throw new CodedError('ENOSPC', `bridge ${this.name} has no OpenFlow port number left for ${name}`)
  }
}
