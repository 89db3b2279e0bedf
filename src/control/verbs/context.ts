/** What the verbs are given to look at and to act on: the parts of one switch. Filled in by the switch's wiring. Main thread. */
import type { Dpif } from '../../datapath/contract.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Counters } from '../../lib/counters.ts'
import type { Neighbour } from '../../netlink/neighbour.ts'
import type { OffloadModule } from '../../offload/module.ts'
import type { Bridge } from '../../ofproto/bridge.ts'
import type { Ofproto } from '../../ofproto/ofproto.ts'
import type { Udpif } from '../../ofproto/udpif.ts'
import type { Fib } from '../../tunnel/fib.ts'
import type { OwnNeighbours } from '../../tunnel/own-neighbours.ts'
import type { OwnPort } from '../../tunnel/own-port.ts'
import type { StaticRoutes } from '../../tunnel/static-routes.ts'
import { VerbError } from '../registry.ts'
import type { PortReply } from '../replies.ts'

/** The underlay of the switch's tunnels. */
export interface UnderlayView {
  readonly fib: Fib
  /** The kernel's routes, with those before them that it does not have. */
  readonly routes: StaticRoutes
  /** Internal ports that no host's stack owns. */
  stackless(): readonly OwnPort[]
  kernelNeighbours(): Iterable<Neighbour>
  readonly ownNeighbours: OwnNeighbours
  /** Name of an interface of the underlay's namespace. */
  linkName(ifindex: number): string
  /** The bridge whose internal port the interface is. */
  bridgeOf(ifindex: number): string | undefined
  /** What is decapsulated: for each tunnel's UDP port, each internal port's MAC and each address of it. */
  decapsulated(): { name: string; dpPort: number; udpPort: number; mac: string; address: Uint8Array }[]
  /** Resolves when the kernel's news of all that happened before the call have been heard, and tunnels' ways looked along for them. */
  settled(): Promise<void>
}

export interface SwitchView {
  /** Name of the datapath in `dpif/show`. */
  readonly name: string
  readonly clock: Clock
  readonly ofproto: Ofproto
  readonly udpif: Udpif
  /** The datapath as tier 1 sees it, the offload module. */
  readonly dpif: Dpif
  readonly offload: OffloadModule
  readonly coverage: Counters
  ports(): PortReply[]
  /** Undefined before there is a tunnel port. */
  underlay(): UnderlayView | undefined
  /** Times that the eswitch's worker was replaced. */
  restarts(eswitch: string): number
  /** Rehearses the loss of an eswitch's worker; Error when there is no such eswitch or its worker does not run. */
  failEswitch(eswitch: string, how: 'crash' | 'hang'): void
  /** Administrative state of a port; Error when there is none. */
  setPortAdmin(port: string, up: boolean): void
  /** Reads the configuration file again; tells what was changed. */
  reload(): Promise<string[]>
  /** Ends the process in good order. */
  stop(): void
}

export const bridgeOf = (view: SwitchView, name: string): Bridge => {
  const bridge = view.ofproto.bridge(name)
  if (bridge) return bridge
  const names = [...view.ofproto.bridges()].map((b) => b.name).join(', ')
  throw new VerbError(`no such bridge ${name}; there are: ${names || 'none'}`)
}

/** Runs `act`; what it throws is told to the client as the refusal of what was asked. */
export const asked = <T>(act: () => T): T => {
  try {
    return act()
  } catch (error) {
    throw new VerbError((error as Error).message)
  }
}
