/**
 * The bridges' internal ports as the tunnel layer sees them: those whose interfaces are in the underlay's namespace, and those that have none since no host's stack owns
 * them. Main thread.
 */
import { parseCidr } from '../netlink/address.ts'
import type { Namespace } from '../netlink/namespace.ts'
import type { UnderlayPort, UnderlayPorts } from '../tunnel/contract.ts'
import { type OwnPort, ownIfindex } from '../tunnel/own-port.ts'
import type { SwitchPort } from './ports.ts'

const macBytes = (text: string): Uint8Array => Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16))

const ownPort = ({ plan, no }: SwitchPort): OwnPort => ({
  name: plan.name,
  ifindex: ownIfindex(no),
  dpPort: no,
  mac: macBytes(plan.mac!),
  addresses: (plan.addresses ?? []).map(parseCidr),
})

export class InternalPorts implements UnderlayPorts {
  readonly #ports: () => Iterable<SwitchPort>
  readonly #namespace: Namespace
  readonly #listeners: ((ifindex: number) => void)[] = []
  /** By ifindex: the port, and its link as it was when this was made. */
  readonly #known = new Map<number, { readonly link: SwitchPort['link']; readonly port: UnderlayPort }>()

  #own: readonly OwnPort[] | undefined

  constructor(ports: () => Iterable<SwitchPort>, namespace: Namespace) {
    this.#ports = ports
    this.#namespace = namespace
  }

  byIfindex(ifindex: number): UnderlayPort | undefined {
    for (const port of this.#ports())
      if (port.opened.ifindex === ifindex && this.#concerns(port)) return this.#view(port)
    return undefined
  }

  *all(): Generator<UnderlayPort> {
    for (const port of this.#ports()) {
      const view = this.#concerns(port) ? this.#view(port) : undefined
      if (view !== undefined) yield view
    }
  }

  byName(name: string): UnderlayPort | undefined {
    for (const port of this.#ports()) if (port.plan.name === name && this.#concerns(port)) return this.#view(port)
    return undefined
  }

  /** Those that no host's stack owns. */
  own(): readonly OwnPort[] {
    this.#own ??= [...this.#ports()].filter(({ plan }) => plan.stack === 'none').map(ownPort)
    return this.#own
  }

  /** The wiring calls it when a port came, went, or its link changed. */
  changed(port: SwitchPort): void {
    if (!this.#concerns(port)) return
    this.#own = undefined
    for (const listener of this.#listeners) listener(port.opened.ifindex)
  }

  /** The wiring calls it when ports came or went. */
  portsChanged(): void {
    this.#own = undefined
  }

  onChange(listener: (ifindex: number) => void): void {
    this.#listeners.push(listener)
  }

  #concerns(port: SwitchPort): boolean {
    return port.plan.kind === 'internal' && (port.hold === undefined || port.hold.namespace === this.#namespace)
  }

  #view(port: SwitchPort): UnderlayPort | undefined {
    const { link, no, plan, opened } = port
    if (link === undefined) return undefined
    const known = this.#known.get(opened.ifindex)
    if (known?.link === link && known.port.dpPort === no && known.port.up === (link.up && port.adminUp))
      return known.port
    const view = {
      name: plan.name,
      dpPort: no,
      ifindex: opened.ifindex,
      mac: macBytes(link.mac),
      mtu: link.mtu,
      up: link.up && port.adminUp,
    }
    this.#known.set(opened.ifindex, { link, port: view })
    return view
  }
}
