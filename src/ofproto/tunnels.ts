/**
 * The tunnel ports of all bridges, and the tunnel layer behind them. Several tunnel ports share one port of the datapath, that of their UDP port: which one a
 * decapsulated packet came by is decided by its tunnel metadata. One for a switch. Main thread.
 */
import { K_IN_PORT, K_RECIRC_ID, K_TUN_DST, K_TUN_ID, K_TUN_SRC } from '../flow/key.ts'
import { CodedError } from '../lib/errors.ts'
import type { StacklessPorts, TunnelConfig, TunnelLayer } from '../tunnel/contract.ts'
import { TunnelPorts } from '../tunnel/tunnel-ports.ts'
import type { Port } from './port.ts'

/** What a cached flow does with the encap entries that its actions name. */
export type EncapHolder = Pick<TunnelLayer, 'hold' | 'release'>

/** Adds the bits by which a decapsulated packet's tunnel port is found: those of a flow for packets that no port takes. */
export const lookAtTunnel = (mask: Int32Array): void => {
  mask[K_RECIRC_ID] = -1
  mask[K_IN_PORT] = -1
  mask.fill(-1, K_TUN_ID, K_TUN_ID + 2)
  mask.fill(-1, K_TUN_SRC, K_TUN_DST + 4)
}

export class Tunnels implements EncapHolder {
  /** Also the wiring's, which knows the datapath's ports; each is set before a tunnel port that needs it is added. */
  readonly ports = new TunnelPorts<Port>()
  #layer: TunnelLayer | null = null
  #stackless: StacklessPorts | null = null
  readonly #changed: () => void

  /** `changed`: something that translations depend on. */
  constructor(changed: () => void) {
    this.#changed = changed
  }

  /** Before the first tunnel port is added, once. */
  use(layer: TunnelLayer): void {
    if (this.#layer !== null) throw new Error('the tunnel layer is there already')
    this.#layer = layer
    layer.onLocalChange(() => {
      if (this.any) this.#changed()
    })
  }

  get layer(): TunnelLayer | null {
    return this.#layer
  }

  /** Before the first port that no host's stack owns is added, once. */
  useStackless(ports: StacklessPorts): void {
    this.#stackless = ports
    ports.onChange(() => this.#changed())
  }

  /** null: there can be none. */
  get stackless(): StacklessPorts | null {
    return this.#stackless
  }

  get any(): boolean {
    return this.ports.udpPorts().length > 0
  }

  /** Throws CodedError when there is no tunnel layer, or another port takes the same packets. */
  add(port: Port, config: TunnelConfig): void {
    if (this.#layer === null) throw new CodedError('ENOTSUP', `port ${port.name}: this switch has no tunnels`)
    const conflict = this.ports.add(config, port)
    if (conflict !== undefined)
      throw new CodedError(
        'EEXIST',
        `port ${port.name}: remote, local, key and UDP port are those of ${conflict.port.name}`,
      )
  }

  remove(port: Port): void {
    this.ports.remove(port)
  }

  /** Gives a port another configuration; if that is refused, it keeps its own and the error is thrown. */
  replace(port: Port, config: TunnelConfig): void {
    const old = port.tunnel
    this.remove(port)
    try {
      this.add(port, config)
    } catch (error) {
      if (old !== null) this.add(port, old)
      throw error
    }
  }

  /** The datapath's port by which packets to this UDP port are decapsulated; -1 when no tunnel port wants them. */
  popPort(udpPort: number): number {
    return this.ports.uses(udpPort) ? (this.ports.dpPort(udpPort) ?? -1) : -1
  }

  isPopPort(dpPort: number): boolean {
    return this.ports.udpPort(dpPort) !== undefined
  }

  /** The port of the datapath by which a port's packets come. */
  ingress(port: Port): number {
    return port.tunnel === null ? port.dpPort : (this.ports.dpPort(port.tunnel.dstPort) ?? -1)
  }

  hold(id: number): void {
    this.#layer?.hold(id)
  }

  release(id: number): void {
    this.#layer?.release(id)
  }
}
