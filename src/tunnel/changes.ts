/**
 * Changes of what ways depend on, noted at the moment when they are heard of and worked off in slices of the main thread's time.
 *
 * Noting costs the same however many ways are concerned: a change is kept as a *scope* (a prefix, an interface, a next hop, all), one of a kind at a time. A slice
 * opens scopes and looks along their ways; a way that has been looked along since the change was heard of is passed by, so that one that two changes concern is looked at once.
 * Urgent scopes (next hops: frames are on their way to a wrong address) go first, except in each fourth slice, so that a storm of them does not stop the others.
 */
import type { Scheduler } from '../lib/scheduler.ts'
import type { TunnelCause } from './contract.ts'

/** What is looked along: anything with a stamp. */
export interface Looked {
  readonly looked: number
  readonly gone: boolean
}

export interface Scope<W extends Looked> {
  /** Scopes with the same key are one. */
  readonly key: string
  /** Told when work begins. */
  readonly cause: () => Omit<TunnelCause, 'at'>
  /** Called when work begins. May change while it is gone through. */
  readonly ways: () => Iterable<W>
}

export interface ChangeWork<W extends Looked> {
  /** A piece of work begins, at the first way that it looks along. */
  begin(cause: TunnelCause): void
  /** Looks along one way, which stamps it. What is left to do then goes on in units, and in later slices if need be. */
  look(way: W): Iterator<void, void> | undefined
  end(cause: TunnelCause): void
}

export interface ChangeCounters {
  /** Changes heard of. */
  events: number
  /** Scopes that they came to. */
  scopes: number
  slices: number
  /** Longest slice, in milliseconds. */
  longest: number
}

interface Noted<W extends Looked> {
  scope: Scope<W>
  /** When the first of the changes that it stands for was heard of. */
  at: number
  stamp: number
  cursor: Iterator<W> | undefined
  /** What is left to do for the way last looked along. */
  rest: Iterator<void, void> | undefined
  /** Noted again while it was worked on. */
  again: Pick<Noted<W>, 'scope' | 'at' | 'stamp'> | undefined
}

type Queue<W extends Looked> = Map<string, Noted<W>>

/** Milliseconds. */
const SLICE = 2

export class Changes<W extends Looked> {
  readonly counters: ChangeCounters = { events: 0, scopes: 0, slices: 0, longest: 0 }
  readonly #scheduler: Scheduler
  readonly #work: ChangeWork<W>
  readonly #urgent: Queue<W> = new Map()
  readonly #others: Queue<W> = new Map()
  #stamp = 0
  #scheduled = false
  #stopped = false
  #waiters: (() => void)[] = []

  constructor(scheduler: Scheduler, work: ChangeWork<W>) {
    this.#scheduler = scheduler
    this.#work = work
  }

  /** What a look made now has seen. */
  get stamp(): number {
    return this.#stamp
  }

  get pending(): number {
    return this.#urgent.size + this.#others.size
  }

  note(scope: Scope<W>, urgent = false): void {
    if (this.#stopped) return
    this.counters.events++
    const queue = urgent ? this.#urgent : this.#others
    const stamp = ++this.#stamp
    const at = this.#scheduler.elapsed()
    const old = queue.get(scope.key)
    if (!old) {
      this.counters.scopes++
      queue.set(scope.key, { scope, at, stamp, cursor: undefined, rest: undefined, again: undefined })
    } else if (old.cursor) old.again = { scope, at: old.again?.at ?? at, stamp }
    else {
      old.scope = scope
      old.stamp = stamp
    }
    this.#schedule()
  }

  /** Resolves when nothing is left to be done. */
  settled(): Promise<void> {
    if (this.pending === 0) return Promise.resolve()
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  /** Drops what is left. */
  stop(): void {
    this.#stopped = true
    this.#urgent.clear()
    this.#others.clear()
    this.#release()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#scheduler.soon(() => {
      this.#scheduled = false
      this.#slice()
    })
  }

  #slice(): void {
    const start = this.#scheduler.elapsed()
    const end = start + SLICE
    const queues = [this.#urgent, this.#others]
    if (this.counters.slices++ % 4 === 3) queues.reverse()
    for (const queue of queues) this.#drain(queue, end)
    this.counters.longest = Math.max(this.counters.longest, this.#scheduler.elapsed() - start)
    if (this.pending > 0) this.#schedule()
    else this.#release()
  }

  #drain(queue: Queue<W>, end: number): void {
    for (const [key, noted] of queue) {
      if (this.#scheduler.elapsed() >= end) return
      if (!this.#piece(noted, end)) return
      const { again } = noted
      queue.delete(key)
      // At the end, behind those that wait.
      if (again) queue.set(key, { ...again, cursor: undefined, rest: undefined, again: undefined })
    }
  }

  /** True if the scope is done with. */
  #piece(noted: Noted<W>, end: number): boolean {
    const { scope, stamp } = noted
    noted.cursor ??= scope.ways()[Symbol.iterator]()
    let cause: TunnelCause | undefined
    try {
      for (;;) {
        let way: W | undefined
        if (!noted.rest) {
          const next = noted.cursor.next()
          if (next.done) return true
          way = next.value
          if (way.gone || way.looked >= stamp) continue
        }
        if (!cause) {
          cause = { ...scope.cause(), at: noted.at }
          this.#work.begin(cause)
        }
        if (way) noted.rest = this.#work.look(way)
        else if (noted.rest!.next().done) noted.rest = undefined
        if (this.#scheduler.elapsed() >= end) return false
      }
    } finally {
      if (cause) this.#work.end(cause)
    }
  }

  #release(): void {
    for (const resolve of this.#waiters.splice(0)) resolve()
  }
}
