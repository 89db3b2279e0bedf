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
import { NeighbourSources } from '../tunnel/neighbour-sources.ts'
import { NEIGHBOUR_GROUPS, Neighbours } from '../tunnel/neighbours.ts'
import { StaticRoutes } from '../tunnel/static-routes.ts'
import { Tunnels } from '../tunnel/tunnels.ts'
import { InternalPorts } from './internal-ports.ts'
import type { Hold, Namespaces } from './namespaces.ts'
import type { SwitchPort } from './ports.ts'
import { Stackless } from './stackless.ts'

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
  /** What users and stackless bridges add to `fib`. */
  readonly routes: StaticRoutes
  readonly stackless: Stackless
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
    this.stackless = new Stackless({
      ports: () => this.internal.own(),
      ofproto,
      dpif: options.dpif,
      clock,
      scheduler: eventLoopScheduler,
    })
    this.routes = new StaticRoutes({
      kernel: this.fib,
      own: () => this.internal.own(),
      ifindexOf: (bridge) => this.internal.byName(bridge)?.ifindex,
    })
    this.#source = new KernelNeighbours({
      neighbours: this.neighbours,
      socket: namespace.socket,
      scheduler: eventLoopScheduler,
      onError,
    })
    this.tunnels = new Tunnels({
      fib: this.routes,
      neighbours: new NeighbourSources(this.#source, this.stackless.neighbours),
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

  /** Internal ports came or went, or have other addresses, and the bridges have them. */
  portsChanged(): void {
    this.internal.portsChanged()
    this.routes.portsChanged()
    this.stackless.portsChanged()
  }

  view(): UnderlayView {
    const { links } = this.#hold.namespace
    const own = this.stackless.neighbours
    return {
      fib: this.fib,
      routes: this.routes,
      stackless: () => this.internal.own(),
      kernelNeighbours: () => this.neighbours.entries(),
      ownNeighbours: own,
      linkName: (ifindex) => this.internal.byIfindex(ifindex)?.name ?? links.link(ifindex)?.name ?? `if${ifindex}`,
      bridgeOf: (ifindex) => this.internal.byIfindex(ifindex)?.name,
      decapsulated: () => this.#decapsulated(),
      settled: () => this.#settled(),
    }
  }

  async #settled(): Promise<void> {
    // A poller of its own hears the kernel (native/watch.cc), so that who asks by the control socket may be ahead of what happened before.
    await this.#hold.namespace.caughtUp()
    await this.tunnels.settled()
  }

  #decapsulated(): ReturnType<UnderlayView['decapsulated']> {
    const rows: ReturnType<UnderlayView['decapsulated']> = []
    for (const { name, udpPort, dpPort } of this.#ofproto.tunnels.ports.listening())
      for (const { ifindex, mac } of this.internal.all())
        for (const { bytes } of this.routes.addresses.get(ifindex) ?? [])
          if (dpPort !== undefined) rows.push({ name, udpPort, dpPort, mac: macText(mac), address: bytes })
    return rows
  }

  close(): void {
    this.tunnels.close()
    this.#source.close()
    this.stackless.close()
    this.fib.stop()
    this.neighbours.stop()
    this.#hold.give()
  }
}
