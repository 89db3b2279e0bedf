/**
 * The ways in use, each looked along when it is new and whenever something that it depends on has changed; and who must look again when what changes: by prefix
 * of the peer, by interface, by next hop, by local address. Main thread.
 */

import { LOST_TRANSLATION } from '../flow/execute.ts'
import { errorText } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { EncapRecord } from './entries.ts'
import { waysOf } from './fib-contract.ts'
import { type NextHop, NextHops } from './next-hops.ts'
import { SortedAddresses } from './sorted-addresses.ts'
import type { Watch } from './watches.ts'
import { bytesKey, type Look, type Outcome, sameHops, sameOutcome, type WaySpec, wayKey } from './way.ts'
import { type LookCounters, Looker, type LookerParts } from './way-look.ts'

export interface Way {
  readonly key: string
  readonly spec: WaySpec
  readonly entries: Set<EncapRecord>
  readonly watches: Set<Watch>
  /** Of the entries, those that cached flows name. */
  held: number
  look: Look
  /** Datapath port of the tunnel that its entries were put with. */
  tunnelPort: number
  /** Stamp of the last look (Changes). */
  looked: number
  /** As it stands in the indexes. */
  nextHops: readonly NextHop[]
  oifs: readonly number[]
  wanted: boolean
  gone: boolean
}

const NOT_YET: Outcome = {
  state: 'pending',
  reason: 'neighbour-pending',
  detail: 'not looked up yet',
  lost: 0,
  nextHop: 0,
  mtu: 0,
  actions: [],
  text: '',
}
const NEVER: Look = { answer: { type: 'none', why: 'no-route' }, hops: [], outcome: NOT_YET }

const oifsOf = ({ answer }: Look): number[] => [
  ...new Set(answer.type === 'found' ? waysOf(answer).map(({ oif }) => oif) : []),
]
const nextHopsOf = ({ hops }: Look): NextHop[] => [
  ...new Set(hops.flatMap((hop) => (hop.type === 'open' ? [hop.nextHop] : []))),
]
const sameItems = <T>(a: readonly T[], b: readonly T[]): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i])

/** Sets by key; those that are empty go. */
class Index<K> {
  readonly #sets = new Map<K, Set<Way>>()

  get(key: K): Iterable<Way> {
    return this.#sets.get(key) ?? []
  }

  add(key: K, way: Way): void {
    const set = this.#sets.get(key)
    if (set) set.add(way)
    else this.#sets.set(key, new Set([way]))
  }

  /** True if it was the last one of its set. */
  delete(key: K, way: Way): boolean {
    const set = this.#sets.get(key)
    if (!set?.delete(way) || set.size > 0) return false
    return this.#sets.delete(key)
  }
}

/** What a look has changed. */
export interface Difference {
  /** For entries. */
  readonly entries: boolean
  /** For those who watch where packets come from. */
  readonly watches: boolean
}

export interface WaysParts extends LookerParts {
  readonly log: Pick<Log, 'warnLimited'>
  /** Stamps looks, so that what changed before one is not looked at again for it (Changes). */
  readonly stamp: () => number
}

export class Ways {
  readonly #parts: WaysParts
  readonly #nextHops: NextHops<Way>
  readonly #looker: Looker<Way>
  readonly #ways = new Map<string, Way>()
  readonly #peers = { 4: new SortedAddresses<Way>(), 6: new SortedAddresses<Way>() }
  readonly #byOif = new Index<number>()
  /** By address, of those that name one; by '4' or '6', of those whose source is chosen. */
  readonly #byLocal = new Index<string>()
  /** Addresses of ours that ways name, each once. */
  readonly #locals = { 4: new SortedAddresses<string>(), 6: new SortedAddresses<string>() }
  #looking = false

  constructor(parts: WaysParts) {
    this.#parts = parts
    this.#nextHops = new NextHops<Way>(parts.neighbours)
    this.#looker = new Looker<Way>(parts, this.#nextHops)
  }

  get counters(): Readonly<LookCounters> {
    return this.#looker.counters
  }

  get size(): number {
    return this.#ways.size
  }

  get nextHops(): number {
    return this.#nextHops.size
  }

  /** True within a look, that is, when called back by the translator: then no other look may begin. */
  get looking(): boolean {
    return this.#looking
  }

  /** The way for this question, new ones not looked along yet. It goes with `drop`. */
  get(spec: WaySpec): Way {
    const key = wayKey(spec)
    const known = this.#ways.get(key)
    if (known) return known
    const way: Way = {
      key,
      spec,
      entries: new Set(),
      watches: new Set(),
      held: 0,
      look: NEVER,
      tunnelPort: -1,
      looked: -1,
      nextHops: [],
      oifs: [],
      wanted: false,
      gone: false,
    }
    this.#ways.set(key, way)
    this.#peers[spec.peer.length === 4 ? 4 : 6].add(spec.peer, way)
    this.#byLocal.add(localKey(spec), way)
    if (spec.local) this.#locals[spec.local.length === 4 ? 4 : 6].add(spec.local, localKey(spec))
    return way
  }

  /** Forgets a way that nobody uses. */
  drop(way: Way): void {
    if (way.gone || way.entries.size > 0 || way.watches.size > 0) return
    way.gone = true
    const { spec } = way
    this.#ways.delete(way.key)
    this.#peers[spec.peer.length === 4 ? 4 : 6].delete(spec.peer, way)
    const key = localKey(spec)
    const { local } = spec
    if (this.#byLocal.delete(key, way) && local) this.#locals[local.length === 4 ? 4 : 6].delete(local, key)
    this.#index(way, [], [])
  }

  /** Looks along it and keeps what it finds. Not to be called while `looking`. */
  examine(way: Way, resolve: boolean): Difference {
    const before = way.look
    const watched = way.watches.size > 0
    way.looked = this.#parts.stamp()
    way.look = this.#look(way.spec, { watched, wanted: way.wanted, resolve }, before)
    this.#index(way, nextHopsOf(way.look), oifsOf(way.look))
    const entries = !sameOutcome(before.outcome, way.look.outcome)
    // Entries tell by its identity whether they have been put with it.
    if (!entries) way.look = { ...way.look, outcome: before.outcome }
    return { entries, watches: entries || !sameHops(before.hops, way.look.hops) }
  }

  /** What a watched way would be now, without keeping anything. */
  peek(spec: WaySpec): Look {
    const look = this.#look(spec, { watched: true, wanted: false, resolve: false }, undefined)
    for (const hop of nextHopsOf(look)) this.#nextHops.tidy(hop)
    return look
  }

  /** To be called when `held` or `watches` have changed: next hops of ways that are in use are kept alive. True if it is wanted now and was not. */
  updateWanted(way: Way): boolean {
    const wanted = !way.gone && (way.held > 0 || way.watches.size > 0)
    if (wanted === way.wanted) return false
    way.wanted = wanted
    for (const hop of way.nextHops) this.#nextHops.want(hop, wanted)
    return wanted
  }

  /** Translations made so far are of the past. */
  bridgesChanged(): void {
    this.#looker.bridgesChanged()
  }

  all(): Iterable<Way> {
    return this.#ways.values()
  }

  /** Ways to peers under a prefix. */
  under(bytes: Uint8Array, length: number): readonly Way[] {
    return this.#peers[bytes.length === 4 ? 4 : 6].under(bytes, length)
  }

  /** Ways that name an address of ours under a prefix. */
  *fromUnder(bytes: Uint8Array, length: number): Generator<Way> {
    for (const key of this.#locals[bytes.length === 4 ? 4 : 6].under(bytes, length)) yield* this.#byLocal.get(key)
  }

  /** Ways whose route has a member by this interface. */
  by(oif: number): Iterable<Way> {
    return this.#byOif.get(oif)
  }

  over(ifindex: number, address: Uint8Array): Iterable<Way> {
    return this.#nextHops.ways(ifindex, address) ?? []
  }

  /** Ways from an address of ours, and those whose source is for the routes to choose. */
  *from(address: Uint8Array): Generator<Way> {
    yield* this.#byLocal.get(bytesKey(address))
    yield* this.#byLocal.get(address.length === 4 ? '4' : '6')
  }

  #look(spec: WaySpec, options: Parameters<Looker<Way>['look']>[1], previous: Look | undefined): Look {
    if (this.#looking) throw new Error('a look within a look')
    this.#looking = true
    try {
      return this.#looker.look(spec, options, previous)
    } catch (error) {
      // One way that cannot be told must not end the work on all others.
      this.#parts.log.warnLimited('a way cannot be looked up', { error: errorText(error) })
      const detail = `the underlay cannot be told: ${errorText(error)}`
      return {
        ...NEVER,
        outcome: { ...NOT_YET, state: 'drop', reason: 'underlay-drop', detail, lost: LOST_TRANSLATION },
      }
    } finally {
      this.#looking = false
    }
  }

  #index(way: Way, nextHops: readonly NextHop[], oifs: readonly number[]): void {
    if (!sameItems(way.nextHops, nextHops)) {
      const before = way.nextHops
      way.nextHops = nextHops
      // The new ones first, so that one that stays keeps its number and its neighbour alive.
      for (const hop of nextHops) if (!before.includes(hop)) this.#nextHops.join(hop, way, way.wanted)
      for (const hop of before) if (!nextHops.includes(hop)) this.#nextHops.leave(hop, way, way.wanted)
    }
    if (sameItems(way.oifs, oifs)) return
    for (const oif of way.oifs) if (!oifs.includes(oif)) this.#byOif.delete(oif, way)
    for (const oif of oifs) this.#byOif.add(oif, way)
    way.oifs = oifs
  }
}

const localKey = ({ peer, local }: WaySpec): string => (local ? bytesKey(local) : peer.length === 4 ? '4' : '6')
