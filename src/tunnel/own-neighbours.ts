/**
 * Neighbours of interfaces that the host's stack does not own: asked for by ARP and neighbour discovery of our own (RFC 826, RFC 4861). This is the table with its timers and limits;
 * what one entry does is own-neighbours-nud.ts, what comes from the wire is own-stack.ts. Main thread.
 *
 * Only who is asked for has an entry: nothing that comes unasked makes one, so that the table is as large as the next hops that are in use, and bounded. Each next hop is asked
 * at most once in `retrans`, and all together at most RATE times a second.
 */
import type { Scheduler } from '../lib/scheduler.ts'
import { TokenBucket } from '../lib/token-bucket.ts'
import {
  type Neighbour,
  NUD_DELAY,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
} from '../netlink/neighbour.ts'
import { type NeighbourAnswer, type NeighbourSource, sameNeighbour } from './neighbour-source.ts'
import { requestFrame } from './own-neighbours-frames.ts'
import {
  begin,
  NUD_TIMES,
  type NudEntry,
  type NudEvent,
  type NudSend,
  type NudState,
  type NudStep,
  type NudTimes,
  step,
} from './own-neighbours-nud.ts'
import { addressFor, type OwnPort } from './own-port.ts'
import { bytesKey } from './way.ts'

export interface OwnNeighbourCounters {
  /** Requests sent: to all, and to the address that is thought to be right. */
  asked: number
  probed: number
  /** Requests that had to wait for others. */
  delayed: number
  /** Requests that could not be sent: no address of that version. */
  mute: number
  /** Next hops that did not answer, that many times. */
  failed: number
  /** Next hops that are not asked for, since there are too many. */
  full: number
}

export interface OwnNeighboursOptions {
  readonly port: (ifindex: number) => OwnPort | undefined
  /** Sends a frame as if the port's host had. */
  readonly send: (port: OwnPort, frame: Uint8Array) => void
  readonly scheduler: Scheduler
  /** 0 to 1. */
  readonly random?: () => number
  readonly limit?: number
}

interface Entry extends NudEntry {
  readonly key: string
  readonly ifindex: number
  readonly address: Uint8Array
  /** Until when an answer is one to the last request. */
  open: number
  cancel: () => void
}

/** As Linux has it by default for all neighbours together, four times over (gc_thresh3). */
const LIMIT = 4096
/** Requests a second, and at once. */
const RATE = 200
const BURST = 200
/** Milliseconds after which a request that found no room is tried again. */
const NO_ROOM_PAUSE = 20

const NUD_OF: Readonly<Record<NudState, number>> = {
  INCOMPLETE: NUD_INCOMPLETE,
  REACHABLE: NUD_REACHABLE,
  STALE: NUD_STALE,
  DELAY: NUD_DELAY,
  PROBE: NUD_PROBE,
  FAILED: NUD_FAILED,
  PERMANENT: NUD_PERMANENT,
}

const keyOf = (ifindex: number, address: Uint8Array): string => `${ifindex} ${bytesKey(address)}`

const answerOf = (entry: Entry | undefined): NeighbourAnswer => {
  if (entry === undefined) return { type: 'none' }
  if (entry.lladdr !== undefined) return { type: 'found', lladdr: entry.lladdr }
  return { type: entry.failures > 0 ? 'failed' : 'pending' }
}

export class OwnNeighbours implements NeighbourSource {
  readonly counters: OwnNeighbourCounters = { asked: 0, probed: 0, delayed: 0, mute: 0, failed: 0, full: 0 }
  readonly times: NudTimes = { ...NUD_TIMES }
  readonly #options: OwnNeighboursOptions
  readonly #random: () => number
  readonly #limit: number
  readonly #entries = new Map<string, Entry>()
  readonly #listeners = new Set<(ifindex: number, address: Uint8Array) => void>()
  readonly #known = new Set<() => void>()
  readonly #bucket: TokenBucket
  #closed = false

  constructor(options: OwnNeighboursOptions) {
    this.#options = options
    this.#random = options.random ?? Math.random
    this.#limit = options.limit ?? LIMIT
    this.#bucket = new TokenBucket(RATE, BURST, options.scheduler.elapsed())
  }

  lookup(ifindex: number, address: Uint8Array): NeighbourAnswer {
    return answerOf(this.#entries.get(keyOf(ifindex, address)))
  }

  resolve(ifindex: number, address: Uint8Array): void {
    const entry = this.#entries.get(keyOf(ifindex, address))
    if (entry === undefined) this.#make(ifindex, address, false)
    else this.#event(entry, { type: 'use' })
  }

  keepAlive(ifindex: number, address: Uint8Array, inUse: boolean): void {
    const entry = this.#entries.get(keyOf(ifindex, address))
    if (entry === undefined) {
      if (inUse) this.#make(ifindex, address, true)
      return
    }
    entry.kept = inUse
    if (inUse) this.#event(entry, { type: 'use' })
  }

  onChange(listener: (ifindex: number, address: Uint8Array) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Calls back when `knows` says true of more than before. */
  onKnown(listener: () => void): void {
    this.#known.add(listener)
  }

  /** Whether what a neighbour says of itself matters. */
  knows(ifindex: number, address: Uint8Array): boolean {
    return this.#entries.has(keyOf(ifindex, address))
  }

  /** Whether a request is open: an answer would be one to it. */
  asks(ifindex: number, address: Uint8Array): boolean {
    const entry = this.#entries.get(keyOf(ifindex, address))
    return entry !== undefined && this.#options.scheduler.elapsed() < entry.open
  }

  /** A known neighbour has spoken; of others nothing is kept. */
  heard(ifindex: number, address: Uint8Array, event: Extract<NudEvent, { type: 'answer' | 'told' }>): void {
    const entry = this.#entries.get(keyOf(ifindex, address))
    if (entry === undefined) return
    if (event.type === 'answer') entry.open = 0
    this.#event(entry, event)
  }

  /** A neighbour that is never asked for, until `flush`. False when there are too many. */
  set(ifindex: number, address: Uint8Array, lladdr: Uint8Array): boolean {
    const key = keyOf(ifindex, address)
    const entry = this.#entries.get(key) ?? this.#add(key, ifindex, address, false)
    if (entry === undefined) return false
    this.#event(entry, { type: 'set', lladdr })
    return true
  }

  /** Forgets all, or those of one interface; those in use are asked for anew. */
  flush(ifindex?: number): void {
    for (const entry of [...this.#entries.values()]) {
      if (ifindex !== undefined && entry.ifindex !== ifindex) continue
      this.#forget(entry)
      if (entry.kept) this.#make(entry.ifindex, entry.address, true)
      this.#tell(entry)
    }
  }

  get size(): number {
    return this.#entries.size
  }

  /** As the kernel's, for people. */
  *entries(): Generator<Neighbour> {
    for (const { ifindex, address, state, lladdr } of this.#entries.values())
      yield {
        ifindex,
        version: address.length === 4 ? 4 : 6,
        address,
        state: NUD_OF[state],
        flags: 0,
        managed: false,
        ...(lladdr === undefined ? {} : { lladdr }),
      }
  }

  close(): void {
    this.#closed = true
    for (const entry of this.#entries.values()) entry.cancel()
    this.#entries.clear()
  }

  #add(key: string, ifindex: number, address: Uint8Array, kept: boolean): Entry | undefined {
    if (this.#closed) return undefined
    if (this.#entries.size >= this.#limit && !this.#evict()) {
      this.counters.full++
      return undefined
    }
    const entry: Entry = {
      key,
      ifindex,
      address,
      kept,
      state: 'INCOMPLETE',
      lladdr: undefined,
      sent: 0,
      failures: 0,
      open: 0,
      cancel: () => {},
    }
    this.#entries.set(key, entry)
    for (const listener of this.#known) listener()
    return entry
  }

  /** Makes room by the oldest that nobody needs. */
  #evict(): boolean {
    for (const entry of this.#entries.values()) {
      if (entry.kept || (entry.state !== 'STALE' && entry.state !== 'FAILED')) continue
      this.#forget(entry)
      this.#tell(entry)
      return true
    }
    return false
  }

  #make(ifindex: number, address: Uint8Array, kept: boolean): void {
    const entry = this.#add(keyOf(ifindex, address), ifindex, address, kept)
    if (entry === undefined) return
    this.#follow(entry, begin(entry, this.times))
    this.#tell(entry)
  }

  #forget(entry: Entry): void {
    entry.cancel()
    this.#entries.delete(entry.key)
  }

  #event(entry: Entry, event: NudEvent): void {
    const before = answerOf(entry)
    const { failures } = entry
    const next = step(entry, event, this.times, this.#random())
    if (entry.failures > failures) this.counters.failed++
    this.#follow(entry, next)
    if (!sameNeighbour(before, this.lookup(entry.ifindex, entry.address))) this.#tell(entry)
  }

  #follow(entry: Entry, { send, timer, gone }: NudStep): void {
    if (gone) {
      this.#forget(entry)
      return
    }
    if (timer === undefined) return
    entry.cancel()
    entry.cancel = () => {}
    if (send === undefined || this.#ask(entry, send)) {
      if (timer > 0) this.#after(entry, timer, () => this.#event(entry, { type: 'timer' }))
    } else this.#after(entry, NO_ROOM_PAUSE, () => this.#follow(entry, { send, timer }))
  }

  #after(entry: Entry, ms: number, run: () => void): void {
    entry.cancel = this.#options.scheduler.after(ms, run)
  }

  /** False when there is no room for it now. */
  #ask(entry: Entry, send: NudSend): boolean {
    const { ifindex, address, lladdr } = entry
    const port = this.#options.port(ifindex)
    const from = port && addressFor(port.addresses, address)
    if (port === undefined || from === undefined) {
      this.counters.mute++
      return true
    }
    if (!this.#bucket.take(this.#options.scheduler.elapsed())) {
      this.counters.delayed++
      return false
    }
    this.counters[send === 'unicast' ? 'probed' : 'asked']++
    const to = send === 'unicast' ? lladdr : undefined
    entry.open = this.#options.scheduler.elapsed() + this.times.retrans
    this.#options.send(port, requestFrame({ mac: port.mac, address: from }, address, to))
    return true
  }

  #tell({ ifindex, address }: Entry): void {
    for (const listener of this.#listeners) listener(ifindex, address)
  }
}
