/** Everything that the tunnel layer is given, set by hand: routes, neighbours, internal ports, the underlay's bridges, a datapath. */
import { addressBytes, addressText } from '../../../src/flow/address.ts'
import type { EncapEntry } from '../../../src/flow/encap.ts'
import { K_ETH, K_NW_DST } from '../../../src/flow/key.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { ManualScheduler } from '../../../src/lib/scheduler.ts'
import type {
  EncapSpec,
  TunnelCause,
  TunnelObserver,
  UnderlayPort,
  UnderlayPorts,
  UnderlayTranslator,
  UnderlayWay,
} from '../../../src/tunnel/contract.ts'
import type { FibChange, FibMember, FibQuery, FibResult, NoRoute } from '../../../src/tunnel/fib-contract.ts'
import type { NeighbourAnswer, NeighbourSource } from '../../../src/tunnel/neighbour-source.ts'
import { covers } from '../../../src/tunnel/prefix-trie.ts'
import type { OwnAddress, RouteSource } from '../../../src/tunnel/route-source.ts'
import { TunnelPorts } from '../../../src/tunnel/tunnel-ports.ts'
import { Tunnels } from '../../../src/tunnel/tunnels.ts'

export const ip = (text: string): Uint8Array => addressBytes(text)!
export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
export const mac = (last: number): Uint8Array => Uint8Array.of(2, 0, 0, 0, 0, last)

export interface FakeRoute {
  readonly members: readonly FibMember[]
  readonly alternatives?: readonly FibMember[]
  readonly mtu?: number
  readonly type?: 'unicast' | 'local' | 'multicast'
}

/** Longest prefix, by looking at all. */
export class FakeFib implements RouteSource {
  readonly addresses = new Map<number, OwnAddress[]>()
  readonly routes = new Map<string, FakeRoute | NoRoute>()
  lookups = 0
  readonly #listeners = new Set<(change: FibChange) => void>()

  lookup({ dst, src }: FibQuery): FibResult {
    this.lookups++
    let best: { readonly bytes: Uint8Array; readonly length: number; readonly route: FakeRoute | NoRoute } | undefined
    for (const [prefix, route] of this.routes) {
      const [address, bits] = prefix.split('/')
      const bytes = ip(address!)
      const length = Number(bits)
      if (covers(bytes, length, dst) && length >= (best?.length ?? 0)) best = { bytes, length, route }
    }
    if (!best) return { type: 'none', why: 'no-route' }
    const { route, ...prefix } = best
    if (typeof route === 'string') return { type: 'none', why: route }
    const sent = (member: FibMember): FibMember => {
      const own =
        src ?? member.src ?? this.addresses.get(member.oif)?.find(({ bytes }) => bytes.length === dst.length)?.bytes
      return { ...member, ...(own ? { src: own } : {}) }
    }
    const members = route.members.map(sent)
    return {
      type: 'found',
      dev: `if${members[0]!.oif}`,
      routeType: route.type ?? 'unicast',
      table: 254,
      prefix,
      ...members[0]!,
      ...(members.length > 1 ? { multipath: members } : {}),
      ...(route.alternatives ? { alternatives: route.alternatives.map(sent) } : {}),
      ...(route.mtu === undefined ? {} : { mtu: route.mtu }),
    }
  }

  on(listener: (change: FibChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  tell(change: FibChange): void {
    for (const listener of this.#listeners) listener(change)
  }

  /** `route` undefined: removed. */
  set(prefix: string, route: FakeRoute | NoRoute | undefined): void {
    if (route === undefined) this.routes.delete(prefix)
    else this.routes.set(prefix, route)
    const [address, length] = prefix.split('/')
    const bytes = ip(address!)
    this.tell({ kind: 'route', family: bytes.length === 4 ? 4 : 6, bytes, length: Number(length) })
  }

  setAddresses(ifindex: number, ...texts: string[]): void {
    const before = this.addresses.get(ifindex) ?? []
    const now = texts.map((text) => ({ bytes: ip(text), flags: 0 }))
    this.addresses.set(ifindex, now)
    for (const { bytes } of [...before, ...now])
      this.tell({ kind: 'address', family: bytes.length === 4 ? 4 : 6, ifindex, address: bytes })
  }
}

export class FakeNeighbours implements NeighbourSource {
  readonly answers = new Map<string, NeighbourAnswer>()
  /** Asked for, in this order. */
  readonly resolved: string[] = []
  readonly alive = new Set<string>()
  readonly #listeners = new Set<(ifindex: number, address: Uint8Array) => void>()

  static key(ifindex: number, address: Uint8Array): string {
    return `${addressText(address)}@${ifindex}`
  }

  lookup(ifindex: number, address: Uint8Array): NeighbourAnswer {
    return this.answers.get(FakeNeighbours.key(ifindex, address)) ?? { type: 'none' }
  }

  resolve(ifindex: number, address: Uint8Array): void {
    const key = FakeNeighbours.key(ifindex, address)
    this.resolved.push(key)
    if (this.answers.has(key)) return
    this.answers.set(key, { type: 'pending' })
    this.tell(ifindex, address)
  }

  keepAlive(ifindex: number, address: Uint8Array, inUse: boolean): void {
    const key = FakeNeighbours.key(ifindex, address)
    if (this.alive.has(key) === inUse) throw new Error(`keepAlive(${key}, ${inUse}) twice`)
    if (inUse) this.alive.add(key)
    else this.alive.delete(key)
  }

  onChange(listener: (ifindex: number, address: Uint8Array) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  tell(ifindex: number, address: Uint8Array): void {
    for (const listener of this.#listeners) listener(ifindex, address)
  }

  /** A number: the last byte of its MAC address. */
  set(ifindex: number, address: string, answer: number | 'failed' | 'pending' | 'none'): void {
    const key = FakeNeighbours.key(ifindex, ip(address))
    if (answer === 'none') this.answers.delete(key)
    else if (typeof answer === 'number') this.answers.set(key, { type: 'found', lladdr: mac(answer) })
    else this.answers.set(key, { type: answer })
    this.tell(ifindex, ip(address))
  }
}

export class FakePorts implements UnderlayPorts {
  readonly ports = new Map<number, UnderlayPort>()
  readonly #listeners: ((ifindex: number) => void)[] = []

  byIfindex(ifindex: number): UnderlayPort | undefined {
    return this.ports.get(ifindex)
  }

  onChange(listener: (ifindex: number) => void): void {
    this.#listeners.push(listener)
  }

  /** br2 with datapath port 2 for ifindex 2, and so on; undefined: gone. */
  set(ifindex: number, change: Partial<UnderlayPort> | undefined): void {
    const fresh = { name: `br${ifindex}`, dpPort: ifindex, ifindex, mac: mac(100 + ifindex), mtu: 1500, up: true }
    if (change) this.ports.set(ifindex, { ...(this.ports.get(ifindex) ?? fresh), ...change })
    else this.ports.delete(ifindex)
    for (const listener of this.#listeners) listener(ifindex)
  }
}

export interface Translated {
  readonly port: UnderlayPort
  readonly key: Int32Array
  readonly varying: Int32Array
  readonly learn: boolean
}

const tagOf = (key: Int32Array): OdpAction => {
  let sum = 0
  for (const word of key.subarray(K_ETH, K_NW_DST + 4)) sum = (Math.imul(sum, 31) + word) | 0
  return { type: 'push_vlan', tpid: 0x8100, tci: 0x1000 | (sum & 0xfff) }
}

/** Each bridge has one uplink: 10 times the number of its port, unless set. */
export class FakeTranslator implements UnderlayTranslator {
  readonly uplinks = new Map<number, Partial<UnderlayWay>>()
  readonly calls: Translated[] = []
  readonly credits: { readonly port: number; readonly packets: number; readonly bytes: number }[] = []
  during: () => void = () => {}
  /** Actions differ with the addresses of the key, as rules may. */
  telling = false

  translate(port: UnderlayPort, key: Int32Array, varying: Int32Array, learn: boolean): UnderlayWay {
    this.calls.push({ port, key: key.slice(), varying: varying.slice(), learn })
    this.during()
    return {
      actions: [...(this.telling ? [tagOf(key)] : []), { type: 'output', port: port.dpPort * 10 }],
      ambiguous: false,
      vlan: 0,
      credit: (packets, bytes) => this.credits.push({ port: port.dpPort, packets, bytes }),
      ...this.uplinks.get(port.dpPort),
    }
  }

  /** What was translated: destination and last byte of the next hop's MAC address. */
  seen(): string[] {
    return this.calls.map(({ key }) => `${(key[K_NW_DST]! >>> 0).toString(16)} ${(key[K_ETH + 1]! >>> 16) & 0xff}`)
  }
}

export class FakeDpif {
  readonly entries = new Map<number, EncapEntry>()
  readonly log: string[] = []
  puts = 0

  encapPut(entry: EncapEntry): void {
    this.puts++
    this.log.push(`put ${entry.id} ${entry.reason}`)
    this.entries.set(entry.id, entry)
  }

  encapDel(id: number): void {
    if (!this.entries.delete(id)) throw new Error(`there is no entry ${id}`)
    this.log.push(`del ${id}`)
  }
}

export class FakeObserver implements TunnelObserver {
  readonly log: string[] = []
  readonly causes: TunnelCause[] = []
  examined = 0
  moves = 0
  onMoved: (peer: Uint8Array, local: Uint8Array | undefined) => void = () => {}
  #open = false

  begin(cause: TunnelCause): void {
    if (this.#open) throw new Error('a piece of work within a piece of work')
    this.#open = true
    this.causes.push(cause)
    this.log.push(`begin ${cause.kind} ${cause.text}`)
  }

  moved(peer: Uint8Array, local: Uint8Array | undefined): void {
    if (!this.#open) throw new Error('moved outside of a piece of work')
    this.moves++
    this.log.push(`moved ${addressText(peer)}`)
    this.onMoved(peer, local)
  }

  end(_cause: TunnelCause, examined: number): void {
    this.#open = false
    this.examined += examined
    this.log.push(`end ${examined}`)
  }
}

export const specTo = (peer: string, change: Partial<EncapSpec> = {}): EncapSpec => ({
  peer: ip(peer),
  vni: 100,
  dstPort: 4789,
  tos: 0,
  ttl: 64,
  df: true,
  csum: false,
  ...change,
})

/** The entry of a tunnel to `peer`, held. */
export const entryTo = (tunnels: Tunnels, peer: string, change: Partial<EncapSpec> = {}): EncapEntry =>
  tunnels.entry(tunnels.encap(specTo(peer, change), true))!

export interface World {
  readonly fib: FakeFib
  readonly neighbours: FakeNeighbours
  readonly ports: FakePorts
  readonly translator: FakeTranslator
  readonly dpif: FakeDpif
  readonly clock: ManualClock
  readonly scheduler: ManualScheduler
  readonly tunnelPorts: TunnelPorts<string>
  readonly warnings: string[]
}

export const createWorld = (): World => {
  const tunnelPorts = new TunnelPorts<string>()
  tunnelPorts.setDpPort(4789, 1000)
  return {
    fib: new FakeFib(),
    neighbours: new FakeNeighbours(),
    ports: new FakePorts(),
    translator: new FakeTranslator(),
    dpif: new FakeDpif(),
    clock: new ManualClock(),
    scheduler: new ManualScheduler(),
    tunnelPorts,
    warnings: [],
  }
}

/** A layer in a world; others may be made in the same one, to compare. */
export const createTunnels = (world: World, change: Partial<World> = {}): Tunnels => {
  const { fib, neighbours, ports, translator, dpif, clock, scheduler, tunnelPorts, warnings } = { ...world, ...change }
  return new Tunnels({
    fib,
    neighbours,
    underlayPorts: ports,
    translator,
    dpif,
    ports: tunnelPorts,
    clock,
    scheduler,
    log: { warnLimited: (text, data) => warnings.push(`${text} ${JSON.stringify(data)}`) },
  })
}

/** br2 with 10.0.2.1/24 and the default route by 10.0.2.254, whose MAC address ends in 254. */
export const createSimple = () => {
  const world = createWorld()
  world.ports.set(2, {})
  world.fib.setAddresses(2, '10.0.2.1')
  world.fib.set('10.0.2.0/24', { members: [{ oif: 2, weight: 1 }] })
  world.fib.set('0.0.0.0/0', { members: [{ oif: 2, weight: 1, via: ip('10.0.2.254') }] })
  world.neighbours.set(2, '10.0.2.254', 254)
  const tunnels = createTunnels(world)
  const observer = new FakeObserver()
  tunnels.observe(observer)
  return { ...world, tunnels, observer }
}

/** Lets clock and scheduler go on together. */
export const pass = ({ clock, scheduler }: Pick<World, 'clock' | 'scheduler'>, ms: number): void => {
  clock.advance(ms)
  scheduler.advance(ms)
}
