/**
 * The tunnel layer, put together: encap entries and watched peers (contract.ts), kept true to routes, neighbours, internal ports and the underlay's rules. Main thread.
 *
 * Whatever changes is only noted when it is heard of (changes.ts); slices of at most 2 ms look along the ways that it concerns. Events change entries, never
 * flows: an entry that differs is put, the workers swap to it.
 */
import type { Dpif } from '../datapath/contract.ts'
import { addressText } from '../flow/address.ts'
import type { EncapEntry } from '../flow/encap.ts'
import type { Clock } from '../lib/clock.ts'
import { errorText } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { Scheduler } from '../lib/scheduler.ts'
import { type ChangeCounters, Changes, type Scope } from './changes.ts'
import type {
  EncapSpec,
  IngressResult,
  TunnelCause,
  TunnelLayer,
  TunnelObserver,
  TunnelView,
  UnderlayPorts,
  UnderlayTranslator,
} from './contract.ts'
import { type EncapCounters, EncapTable } from './entries.ts'
import type { FibChange } from './fib-contract.ts'
import type { NeighbourSource } from './neighbour-source.ts'
import { OwnAddresses } from './own-addresses.ts'
import type { RouteSource } from './route-source.ts'
import type { TunnelPortNumbers } from './tunnel-ports.ts'
import { type Watch, Watches } from './watches.ts'
import { bytesKey } from './way.ts'
import { macText } from './way-look.ts'
import { type Way, Ways } from './ways.ts'

export interface TunnelsOptions {
  readonly fib: RouteSource
  readonly neighbours: NeighbourSource
  readonly underlayPorts: UnderlayPorts
  readonly translator: UnderlayTranslator
  readonly dpif: Pick<Dpif, 'encapPut' | 'encapDel'>
  readonly ports: TunnelPortNumbers
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly log: Pick<Log, 'warnLimited'>
}

export interface TunnelCounters extends ChangeCounters, EncapCounters {
  /** Looks along a way, and translations made for them. */
  looks: number
  translations: number
  /** Watched peers that were told of. */
  moved: number
  /** In use at present. */
  entries: number
  ways: number
  watches: number
  nextHops: number
}

type PortFacts = { readonly up: boolean; readonly mtu: number }

export class Tunnels implements TunnelLayer, TunnelView {
  readonly #options: TunnelsOptions
  readonly #changes: Changes<Way>
  readonly #ways: Ways
  readonly #entries: EncapTable
  readonly #watches: Watches
  readonly #own: OwnAddresses
  readonly #observers: TunnelObserver[] = []
  readonly #ends: (() => void)[]
  /** Internal ports as they were when last heard of, to say what has changed. */
  readonly #portFacts = new Map<number, PortFacts>()
  readonly #movedOutside = new Set<Way>()
  /** Of the piece of work under way: told of at its end, when all of their ways have been looked along. */
  readonly #movedWatches = new Set<Watch>()
  #piece = 0
  #examined = 0
  #moved = 0
  #stopped = false

  constructor(options: TunnelsOptions) {
    this.#options = options
    const { fib, neighbours, underlayPorts, scheduler } = options
    this.#changes = new Changes<Way>(scheduler, {
      begin: (cause) => this.#begin(cause),
      look: (way) => this.#look(way),
      end: (cause) => this.#end(cause),
    })
    this.#ways = new Ways({ ...options, stamp: () => this.#changes.stamp })
    const later = (way: Way): void => this.#changes.note(wayScope(way))
    const moved = (way: Way): void => this.#movedOutsideOfWork(way)
    this.#entries = new EncapTable({ ...options, ways: this.#ways, later, moved })
    this.#watches = new Watches({
      ways: this.#ways,
      examine: (way) => {
        if (this.#ways.looking) later(way)
        else this.#drain(way)
      },
    })
    this.#own = new OwnAddresses(fib, scheduler)
    this.#ends = [
      fib.on((change) => this.#fibChanged(change)),
      neighbours.onChange((ifindex, address) => this.#neighbourChanged(ifindex, address)),
    ]
    underlayPorts.onChange((ifindex) => this.#portChanged(ifindex))
  }

  encap(spec: EncapSpec, resolve: boolean): number {
    return this.#entries.encap(spec, resolve)
  }

  entry(id: number): EncapEntry | undefined {
    return this.#entries.entry(id)
  }

  /** For dumps. */
  entries(): ReturnType<EncapTable['entries']> {
    return this.#entries.entries()
  }

  hold(id: number): void {
    this.#entries.hold(id)
  }

  release(id: number): void {
    this.#entries.release(id)
  }

  credit(id: number, packets: number, bytes: number, used: number): void {
    this.#entries.credit(id, packets, bytes, used)
  }

  revalidate(): void {
    this.#ways.bridgesChanged()
    this.#changes.note({
      key: 'all bridge',
      cause: () => ({ kind: 'bridge', text: 'rules, ports or learned addresses of bridges' }),
      ways: () => this.#ways.all(),
    })
  }

  isLocal(address: Uint8Array): boolean {
    return this.#own.has(address)
  }

  onLocalChange(listener: () => void): void {
    this.#own.onChange(listener)
  }

  watch(peer: Uint8Array, local: Uint8Array | undefined): void {
    this.#watches.watch(peer, local)
  }

  unwatch(peer: Uint8Array, local: Uint8Array | undefined): void {
    this.#watches.unwatch(peer, local)
  }

  ingress(peer: Uint8Array, local: Uint8Array, dstPort: number): IngressResult {
    return this.#watches.ingress(peer, local, dstPort)
  }

  udpPort(dpPort: number): number | undefined {
    return this.#options.ports.udpPort(dpPort)
  }

  observe(observer: TunnelObserver): void {
    this.#observers.push(observer)
  }

  /** Resolves when no change is left to be looked at. */
  settled(): Promise<void> {
    return this.#changes.settled()
  }

  counters(): TunnelCounters {
    return {
      ...this.#changes.counters,
      ...this.#entries.counters,
      ...this.#ways.counters,
      moved: this.#moved,
      entries: this.#entries.size,
      ways: this.#ways.size,
      watches: this.#watches.size,
      nextHops: this.#ways.nextHops,
    }
  }

  /** Hears of nothing more; entries that are not held go. */
  close(): void {
    this.#stopped = true
    for (const end of this.#ends.splice(0)) end()
    this.#changes.stop()
    this.#entries.clear()
  }

  #fibChanged(change: FibChange): void {
    switch (change.kind) {
      case 'route': {
        const { bytes, length } = change
        const cause = () => ({ kind: 'route', text: `${addressText(bytes)}/${length}` }) as const
        const key = `route ${length} ${bytesKey(bytes)}`
        this.#changes.note({ key, cause, ways: () => this.#ways.under(bytes, length) })
        // An address may be ours by a route alone, without an interface that has it.
        if (change.local)
          this.#changes.note({ key: `local ${key}`, cause, ways: () => this.#ways.fromUnder(bytes, length) })
        return
      }
      case 'rules':
        this.#changes.note(this.#all('rule', 'policy rules'))
        return
      case 'resync':
        this.#own.changed()
        this.#changes.note(this.#all('resync', 'all routes, after news were lost or many changed at once'))
        return
      case 'link':
        this.#linkChanged(change.ifindex)
        return
      case 'address': {
        const { address } = change
        this.#own.changed()
        this.#changes.note({
          key: `address ${bytesKey(address)}`,
          cause: () => ({ kind: 'address', text: addressText(address) }),
          ways: () => this.#ways.from(address),
        })
      }
    }
  }

  #all(kind: 'rule' | 'resync', text: string): Scope<Way> {
    return { key: `all ${kind}`, cause: () => ({ kind, text }), ways: () => this.#ways.all() }
  }

  #portChanged(ifindex: number): void {
    if (!this.#stopped) this.#linkChanged(ifindex)
  }

  #linkChanged(ifindex: number): void {
    const port = this.#options.underlayPorts.byIfindex(ifindex)
    const before = this.#portFacts.get(ifindex)
    if (port) this.#portFacts.set(ifindex, { up: port.up, mtu: port.mtu })
    else this.#portFacts.delete(ifindex)
    const kind = port && before && port.up === before.up && port.mtu !== before.mtu ? 'mtu' : 'link'
    const text = port ? `${port.name} ${port.up ? 'up' : 'down'} mtu ${port.mtu}` : `interface ${ifindex}`
    this.#changes.note({
      key: `oif ${ifindex}`,
      cause: () => ({ kind, text }),
      ways: () => this.#ways.by(ifindex),
    })
  }

  #neighbourChanged(ifindex: number, address: Uint8Array): void {
    this.#changes.note(
      {
        key: `neighbour ${ifindex} ${bytesKey(address)}`,
        cause: () => ({ kind: 'neighbour', text: this.#neighbourText(ifindex, address) }),
        ways: () => this.#ways.over(ifindex, address),
      },
      true,
    )
  }

  #neighbourText(ifindex: number, address: Uint8Array): string {
    const now = this.#options.neighbours.lookup(ifindex, address)
    const dev = this.#options.underlayPorts.byIfindex(ifindex)?.name ?? `interface ${ifindex}`
    const state = now.type === 'found' ? `lladdr ${macText(now.lladdr)}` : now.type
    return `${addressText(address)} dev ${dev} ${state}`
  }

  #begin(cause: TunnelCause): void {
    this.#piece++
    this.#examined = 0
    this.#movedWatches.clear()
    this.#tell((observer) => observer.begin(cause))
  }

  #end(cause: TunnelCause): void {
    const examined = this.#examined
    this.#moved += this.#movedWatches.size
    for (const { peer, local } of this.#movedWatches) this.#tell((observer) => observer.moved(peer, local))
    this.#tell((observer) => observer.end(cause, examined))
  }

  #look(way: Way): Iterator<void, void> | undefined {
    for (const watch of way.watches) {
      if (watch.examined === this.#piece) continue
      watch.examined = this.#piece
      this.#examined++
    }
    const { watches } = this.#ways.examine(way, false)
    const rest = this.#entries.follow(way)
    if (!watches || way.watches.size === 0) return rest
    if (rest) return this.#movedAfter(rest, way)
    this.#wayMoved(way)
    return undefined
  }

  /** Tier 2 has an entry before anybody acts on it. */
  *#movedAfter(rest: Iterator<void, void>, way: Way): Generator<void, void> {
    while (!rest.next().done) yield
    this.#wayMoved(way)
  }

  #wayMoved(way: Way): void {
    for (const watch of way.watches) this.#movedWatches.add(watch)
  }

  #drain(way: Way): void {
    this.#ways.examine(way, false)
    const rest = this.#entries.follow(way)
    while (rest && !rest.next().done);
  }

  /** Found while a flow was translated: whoever observes is not to be called from there. */
  #movedOutsideOfWork(way: Way): void {
    this.#movedOutside.add(way)
    if (this.#movedOutside.size > 1) return
    const at = this.#options.scheduler.elapsed()
    this.#options.scheduler.soon(() => {
      const ways = [...this.#movedOutside]
      this.#movedOutside.clear()
      if (this.#stopped) return
      const text = `asked for the way to ${addressText(way.spec.peer)}`
      const cause: TunnelCause = { kind: 'neighbour', text, at }
      this.#begin(cause)
      for (const one of ways) {
        this.#examined += one.watches.size
        this.#wayMoved(one)
      }
      this.#end(cause)
    })
  }

  /** One observer's failure is not the others', nor the slice's. */
  #tell(call: (observer: TunnelObserver) => void): void {
    for (const observer of this.#observers)
      try {
        call(observer)
      } catch (error) {
        this.#options.log.warnLimited('an observer of tunnels failed', { error: errorText(error) })
      }
  }
}

const wayScope = (way: Way): Scope<Way> => ({
  key: `way ${way.key}`,
  cause: () => ({ kind: 'bridge', text: `a way to ${addressText(way.spec.peer)} within another one` }),
  ways: () => [way],
})
