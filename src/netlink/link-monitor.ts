/**
 * A mirror of a namespace's links, kept by events and, after an overrun, by comparison with a dump. Main thread.
 *
 * News and the parts of a dump come through one socket, and each tells the state of its link at the moment when it was queued; so they are applied in
 * the order in which they come, and what a finished dump and the news during it have not mentioned is gone.
 */

import type { NetlinkMessage } from './codec.ts'
import { type Link, linkDumpPayload, parseLink, RTM_DELLINK, RTM_GETLINK, sameLink } from './link.ts'
import type { NetlinkSocket } from './socket.ts'
import { systemTimers, type Timers } from './transport.ts'

export type LinkEvent =
  | { readonly type: 'added'; readonly link: Link }
  /** Same ifindex; `previous` tells what is different. */
  | { readonly type: 'changed'; readonly link: Link; readonly previous: Link }
  | { readonly type: 'removed'; readonly link: Link }

export interface LinkMonitorCounters {
  events: number
  /** Messages that could not be read, skipped. */
  malformed: number
  /** Dumps after the first one. */
  resyncs: number
  /** Callbacks that threw. */
  listenerErrors: number
}

/** From a failed dump to the next one. */
const RETRY_MS = 1000

export class LinkMonitor {
  readonly counters: LinkMonitorCounters = { events: 0, malformed: 0, resyncs: 0, listenerErrors: 0 }
  readonly #socket: NetlinkSocket
  readonly #onError: (error: Error) => void
  readonly #timers: Timers
  readonly #links = new Map<number, Link>()
  readonly #listeners = new Set<(event: LinkEvent) => void>()
  /** Links heard of since the dump under way began. */
  #heard: Set<number> | undefined
  #dumping: Promise<void> | undefined
  #dirty = false

  /** `onError` hears of failed dumps and of callbacks that throw. */
  constructor(socket: NetlinkSocket, onError: (error: Error) => void, timers: Timers = systemTimers) {
    this.#socket = socket
    this.#timers = timers
    this.#onError = onError
  }

  /** The first dump; resolves when the mirror is complete. */
  start(): Promise<void> {
    return this.#resync()
  }

  /** News of the link family, from the socket's listener. */
  message(message: NetlinkMessage): void {
    this.#apply(message)
  }

  /** News were lost: dumps and compares. A failure goes to `onError`, and another dump is made later. */
  async overrun(): Promise<void> {
    this.counters.resyncs++
    try {
      await this.#resync()
    } catch (error) {
      if (this.#socket.closed) return
      this.#onError(error as Error)
      this.#timers.after(RETRY_MS, () => {
        if (!this.#socket.closed) void this.overrun()
      })
    }
  }

  /** All links are gone, and their namespace with them. */
  clear(): void {
    for (const ifindex of [...this.#links.keys()]) this.#remove(ifindex)
  }

  links(): Iterable<Link> {
    return this.#links.values()
  }

  link(which: string | number): Link | undefined {
    if (typeof which === 'number') return this.#links.get(which)
    for (const link of this.#links.values()) if (link.name === which) return link
    return undefined
  }

  /** Every event from now on. Returns how to end it. */
  on(listener: (event: LinkEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Follows one link: calls back at once with its present state if it is there, then on every change, and with undefined when it goes (or is renamed,
   * when followed by name). A link of that name that comes later is followed too.
   */
  subscribe(which: string | number, callback: (link: Link | undefined) => void): () => void {
    const is = (link: Link): boolean => (typeof which === 'number' ? link.ifindex : link.name) === which
    const now = this.link(which)
    const end = this.on((event) => {
      if (event.type !== 'removed' && is(event.link)) callback(event.link)
      else if (is(event.type === 'changed' ? event.previous : event.link)) callback(undefined)
    })
    if (now) this.#call(() => callback(now))
    return end
  }

  #resync(): Promise<void> {
    if (this.#dumping) {
      this.#dirty = true
      return this.#dumping
    }
    this.#dumping = this.#dump().finally(() => {
      this.#dumping = undefined
      this.#heard = undefined
    })
    return this.#dumping
  }

  async #dump(): Promise<void> {
    do {
      this.#dirty = false
      this.#heard = new Set()
      await this.#socket.dump(
        RTM_GETLINK,
        linkDumpPayload(),
        (message) => this.#apply(message),
        () => {
          this.#heard = new Set()
        },
      )
      // Lost again meanwhile: a link may have gone that this dump has still listed.
    } while (this.#dirty)
    for (const link of [...this.#links.values()]) if (!this.#heard?.has(link.ifindex)) this.#remove(link.ifindex)
  }

  #apply(message: NetlinkMessage): void {
    let link: Link
    try {
      link = parseLink(message)
    } catch {
      this.counters.malformed++
      return
    }
    if (message.type === RTM_DELLINK) {
      this.#heard?.delete(link.ifindex)
      this.#remove(link.ifindex)
      return
    }
    this.#heard?.add(link.ifindex)
    const previous = this.#links.get(link.ifindex)
    if (previous && sameLink(previous, link)) return
    this.#links.set(link.ifindex, link)
    this.#emit(previous ? { type: 'changed', link, previous } : { type: 'added', link })
  }

  #remove(ifindex: number): void {
    const link = this.#links.get(ifindex)
    if (!link) return
    this.#links.delete(ifindex)
    this.#emit({ type: 'removed', link })
  }

  #emit(event: LinkEvent): void {
    this.counters.events++
    for (const listener of [...this.#listeners]) this.#call(() => listener(event))
  }

  #call(callback: () => void): void {
    try {
      callback()
    } catch (error) {
      this.counters.listenerErrors++
      this.#onError(error as Error)
    }
  }
}
