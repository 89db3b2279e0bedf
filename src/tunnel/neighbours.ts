/** The mirror of a namespace's neighbours, by the news of its one socket and, after an overrun, by comparison with a dump. Main thread. */
import { sameAddress } from '../flow/address.ts'
import { Generation } from '../lib/generation.ts'
import type { NetlinkMessage } from '../netlink/codec.ts'
import type { Namespace } from '../netlink/namespace.ts'
import {
  isNeighbourMessage,
  type Neighbour,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_VALID,
  neighbourDumpPayload,
  parseNeighbour,
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTNLGRP_NEIGH,
} from '../netlink/neighbour.ts'
import { systemTimers, type Timers } from '../netlink/transport.ts'
import { type DumpedTable, Resync } from './resync.ts'

/** Groups that the namespace must have joined (NamespaceOptions.groups). */
export const NEIGHBOUR_GROUPS: readonly number[] = [RTNLGRP_NEIGH]

export type NeighbourResult =
  /** May be sent to. `state`: NUD_*. */
  | { readonly type: 'found'; readonly lladdr: Uint8Array; readonly state: number; readonly managed: boolean }
  /** The kernel is asking for it. */
  | { readonly type: 'pending' }
  /** It did not answer. */
  | { readonly type: 'failed' }
  | { readonly type: 'none' }

export interface NeighbourChange {
  /** What it is now; of a removed one, what it was last. */
  readonly neighbour: Neighbour
  readonly result: NeighbourResult
}

export interface NeighbourCounters {
  events: number
  malformed: number
  resyncs: number
  listenerErrors: number
}

const keyOf = (ifindex: number, address: Uint8Array): string => `${ifindex} ${Buffer.from(address).toString('hex')}`

const resultOf = (neighbour: Neighbour | undefined): NeighbourResult => {
  if (!neighbour) return { type: 'none' }
  const { state, lladdr, managed } = neighbour
  if ((state & NUD_VALID) !== 0 && lladdr) return { type: 'found', lladdr, state, managed }
  if ((state & NUD_INCOMPLETE) !== 0) return { type: 'pending' }
  return { type: (state & NUD_FAILED) !== 0 ? 'failed' : 'none' }
}

const same = (a: Neighbour, b: Neighbour): boolean =>
  a.state === b.state &&
  a.flags === b.flags &&
  a.managed === b.managed &&
  (a.lladdr === b.lladdr || (a.lladdr !== undefined && b.lladdr !== undefined && sameAddress(a.lladdr, b.lladdr)))

export class Neighbours {
  readonly counters: NeighbourCounters = { events: 0, malformed: 0, resyncs: 0, listenerErrors: 0 }
  /** Bumped with every change. */
  readonly generation = new Generation()
  readonly #namespace: Pick<Namespace, 'socket' | 'attach'>
  readonly #onError: (error: Error) => void
  readonly #entries = new Map<string, Neighbour>()
  readonly #listeners = new Set<(change: NeighbourChange) => void>()
  readonly #resync: Resync
  readonly #table: DumpedTable
  #heard = new Set<string>()
  #end: (() => void) | undefined

  constructor(
    namespace: Pick<Namespace, 'socket' | 'attach'>,
    options: { readonly onError: (error: Error) => void; readonly timers?: Timers },
  ) {
    this.#namespace = namespace
    this.#onError = options.onError
    this.#resync = new Resync(namespace.socket, options.timers ?? systemTimers, options.onError)
    this.#table = {
      type: RTM_GETNEIGH,
      payload: neighbourDumpPayload,
      part: (message) => this.message(message),
      begin: () => {
        this.#heard = new Set()
      },
      sweep: () => {
        for (const [key, neighbour] of [...this.#entries]) if (!this.#heard.has(key)) this.#remove(key, neighbour)
      },
    }
  }

  /** Resolves when the mirror is complete. The namespace must have joined NEIGHBOUR_GROUPS. */
  async start(): Promise<void> {
    this.#end = this.#namespace.attach(this)
    await this.#resync.first([this.#table])
  }

  stop(): void {
    this.#end?.()
  }

  /** `address`: 4 or 16 bytes. */
  lookup(ifindex: number, address: Uint8Array): NeighbourResult {
    return resultOf(this.#entries.get(keyOf(ifindex, address)))
  }

  /** NUD_*; undefined when there is no entry. */
  state(ifindex: number, address: Uint8Array): number | undefined {
    return this.#entries.get(keyOf(ifindex, address))?.state
  }

  entries(): Iterable<Neighbour> {
    return this.#entries.values()
  }

  /** Has `listener` called from within each change; it may only note it. Returns how to end that. */
  on(listener: (change: NeighbourChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when no dump is under way or due. */
  settled(): Promise<void> {
    return this.#resync.settled()
  }

  /** From the namespace. Never throws. */
  message(message: NetlinkMessage): void {
    if (!isNeighbourMessage(message)) return
    let neighbour: Neighbour
    try {
      neighbour = parseNeighbour(message)
    } catch {
      this.counters.malformed++
      return
    }
    const key = keyOf(neighbour.ifindex, neighbour.address)
    if (message.type === RTM_DELNEIGH) {
      this.#remove(key, neighbour)
      return
    }
    this.#heard.add(key)
    const old = this.#entries.get(key)
    // The kernel does not tell that it asks again, only that nobody has answered again: who waits for that must hear it.
    if (old && same(old, neighbour) && (neighbour.state & NUD_FAILED) === 0) return
    this.#entries.set(key, neighbour)
    this.#changed(neighbour, resultOf(neighbour))
  }

  /** From the namespace: news were lost. */
  overrun(): void {
    this.counters.resyncs++
    this.#resync.lost([this.#table])
  }

  /** From the namespace, which is gone. */
  clear(): void {
    for (const [key, neighbour] of [...this.#entries]) this.#remove(key, neighbour)
  }

  #remove(key: string, last: Neighbour): void {
    this.#heard.delete(key)
    if (this.#entries.delete(key)) this.#changed(last, { type: 'none' })
  }

  #changed(neighbour: Neighbour, result: NeighbourResult): void {
    this.counters.events++
    this.generation.bump()
    for (const listener of [...this.#listeners])
      try {
        listener({ neighbour, result })
      } catch (error) {
        this.counters.listenerErrors++
        this.#onError(error as Error)
      }
  }
}
