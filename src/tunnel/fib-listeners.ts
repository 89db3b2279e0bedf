/** Who is told what has changed: several listeners, none of which can harm the mirror. What one event does is told at its end, each prefix once. */
import { Generation } from '../lib/generation.ts'
import type { Address } from '../netlink/address.ts'
import { type Route, RT_TABLE_LOCAL } from '../netlink/route.ts'
import type { FibChange } from './fib-contract.ts'

/** Prefixes that one event, or one dump, lists; beyond, it is 'resync'. */
const PREFIXES = 1024

const RESYNC: FibChange = { kind: 'resync' }
const RULES: FibChange = { kind: 'rules' }

export interface ListenerCounters {
  /** Changes told. */
  events: number
  /** Listeners that threw. */
  listenerErrors: number
}

export class FibListeners {
  /** Bumped with every change, before the listeners are called. */
  readonly generation = new Generation()
  readonly #counters: ListenerCounters
  readonly #onError: (error: Error) => void
  readonly #listeners = new Set<(change: FibChange) => void>()
  /** Of the event under way. */
  #depth = 0
  readonly #prefixes = new Map<string, FibChange>()
  readonly #others: FibChange[] = []
  /** Of the dump under way. */
  #dumped = 0

  constructor(counters: ListenerCounters, onError: (error: Error) => void) {
    this.#counters = counters
    this.#onError = onError
  }

  on(listener: (change: FibChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** What `event` changes is told when it has ended, also by an exception, which is passed on. */
  during(event: () => void): void {
    this.#depth++
    try {
      event()
    } finally {
      this.#depth--
      if (this.#depth === 0) this.#flush()
    }
  }

  route(route: Route): void {
    if (this.#prefixes.size > PREFIXES) return
    const { version: family, dst: bytes, length, table } = route
    const key = `${Buffer.from(bytes).toString('latin1')} ${length}`
    const before = this.#prefixes.get(key)
    const local = table === RT_TABLE_LOCAL || (before?.kind === 'route' && before.local === true)
    const change: FibChange = { kind: 'route', family, bytes, length, ...(local ? { local } : {}) }
    if (this.#depth === 0) this.#tell(change)
    else this.#prefixes.set(key, change)
  }

  rules(): void {
    this.#note(RULES)
  }

  link(ifindex: number): void {
    this.#note({ kind: 'link', ifindex })
  }

  address({ version: family, ifindex, bytes }: Address): void {
    this.#note({ kind: 'address', family, ifindex, address: bytes })
  }

  resync(): void {
    this.#note(RESYNC)
  }

  /** A dump of routes begins. */
  dumpBegins(): void {
    this.#dumped = 0
  }

  /** A dump, or its end, has shown that a route was not what we had. */
  dumpedRoute(route: Route): void {
    this.#dumped++
    if (this.#dumped <= PREFIXES) this.route(route)
    else if (this.#dumped === PREFIXES + 1) this.resync()
  }

  dumpEnds(): void {
    if (this.#dumped > PREFIXES) this.resync()
    this.#dumped = 0
  }

  #note(change: FibChange): void {
    if (this.#depth === 0) this.#tell(change)
    else this.#others.push(change)
  }

  #flush(): void {
    const prefixes = [...this.#prefixes.values()]
    const changes = [...this.#others.splice(0), ...(prefixes.length > PREFIXES ? [RESYNC] : prefixes)]
    this.#prefixes.clear()
    for (const change of changes) this.#tell(change)
  }

  #tell(change: FibChange): void {
    this.#counters.events++
    this.generation.bump()
    for (const listener of [...this.#listeners])
      try {
        listener(change)
      } catch (error) {
        this.#counters.listenerErrors++
        this.#onError(error as Error)
      }
  }
}
