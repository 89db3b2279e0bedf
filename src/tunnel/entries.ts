/**
 * Encap entries: one for each outer header that flows use. Each follows its way; the workers are told when it differs. Those that no cached flow names go after
 * a while, so that flows that come and go keep theirs. Main thread.
 */
import type { Dpif } from '../datapath/contract.ts'
import { type EncapEntry, MAX_ENCAPS } from '../flow/encap.ts'
import type { Clock } from '../lib/clock.ts'
import type { Scheduler } from '../lib/scheduler.ts'
import type { EncapSpec } from './contract.ts'
import { encapFlags, encapHeader } from './header.ts'
import type { TunnelPortNumbers } from './tunnel-ports.ts'
import { type Outcome, type WaySpec, wayKey } from './way.ts'
import type { Way, Ways } from './ways.ts'

export interface EncapRecord {
  readonly key: string
  readonly spec: EncapSpec
  readonly way: Way
  /** Cached flows that name it. */
  holds: number
  /** Clock milliseconds since when nobody holds it; only of those. */
  idle: number
  /** As it was last put. */
  entry: EncapEntry
  /** What it was put with. */
  outcome: Outcome
}

export interface EncapCounters {
  /** Entries put, new or changed. */
  puts: number
  deleted: number
  /** Asked for and not made, since there are too many. */
  refused: number
}

export interface EncapParts {
  readonly ways: Ways
  readonly dpif: Pick<Dpif, 'encapPut' | 'encapDel'>
  readonly ports: TunnelPortNumbers
  readonly clock: Clock
  readonly scheduler: Scheduler
  /** A way that could not be looked along at once is looked along soon. */
  readonly later: (way: Way) => void
  /** A way was looked along outside of a change, and its watches see another one now. */
  readonly moved: (way: Way) => void
}

/** From the last flow that names an entry to its end, in milliseconds. */
const LINGER = 10_000
/** Entries that are put in one unit of work. */
const UNIT = 16

const entryKey = (spec: EncapSpec, way: WaySpec): string => `${wayKey(way)}|${spec.vni}|${spec.df}|${spec.csum}`

export class EncapTable {
  readonly counters: EncapCounters = { puts: 0, deleted: 0, refused: 0 }
  readonly #parts: EncapParts
  readonly #limit: number
  readonly #byKey = new Map<string, EncapRecord>()
  readonly #byId = new Map<number, EncapRecord>()
  /** By specs that last: without making their key again. */
  readonly #bySpec = new WeakMap<EncapSpec, EncapRecord>()
  /** Those that nobody holds, longest first. */
  readonly #idle = new Set<EncapRecord>()
  #next = 0
  #sweep: (() => void) | undefined

  /** `limit`: for tests. */
  constructor(parts: EncapParts, limit = MAX_ENCAPS) {
    this.#parts = parts
    this.#limit = limit
  }

  get size(): number {
    return this.#byId.size
  }

  /** TunnelLayer.encap. */
  encap(spec: EncapSpec, resolve: boolean): number {
    const asked = spec.lasting && this.#bySpec.get(spec)
    if (asked && this.#byId.get(asked.entry.id) === asked) return this.#again(asked, resolve)
    const { peer, local, tos, ttl, dstPort } = spec
    const waySpec: WaySpec = { peer, tos, ttl, dstPort, ...(local ? { local } : {}) }
    const key = entryKey(spec, waySpec)
    const known = this.#byKey.get(key)
    if (known) {
      if (spec.lasting) this.#bySpec.set(spec, known)
      return this.#again(known, resolve)
    }
    const id = this.#id()
    if (id < 0) {
      this.counters.refused++
      return -1
    }
    const way = this.#parts.ways.get(waySpec)
    // Of a new way nobody has seen anything; one that is known is up to date.
    if (way.looked < 0 || (resolve && way.look.outcome.state !== 'ready')) this.#examine(way, resolve)
    const { outcome } = way.look
    const entry = this.#entry(id, spec, outcome, this.#tunnelPort(way), 0)
    const record: EncapRecord = { key, spec, way, holds: 0, idle: this.#parts.clock.now(), entry, outcome }
    way.entries.add(record)
    this.#byKey.set(key, record)
    if (spec.lasting) this.#bySpec.set(spec, record)
    this.#byId.set(id, record)
    this.#idle.add(record)
    this.#arm(LINGER)
    this.#put(record)
    return id
  }

  entry(id: number): EncapEntry | undefined {
    return this.#byId.get(id)?.entry
  }

  /** For dumps, in the order in which they were made. */
  *entries(): Generator<{ readonly entry: EncapEntry; readonly spec: EncapSpec; readonly holds: number }> {
    for (const { entry, spec, holds } of this.#byId.values()) yield { entry, spec, holds }
  }

  /** Throws on an entry that is not there. */
  hold(id: number): void {
    const record = this.#known(id)
    if (record.holds++ > 0) return
    this.#idle.delete(record)
    record.way.held++
    // What nobody wanted has not been asked for.
    if (this.#parts.ways.updateWanted(record.way) && record.way.look.outcome.reason === 'neighbour-pending')
      this.#examine(record.way, true)
  }

  /** Throws on one that is not there, or is not held. */
  release(id: number): void {
    const record = this.#known(id)
    if (record.holds === 0) throw new Error(`encap entry ${id} is released more often than it was held`)
    if (--record.holds > 0) return
    record.way.held--
    this.#parts.ways.updateWanted(record.way)
    this.#rest(record)
  }

  /** TunnelLayer.credit. Entries that are gone are passed over: statistics come late. */
  credit(id: number, packets: number, bytes: number, used: number): void {
    const record = this.#byId.get(id)
    if (!record || packets <= 0) return
    if (record.holds === 0) this.#touch(record)
    const { look } = record.way
    const hop = look.chosen
    if (look.outcome.state !== 'ready' || hop?.type !== 'open') return
    hop.translation?.way.credit(packets, bytes + packets * record.entry.header.length, used)
  }

  /** Puts the entries of a way that differ from it now, unit by unit; undefined if there are none. */
  follow(way: Way): Iterator<void, void> | undefined {
    const tunnelPort = this.#tunnelPort(way)
    for (const record of way.entries)
      if (record.outcome !== way.look.outcome || record.entry.tunnelPort !== tunnelPort) return this.#follow(way)
    return undefined
  }

  *#follow(way: Way): Generator<void, void> {
    let units = 0
    for (const record of way.entries) {
      const tunnelPort = this.#tunnelPort(way)
      const { outcome } = way.look
      if (record.outcome === outcome && record.entry.tunnelPort === tunnelPort) continue
      record.outcome = outcome
      record.entry = this.#entry(record.entry.id, record.spec, outcome, tunnelPort, record.entry.generation + 1)
      this.#put(record)
      if (++units % UNIT === 0) yield
    }
  }

  /** Lets go of what nobody holds, at once. For the end, and for tests. */
  clear(): void {
    for (const record of [...this.#idle]) this.#remove(record)
    this.#sweep?.()
    this.#sweep = undefined
  }

  #again(record: EncapRecord, resolve: boolean): number {
    this.#touch(record)
    // Whoever is asked for already, or has just failed, is the neighbours' matter.
    if (resolve && record.way.look.outcome.state !== 'ready') this.#examine(record.way, true)
    return record.entry.id
  }

  #examine(way: Way, resolve: boolean): void {
    if (this.#parts.ways.looking) {
      this.#parts.later(way)
      return
    }
    const { watches } = this.#parts.ways.examine(way, resolve)
    const rest = this.follow(way)
    while (rest && !rest.next().done);
    if (watches && way.watches.size > 0) this.#parts.moved(way)
  }

  #known(id: number): EncapRecord {
    const record = this.#byId.get(id)
    if (!record) throw new Error(`there is no encap entry ${id}`)
    return record
  }

  #tunnelPort(way: Way): number {
    return this.#parts.ports.dpPort(way.spec.dstPort) ?? -1
  }

  #put(record: EncapRecord): void {
    this.counters.puts++
    this.#parts.dpif.encapPut(record.entry)
  }

  #entry(id: number, spec: EncapSpec, outcome: Outcome, tunnelPort: number, generation: number): EncapEntry {
    const { state, reason, detail, lost, nextHop, mtu, actions, local, port, lladdr } = outcome
    return {
      id,
      state,
      reason,
      detail,
      lost,
      nextHop,
      flags: encapFlags(spec),
      version: spec.peer.length === 4 ? 4 : 6,
      header: encapHeader(spec, { local, ethDst: lladdr, ethSrc: lladdr && port?.mac }),
      mtu,
      actions,
      peer: spec.peer,
      ...(local ? { local } : {}),
      tunnelPort,
      underlayPort: port?.dpPort ?? -1,
      generation,
    }
  }

  /** A free number, each other one first before one is used again; -1 when all are held. */
  #id(): number {
    if (this.#byId.size >= this.#limit) {
      const [oldest] = this.#idle
      if (!oldest) return -1
      this.#remove(oldest)
    }
    while (this.#byId.has(this.#next)) this.#next = (this.#next + 1) % this.#limit
    const id = this.#next
    this.#next = (this.#next + 1) % this.#limit
    return id
  }

  #rest(record: EncapRecord): void {
    record.idle = this.#parts.clock.now()
    this.#idle.delete(record)
    this.#idle.add(record)
    this.#arm(LINGER)
  }

  #touch(record: EncapRecord): void {
    if (record.holds === 0) this.#rest(record)
  }

  #arm(ms: number): void {
    this.#sweep ??= this.#parts.scheduler.after(ms, () => {
      this.#sweep = undefined
      const now = this.#parts.clock.now()
      for (const record of this.#idle) {
        const left = record.idle + LINGER - now
        if (left > 0) {
          this.#arm(left)
          return
        }
        this.#remove(record)
      }
    })
  }

  #remove(record: EncapRecord): void {
    const { id } = record.entry
    this.#idle.delete(record)
    this.#byKey.delete(record.key)
    this.#byId.delete(id)
    record.way.entries.delete(record)
    this.#parts.ways.drop(record.way)
    this.counters.deleted++
    this.#parts.dpif.encapDel(id)
  }
}
