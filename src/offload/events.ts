/**
 * The time line of what happened to the underlay: each cause with what it did to tunnelled flows and how long that took. A bounded ring; a cause that is worked off in pieces has one
 * place in it. Main thread.
 */
import type { TunnelCause } from '../tunnel/contract.ts'

export interface OffloadEvent {
  readonly kind: TunnelCause['kind']
  readonly text: string
  /** Milliseconds of the event time line's clock when the cause was heard of. */
  readonly at: number
  /** Ways that the tunnel layer looked up again. */
  readonly peers: number
  /** Flows looked at. Of these: */
  readonly flows: number
  /** stay offloaded by another header, port or rule; */
  readonly moved: number
  /** are refused now; */
  readonly refused: number
  /** are offloaded again. */
  readonly offloaded: number
  /** From the cause until tier 2 has applied all of it and the eswitches have been told; undefined while that lasts. */
  readonly micros: number | undefined
}

/** How a flow came out of a decision. 'same': as it went in, offloaded. */
export type Outcome = 'same' | 'moved' | 'refused' | 'offloaded'

/** Work for one cause. */
export class EventRun implements OffloadEvent {
  readonly kind: TunnelCause['kind']
  readonly text: string
  readonly at: number
  peers = 0
  flows = 0
  moved = 0
  refused = 0
  offloaded = 0
  micros: number | undefined
  /** Flows that are still to be decided. */
  pending = 0
  /** Between begin and end of a piece. */
  open = 0
  /** In the ring, or was. */
  noted = false

  constructor({ kind, text, at }: TunnelCause) {
    this.kind = kind
    this.text = text
    this.at = at
  }

  count(outcome: Outcome): void {
    if (outcome !== 'same') this[outcome]++
  }
}

export interface EventTotals {
  /** Causes that concerned a peer or a flow, and causes that concerned none; those of bridges only if they concerned a flow. */
  events: number
  idle: number
  flows: number
  moved: number
  refused: number
  offloaded: number
  /** Longest time from cause to applied, microseconds. */
  slowest: number
}

const keyOf = ({ kind, text, at }: TunnelCause): string => `${at} ${kind} ${text}`

export class EventLog {
  readonly #capacity: number
  readonly #elapsed: () => number
  readonly #barrier: () => Promise<void>
  /** Oldest first. */
  readonly #ring: EventRun[] = []
  readonly #byKey = new Map<string, EventRun>()
  /** Done but for tier 2. */
  #applied = new Set<EventRun>()
  #waiting = false
  readonly #totals: EventTotals = { events: 0, idle: 0, flows: 0, moved: 0, refused: 0, offloaded: 0, slowest: 0 }
  /** The cause of what happens now. */
  current: EventRun | undefined

  /** `elapsed`: monotonic milliseconds with fractions, the clock of causes. `barrier`: resolves when tier 2 has applied what was asked before. */
  constructor(capacity: number, elapsed: () => number, barrier: () => Promise<void>) {
    this.#capacity = capacity
    this.#elapsed = elapsed
    this.#barrier = barrier
  }

  begin(cause: TunnelCause): void {
    const run = this.#byKey.get(keyOf(cause)) ?? new EventRun(cause)
    run.open++
    this.current = run
  }

  end(examined: number): void {
    const run = this.current
    this.current = undefined
    if (!run) return
    run.open--
    run.peers += examined
    // Each address that a bridge learns has all ways looked at: that nothing came of it is no news.
    if (run.flows > 0 || (run.peers > 0 && run.kind !== 'bridge')) this.#note(run)
    else this.#totals.idle++
    this.#settle(run)
  }

  /** A flow is to be decided for it. */
  examine(run: EventRun): void {
    run.flows++
    run.pending++
    this.#totals.flows++
  }

  /** It has been, or is gone. */
  decided(run: EventRun, outcome: Outcome): void {
    run.pending--
    run.count(outcome)
    if (outcome !== 'same') this.#totals[outcome]++
    this.#settle(run)
  }

  /** Oldest first. */
  last(n: number): readonly OffloadEvent[] {
    return n <= 0 ? [] : this.#ring.slice(-n)
  }

  get totals(): Readonly<EventTotals> {
    return this.#totals
  }

  #note(run: EventRun): void {
    if (run.noted) return
    run.noted = true
    this.#totals.events++
    this.#ring.push(run)
    this.#byKey.set(keyOf(run), run)
    if (this.#ring.length > this.#capacity) this.#byKey.delete(keyOf(this.#ring.shift()!))
  }

  /** All flows are decided: what is left is that tier 2 gets there. */
  #settle(run: EventRun): void {
    if (run.pending > 0 || run.open > 0 || !run.noted) return
    this.#applied.add(run)
    if (this.#waiting) return
    this.#waiting = true
    // After what else is done in this turn: one barrier for all.
    queueMicrotask(() => this.#await())
  }

  #await(): void {
    const runs = this.#applied
    this.#applied = new Set()
    void this.#barrier().then(() => {
      const now = this.#elapsed()
      for (const run of runs) {
        if (run.pending > 0 || run.open > 0) continue
        run.micros = Math.max(0, Math.round((now - run.at) * 1000))
        this.#totals.slowest = Math.max(this.#totals.slowest, run.micros)
      }
      if (this.#applied.size > 0) this.#await()
      else this.#waiting = false
    })
  }
}
