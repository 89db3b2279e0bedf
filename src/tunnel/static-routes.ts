/**
 * Routes that the kernel does not have, in front of those that it has: what users added by hand (`ovs/route/add`), and the addresses and connected prefixes of
 * bridges that no host's stack owns. Main thread.
 *
 * Which route wins is as in Open vSwitch (lib/ovs-router.c): the longest prefix, and one that a user added counts as 32 bits longer than it is, so that in IPv4 it always wins and in
 * IPv6 over all that are at most 32 bits longer; what is for the host itself goes before. A user's route with a mark is for packets with that mark alone. It names a
 * bridge, and is passed by while there is none of that name.
 */
import { addressText, sameAddress } from '../flow/address.ts'
import { CodedError } from '../lib/errors.ts'
import { RT_TABLE_LOCAL, RT_TABLE_MAIN } from '../netlink/route.ts'
import type { FibChange, FibFound, FibQuery, FibResult } from './fib-contract.ts'
import { addressFor, type OwnPort, type PortAddress } from './own-port.ts'
import { covers } from './prefix-trie.ts'
import type { OwnAddress, RouteSource } from './route-source.ts'

export interface UserRoute {
  /** 4 or 16 bytes, host bits zero. */
  readonly dst: Uint8Array
  readonly length: number
  /** Name of a bridge that has an internal port. */
  readonly bridge: string
  /** Next hop; absent: on link. */
  readonly via?: Uint8Array
  readonly src?: Uint8Array
  readonly mark: number
}

/** The mirror of the kernel (fib.ts). */
export interface KernelRoutes extends RouteSource {
  readonly addresses: ReadonlyMap<number, readonly (OwnAddress & PortAddress)[]>
}

export interface StaticRoutesOptions {
  readonly kernel: KernelRoutes
  /** Ports that no host's stack owns. */
  readonly own: () => readonly OwnPort[]
  /** Of a bridge's internal port, whoever owns it. */
  readonly ifindexOf: (bridge: string) => number | undefined
}

/** A route that is there now. */
interface Candidate {
  readonly dst: Uint8Array
  readonly length: number
  readonly rank: number
  readonly dev: string
  readonly oif: number
  readonly via?: Uint8Array
  readonly src?: Uint8Array
}

/** Bits that a user's route counts longer than it is. */
const USER = 32
const LOOPBACK = 1
/** More than anybody adds by hand: they are gone through one by one. */
const LIMIT = 1024

const routeKey = ({ dst, length, mark }: Pick<UserRoute, 'dst' | 'length' | 'mark'>): string =>
  `${addressText(dst)}/${length} ${mark}`

const networkOf = (address: Uint8Array, length: number): Uint8Array =>
  address.map((byte, i) => byte & (0xff00 >> Math.max(0, Math.min(8, length - 8 * i))))

export class StaticRoutes implements RouteSource {
  readonly #options: StaticRoutesOptions
  readonly #user = new Map<string, UserRoute>()
  readonly #listeners = new Set<(change: FibChange) => void>()
  #seen = ''

  constructor(options: StaticRoutesOptions) {
    this.#options = options
  }

  lookup(query: FibQuery): FibResult {
    const { kernel } = this.#options
    const own = this.#options.own()
    // What is bound to a link, or comes by one, is the kernel's to route.
    if ((own.length === 0 && this.#user.size === 0) || query.iif !== undefined || query.oif !== undefined)
      return kernel.lookup(query)
    const { dst, src } = query
    for (const { name, addresses } of own)
      if (addresses.some(({ bytes }) => sameAddress(bytes, dst))) return local(name, dst)
    const best = this.#best(query, own)
    const ours =
      src !== undefined && own.some(({ addresses }) => addresses.some(({ bytes }) => sameAddress(bytes, src)))
    // The kernel does not know our addresses, and would refuse them.
    const answer = kernel.lookup(ours ? without(query) : query)
    if (best === undefined || (answer.type === 'found' && goesBefore(answer, best)))
      return ours && answer.type === 'found' ? from(answer, src) : answer
    if (src !== undefined && !ours && !this.#hostHas(src)) return { type: 'none', why: 'not-local' }
    return this.#found(best, src, dst)
  }

  /** All addresses that are ours, by ifindex. */
  get addresses(): ReadonlyMap<number, readonly (OwnAddress & PortAddress)[]> {
    const { kernel, own } = this.#options
    const all = new Map(kernel.addresses)
    for (const { ifindex, addresses } of own())
      all.set(
        ifindex,
        addresses.map((address) => ({ ...address, flags: 0 })),
      )
    return all
  }

  on(listener: (change: FibChange) => void): () => void {
    this.#listeners.add(listener)
    const end = this.#options.kernel.on(listener)
    return () => {
      this.#listeners.delete(listener)
      end()
    }
  }

  /** Adds, or replaces that of the same prefix and mark. Throws CodedError for one that leads nowhere. */
  add(route: UserRoute): void {
    const { bridge, dst, length, via, src } = route
    const ifindex = this.#options.ifindexOf(bridge)
    if (ifindex === undefined)
      throw new CodedError('ENODEV', `${bridge}: the name of a bridge with an internal port expected`)
    if (src !== undefined && !this.#addressesOn(ifindex).some(({ bytes }) => sameAddress(bytes, src)))
      throw new CodedError('EADDRNOTAVAIL', `src ${addressText(src)}: ${bridge} has no such address`)
    if (src === undefined && addressFor(this.#addressesOn(ifindex), via ?? dst) === undefined)
      throw new CodedError('EADDRNOTAVAIL', `${bridge} has no address to send to ${addressText(via ?? dst)} from`)
    const kept = { ...route, dst: networkOf(dst, length) }
    const key = routeKey(kept)
    if (this.#user.size >= LIMIT && !this.#user.has(key)) throw new CodedError('ENOSPC', `${LIMIT} routes at most`)
    this.#user.set(key, kept)
    this.#changed(kept)
  }

  /** False when there is none. */
  delete(dst: Uint8Array, length: number, mark: number): boolean {
    const key = routeKey({ dst: networkOf(dst, length), length, mark })
    const route = this.#user.get(key)
    if (route === undefined) return false
    this.#user.delete(key)
    this.#changed(route)
    return true
  }

  /** What users added. */
  user(): Iterable<UserRoute> {
    return this.#user.values()
  }

  /** The address that packets which take it are sent from, unless they name one. */
  sourceOf({ bridge, dst, via, src }: UserRoute): Uint8Array | undefined {
    const ifindex = this.#options.ifindexOf(bridge)
    return src ?? (ifindex === undefined ? undefined : this.#sourceOn(ifindex, dst, via))
  }

  /** Internal ports or their addresses may have changed. */
  portsChanged(): void {
    const own = this.#options
      .own()
      .map(
        ({ ifindex, addresses }) =>
          `${ifindex} ${addresses.map(({ bytes, prefixLength }) => `${addressText(bytes)}/${prefixLength}`).join(' ')}`,
      )
    const used = [...this.#user.values()].map(({ bridge }) => `${bridge} ${this.#options.ifindexOf(bridge)}`)
    const now = [...own, ...used].join('; ')
    if (now === this.#seen) return
    this.#seen = now
    this.#tell({ kind: 'resync' })
  }

  #best({ dst, mark = 0 }: FibQuery, own: readonly OwnPort[]): Candidate | undefined {
    let best: Candidate | undefined
    const offer = (candidate: Candidate): void => {
      if (best === undefined || candidate.rank > best.rank) best = candidate
    }
    for (const route of this.#user.values()) {
      if ((route.mark ^ mark) !== 0 || !covers(route.dst, route.length, dst)) continue
      const oif = this.#options.ifindexOf(route.bridge)
      if (oif !== undefined) offer({ ...route, dev: route.bridge, oif, rank: route.length + USER })
    }
    for (const { name, ifindex, addresses } of own)
      for (const { bytes, prefixLength } of addresses)
        if (covers(bytes, prefixLength, dst))
          offer({
            dst: networkOf(bytes, prefixLength),
            length: prefixLength,
            src: bytes,
            dev: name,
            oif: ifindex,
            rank: prefixLength,
          })
    return best
  }

  #found(best: Candidate, asked: Uint8Array | undefined, dst: Uint8Array): FibFound {
    const { oif, dev, via, length } = best
    const src = asked ?? best.src ?? this.#sourceOn(oif, dst, via)
    return {
      type: 'found',
      routeType: 'unicast',
      dev,
      oif,
      weight: 1,
      table: RT_TABLE_MAIN,
      prefix: { bytes: best.dst, length },
      ...(via === undefined ? {} : { via }),
      ...(src === undefined ? {} : { src }),
    }
  }

  /** As Open vSwitch takes it: of the destination's network, else of the next hop's. */
  #sourceOn(oif: number, dst: Uint8Array, via: Uint8Array | undefined): Uint8Array | undefined {
    const addresses = this.#addressesOn(oif)
    const near = addresses.filter(({ bytes, prefixLength }) => covers(bytes, prefixLength, dst))
    return addressFor(near, dst) ?? addressFor(addresses, via ?? dst)
  }

  #addressesOn(ifindex: number): readonly PortAddress[] {
    const { kernel, own } = this.#options
    return own().find((port) => port.ifindex === ifindex)?.addresses ?? kernel.addresses.get(ifindex) ?? []
  }

  #hostHas(src: Uint8Array): boolean {
    for (const list of this.#options.kernel.addresses.values())
      if (list.some(({ bytes }) => sameAddress(bytes, src))) return true
    return false
  }

  #changed({ dst, length }: UserRoute): void {
    this.#tell({ kind: 'route', family: dst.length === 4 ? 4 : 6, bytes: dst, length })
  }

  #tell(change: FibChange): void {
    for (const listener of this.#listeners) listener(change)
  }
}

/** Connected prefixes of own ports, for people. */
export const connectedOf = ({
  name,
  addresses,
}: OwnPort): { dst: Uint8Array; length: number; src: Uint8Array; dev: string; local: boolean }[] =>
  addresses.flatMap(({ bytes, prefixLength }) => [
    { dst: networkOf(bytes, prefixLength), length: prefixLength, src: bytes, dev: name, local: false },
    { dst: bytes, length: bytes.length * 8, src: bytes, dev: name, local: true },
  ])

const goesBefore = ({ routeType, prefix }: FibFound, { rank }: Candidate): boolean =>
  routeType !== 'unicast' || prefix.length > rank

const without = ({ src: _, ...query }: FibQuery): FibQuery => query

const from = (answer: FibFound, src: Uint8Array): FibFound => ({
  ...answer,
  src,
  ...(answer.multipath ? { multipath: answer.multipath.map((member) => ({ ...member, src })) } : {}),
  ...(answer.alternatives ? { alternatives: answer.alternatives.map((member) => ({ ...member, src })) } : {}),
})

const local = (dev: string, dst: Uint8Array): FibFound => ({
  type: 'found',
  routeType: 'local',
  dev,
  oif: LOOPBACK,
  src: dst,
  weight: 1,
  table: RT_TABLE_LOCAL,
  prefix: { bytes: dst, length: dst.length * 8 },
})
