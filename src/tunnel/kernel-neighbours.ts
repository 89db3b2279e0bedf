/**
 * Neighbours of interfaces that belong to the host's stack: the kernel's table is the authority, read from its mirror (neighbours.ts), and the kernel is asked to
 * resolve and to confirm (NTF_USE), for it sees none of the tunnels' packets. Main thread.
 *
 * What the kernel does not tell is kept here: it sends no news when it begins to ask (NUD_INCOMPLETE), so a next hop that we have asked for is 'pending' until
 * there is an answer, news of its failure, or too long a silence. States of one next hop:
 *
 *   state       because of                        shown, unless the kernel has an address   left by
 *   idle        kept alive, nothing to be done    what the kernel says                      news: stale -> confirming, gone -> asking, failed -> paused
 *   asking      resolve, keepAlive, a retry       pending; failed after a failure           an address -> idle; failed, an error or silence -> paused
 *   paused      a failure                         failed                                    time -> asking if kept alive, else forgotten; gone, which the kernel
 *                                                                                           tells behind a failure when somebody deletes it -> asking
 *   confirming  kept alive and stale              found                                     news -> idle, paused or asking; silence -> asked once more
 */
import { errorCode } from '../lib/errors.ts'
import type { Scheduler } from '../lib/scheduler.ts'
import { NLM_F_CREATE } from '../netlink/codec.ts'
import { NUD_STALE, neighbourUsePayload, RTM_NEWNEIGH } from '../netlink/neighbour.ts'
import type { NetlinkSocket } from '../netlink/socket.ts'
import type { NeighbourAnswer, NeighbourSource } from './neighbour-source.ts'
import type { Neighbours } from './neighbours.ts'
import { bytesKey } from './way.ts'

export interface KernelNeighboursOptions {
  readonly neighbours: Pick<Neighbours, 'lookup' | 'on'>
  readonly socket: Pick<NetlinkSocket, 'change'>
  readonly scheduler: Scheduler
  /** Hears what the kernel says when it refuses to ask. */
  readonly onError: (error: Error) => void
}

export interface KernelNeighbourCounters {
  /** Requests to the kernel: to resolve, and to confirm. */
  asked: number
  confirmed: number
  /** Next hops that did not answer, that many times. */
  failed: number
  /** Requests that had to wait for others. */
  delayed: number
}

interface Ask {
  readonly key: string
  readonly ifindex: number
  readonly address: Uint8Array
  kept: boolean
  state: 'idle' | 'asking' | 'paused' | 'confirming'
  /** Failures since it last answered. */
  failures: number
  /** The last failure was none of an answer that we waited for. */
  lost: boolean
  cancel: () => void
}

/** From a request to the verdict that nobody answers. The kernel's own takes 3 s with its defaults (mcast_solicit times retrans_time). */
const SILENCE = 5000
/** From a failure to the next request: doubled each time, up to the longest. */
const PAUSE = 1000
const LONGEST_PAUSE = 8000
/** From a request to confirm to the next one. The kernel waits 5 s before it probes (delay_first_probe_time). */
const CONFIRM = 10_000
/** Requests a second, and at once. */
const RATE = 200
const BURST = 200
const BACKLOG_PAUSE = 20

const keyOf = (ifindex: number, address: Uint8Array): string => `${ifindex} ${bytesKey(address)}`

export class KernelNeighbours implements NeighbourSource {
  readonly counters: KernelNeighbourCounters = { asked: 0, confirmed: 0, failed: 0, delayed: 0 }
  readonly #options: KernelNeighboursOptions
  readonly #asks = new Map<string, Ask>()
  readonly #listeners = new Set<(ifindex: number, address: Uint8Array) => void>()
  readonly #backlog = new Set<Ask>()
  readonly #end: () => void
  #tokens = BURST
  #tokensAt: number
  #pumping: (() => void) | undefined
  #closed = false

  constructor(options: KernelNeighboursOptions) {
    this.#options = options
    this.#tokensAt = options.scheduler.elapsed()
    this.#end = options.neighbours.on(({ neighbour }) => this.#news(neighbour.ifindex, neighbour.address))
  }

  lookup(ifindex: number, address: Uint8Array): NeighbourAnswer {
    const kernel = this.#options.neighbours.lookup(ifindex, address)
    if (kernel.type === 'found') return { type: 'found', lladdr: kernel.lladdr }
    const ask = this.#asks.get(keyOf(ifindex, address))
    if (ask && ask.failures > 0) return { type: 'failed' }
    return ask?.state === 'asking' ? { type: 'pending' } : kernel
  }

  resolve(ifindex: number, address: Uint8Array): void {
    if (this.#closed || this.#options.neighbours.lookup(ifindex, address).type === 'found') return
    const ask = this.#ask(ifindex, address)
    if (ask.state === 'idle') this.#start(ask)
  }

  keepAlive(ifindex: number, address: Uint8Array, inUse: boolean): void {
    if (this.#closed) return
    const ask = inUse ? this.#ask(ifindex, address) : this.#asks.get(keyOf(ifindex, address))
    if (!ask || ask.kept === inUse) return
    ask.kept = inUse
    if (inUse) this.#tend(ask)
    else if (ask.state === 'idle' || ask.state === 'confirming') this.#forget(ask)
  }

  onChange(listener: (ifindex: number, address: Uint8Array) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Next hops that are asked for or kept alive. */
  get size(): number {
    return this.#asks.size
  }

  close(): void {
    this.#closed = true
    this.#end()
    this.#pumping?.()
    for (const ask of this.#asks.values()) ask.cancel()
    this.#asks.clear()
    this.#backlog.clear()
  }

  #ask(ifindex: number, address: Uint8Array): Ask {
    const key = keyOf(ifindex, address)
    let ask = this.#asks.get(key)
    if (!ask) {
      ask = { key, ifindex, address, kept: false, state: 'idle', failures: 0, lost: false, cancel: () => {} }
      this.#asks.set(key, ask)
    }
    return ask
  }

  #forget(ask: Ask): void {
    ask.cancel()
    this.#backlog.delete(ask)
    this.#asks.delete(ask.key)
  }

  #enter(ask: Ask, state: Ask['state']): void {
    ask.cancel()
    ask.cancel = () => {}
    ask.state = state
  }

  #after(ask: Ask, ms: number, call: () => void): void {
    ask.cancel = this.#options.scheduler.after(ms, call)
  }

  /** Does for one that is kept alive what its entry in the kernel asks for. */
  #tend(ask: Ask): void {
    const kernel = this.#options.neighbours.lookup(ask.ifindex, ask.address)
    if (kernel.type !== 'found') {
      if (ask.state === 'idle' || ask.state === 'confirming') this.#start(ask)
    } else if ((kernel.state & NUD_STALE) !== 0 && !kernel.managed) {
      this.#enter(ask, 'confirming')
      this.#send(ask)
    }
  }

  #news(ifindex: number, address: Uint8Array): void {
    const ask = this.#asks.get(keyOf(ifindex, address))
    if (ask) this.#heard(ask, this.#options.neighbours.lookup(ifindex, address).type)
    this.#tell(ifindex, address)
  }

  #heard(ask: Ask, type: NeighbourAnswer['type']): void {
    if (type === 'found') {
      this.#enter(ask, 'idle')
      this.#backlog.delete(ask)
      ask.failures = 0
      if (ask.kept) this.#tend(ask)
      else this.#forget(ask)
    } else if (type === 'failed') {
      // Of one that is paused the same failure may be told again.
      if (ask.state === 'paused') return
      const lost = ask.state !== 'asking'
      this.#fail(ask)
      ask.lost = lost
    } else if (type === 'none' && ask.kept && ask.state !== 'asking' && (ask.state !== 'paused' || ask.lost)) {
      ask.failures = 0
      this.#start(ask)
    }
  }

  #start(ask: Ask): void {
    this.#enter(ask, 'asking')
    ask.lost = false
    this.#send(ask)
    this.#tell(ask.ifindex, ask.address)
  }

  #fail(ask: Ask): void {
    this.counters.failed++
    this.#backlog.delete(ask)
    this.#enter(ask, 'paused')
    const pause = Math.min(PAUSE * 2 ** ask.failures, LONGEST_PAUSE)
    ask.failures++
    this.#after(ask, pause, () => {
      if (ask.kept) {
        this.#start(ask)
        return
      }
      this.#forget(ask)
      this.#tell(ask.ifindex, ask.address)
    })
  }

  #send(ask: Ask): void {
    if (!this.#take()) {
      this.counters.delayed++
      this.#backlog.add(ask)
      this.#pump()
      return
    }
    const { state, ifindex, address } = ask
    if (state === 'asking') {
      this.counters.asked++
      this.#after(ask, SILENCE, () => this.#givenUp(ask))
    } else {
      this.counters.confirmed++
      this.#after(ask, CONFIRM, () => this.#tend(ask))
    }
    this.#options.socket.change(RTM_NEWNEIGH, NLM_F_CREATE, neighbourUsePayload(ifindex, address)).catch((error) => {
      if (this.#closed || errorCode(error) === 'ECLOSED') return
      this.#options.onError(error as Error)
      if (this.#asks.get(ask.key) === ask && ask.state === 'asking') this.#givenUp(ask)
    })
  }

  #givenUp(ask: Ask): void {
    this.#fail(ask)
    this.#tell(ask.ifindex, ask.address)
  }

  #take(): boolean {
    const now = this.#options.scheduler.elapsed()
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#tokensAt) * RATE) / 1000)
    this.#tokensAt = now
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }

  #pump(): void {
    this.#pumping ??= this.#options.scheduler.after(BACKLOG_PAUSE, () => {
      this.#pumping = undefined
      for (const ask of this.#backlog) {
        if (this.#tokensLeft() < 1) break
        this.#backlog.delete(ask)
        this.#send(ask)
      }
      if (this.#backlog.size > 0) this.#pump()
    })
  }

  #tokensLeft(): number {
    return this.#tokens + ((this.#options.scheduler.elapsed() - this.#tokensAt) * RATE) / 1000
  }

  #tell(ifindex: number, address: Uint8Array): void {
    for (const listener of this.#listeners) listener(ifindex, address)
  }
}
