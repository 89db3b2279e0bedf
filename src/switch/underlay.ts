/**
 * The underlay of a switch's tunnels: one namespace's routes and neighbours, mirrored, and the tunnel layer over them. Opened with the first tunnel port, and there until
 * the switch ends. Main thread.
 */
import type { UnderlayView } from '../control/verbs/context.ts'
import type { Dpif } from '../datapath/contract.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import { eventLoopScheduler } from '../lib/scheduler.ts'
import type { Ofproto } from '../ofproto/ofproto.ts'
import { Underlay as UnderlayBridges } from '../ofproto/underlay.ts'
import { FIB_GROUPS, Fib } from '../tunnel/fib.ts'
import { KernelNeighbours } from '../tunnel/kernel-neighbours.ts'
import { NEIGHBOUR_GROUPS, Neighbours } from '../tunnel/neighbours.ts'
import { Tunnels } from '../tunnel/tunnels.ts'
import { InternalPorts } from './internal-ports.ts'
import type { Hold, Namespaces } from './namespaces.ts'
import type { SwitchPort } from './ports.ts'

const macText = (mac: Uint8Array): string => Array.from(mac, (byte) => byte.toString(16).padStart(2, '0')).join(':')

export interface UnderlayOptions {
  /** Absent: the process's own namespace. */
  readonly netns?: string
  readonly namespaces: Namespaces
  readonly ports: () => Iterable<SwitchPort>
  readonly ofproto: Ofproto
  /** The offload module, which is the datapath of who is above. */
  readonly dpif: Dpif
  readonly clock: Clock
  readonly log: Log
}

export class Underlay {
  readonly netns: string | undefined
  readonly fib: Fib
  readonly neighbours: Neighbours
  readonly internal: InternalPorts
  readonly tunnels: Tunnels
  readonly #hold: Hold
  readonly #ofproto: Ofproto
  readonly #source: KernelNeighbours

  private constructor(options: UnderlayOptions, hold: Hold) {
    const { namespace } = hold
    const { log, ofproto, clock } = options
    const onError = (error: Error): void => log.warnLimited('underlay', { error: error.message })
    this.netns = options.netns
    this.#hold = hold
    this.#ofproto = ofproto
    this.neighbours = new Neighbours(namespace, { onError })
    // Without neighbours: a next hop that fails stays in the answers, so that the tunnel layer, which goes round it, has it asked for until it is back.
    this.fib = new Fib(namespace, { onError })
    this.internal = new InternalPorts(options.ports, namespace)
    this.#source = new KernelNeighbours({
      neighbours: this.neighbours,
      socket: namespace.socket,
      scheduler: eventLoopScheduler,
      onError,
    })
    this.tunnels = new Tunnels({
      fib: this.fib,
      neighbours: this.#source,
      underlayPorts: this.internal,
      ports: ofproto.tunnels.ports,
      translator: new UnderlayBridges(ofproto, clock),
      dpif: options.dpif,
      clock,
      scheduler: eventLoopScheduler,
      log,
    })
  }

  /** Resolves when routes and neighbours are mirrored. Rejects with an Error that names the namespace when there is none. */
  static async open(options: UnderlayOptions): Promise<Underlay> {
    const hold = await options.namespaces.take(options.netns)
    try {
      hold.namespace.join([...FIB_GROUPS, ...NEIGHBOUR_GROUPS])
      const underlay = new Underlay(options, hold)
      await underlay.fib.start()
      await underlay.neighbours.start()
      return underlay
    } catch (error) {
      hold.give()
      throw error
    }
  }

  view(): UnderlayView {
    const { links } = this.#hold.namespace
    return {
      fib: this.fib,
      neighbours: this.neighbours,
      linkName: (ifindex) => links.link(ifindex)?.name ?? `if${ifindex}`,
      bridgeOf: (ifindex) => this.internal.byIfindex(ifindex)?.name,
      decapsulated: () => this.#decapsulated(),
    }
  }

  #decapsulated(): ReturnType<UnderlayView['decapsulated']> {
    const rows: ReturnType<UnderlayView['decapsulated']> = []
    for (const { name, udpPort, dpPort } of this.#ofproto.tunnels.ports.listening())
      for (const { ifindex, mac } of this.internal.all())
        for (const { bytes } of this.fib.addresses.get(ifindex) ?? [])
          if (dpPort !== undefined) rows.push({ name, udpPort, dpPort, mac: macText(mac), address: bytes })
    return rows
  }

  close(): void {
    this.tunnels.close()
    this.#source.close()
    this.fib.stop()
    this.neighbours.stop()
    this.#hold.give()
  }
}
