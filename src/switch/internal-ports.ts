/** The bridges' internal ports as the tunnel layer sees them: those whose interfaces are in the underlay's namespace. Main thread. */
import type { Namespace } from '../netlink/namespace.ts'
import type { UnderlayPort, UnderlayPorts } from '../tunnel/contract.ts'
import type { SwitchPort } from './ports.ts'

const macBytes = (text: string): Uint8Array => Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16))

export class InternalPorts implements UnderlayPorts {
  readonly #ports: () => Iterable<SwitchPort>
  readonly #namespace: Namespace
  readonly #listeners: ((ifindex: number) => void)[] = []
  /** By ifindex: the port, and its link as it was when this was made. */
  readonly #known = new Map<number, { readonly link: SwitchPort['link']; readonly port: UnderlayPort }>()

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

  /** The wiring calls it when a port came, went, or its link changed. */
  changed(port: SwitchPort): void {
    if (!this.#concerns(port)) return
    for (const listener of this.#listeners) listener(port.opened.ifindex)
  }

  onChange(listener: (ifindex: number) => void): void {
    this.#listeners.push(listener)
  }

  #concerns(port: SwitchPort): boolean {
    return port.plan.kind === 'internal' && port.hold.namespace === this.#namespace
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
