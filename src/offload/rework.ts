/**
 * Tunnelled flows that are to be decided again, each once however many causes there are, in slices. Main thread.
 *
 * Those whose entry has become usable *park* first, until tier 2 has applied the change: packets that waited there are ahead of what the eswitch sends then.
 */
import type { EventLog, EventRun, Outcome } from './events.ts'
import type { FlowRecord } from './record.ts'
import type { Job, Slices } from './slices.ts'

/** Causes that one waiting flow remembers. Of more, the oldest ones count it as done: what comes after them covers it. */
const CAUSES = 8

type Queue = Map<FlowRecord, EventRun[]>

export class Rework {
  readonly #slices: Slices
  readonly #events: EventLog
  readonly #barrier: () => Promise<void>
  readonly #decide: (record: FlowRecord) => Outcome
  readonly #onError: (error: unknown) => void
  readonly #queue: Queue = new Map()
  #parked: Queue = new Map()
  #parking = false
  #working = false

  /** `onError` hears of flows whose decision failed: they stay as they are, and their causes count them as such. */
  constructor(
    slices: Slices,
    events: EventLog,
    barrier: () => Promise<void>,
    decide: (record: FlowRecord) => Outcome,
    onError: (error: unknown) => void,
  ) {
    this.#onError = onError
    this.#slices = slices
    this.#events = events
    this.#barrier = barrier
    this.#decide = decide
  }

  /** Soon. */
  add(record: FlowRecord, run: EventRun | undefined): void {
    this.#enter(this.#queue, record, run)
    this.#start()
  }

  /** When tier 2 has applied all that was asked of it up to now. */
  park(record: FlowRecord, run: EventRun | undefined): void {
    this.#enter(this.#parked, record, run)
    if (!this.#parking) this.#release()
  }

  /** Flows that wait for a decision. */
  get pending(): number {
    return this.#queue.size + this.#parked.size
  }

  #enter(queue: Queue, record: FlowRecord, run: EventRun | undefined): void {
    const runs = queue.get(record)
    if (!runs) queue.set(record, run ? [run] : [])
    if (!run || runs?.includes(run)) return
    this.#events.examine(run)
    if (!runs) return
    runs.push(run)
    if (runs.length > CAUSES) this.#events.decided(runs.shift()!, 'same')
  }

  #release(): void {
    this.#parking = true
    // All that this turn parks goes by one barrier.
    queueMicrotask(() => {
      const parked = this.#parked
      this.#parked = new Map()
      void this.#barrier().then(() => {
        for (const [record, runs] of parked) {
          const waiting = this.#queue.get(record)
          if (!waiting) this.#queue.set(record, runs)
          else
            for (const run of runs) {
              if (waiting.includes(run)) this.#events.decided(run, 'same')
              else waiting.push(run)
            }
        }
        this.#start()
        if (this.#parked.size > 0) this.#release()
        else this.#parking = false
      })
    })
  }

  #start(): void {
    if (this.#working || this.#queue.size === 0) return
    this.#working = true
    this.#slices.add(this.#work())
  }

  *#work(): Job {
    try {
      for (const [record, runs] of this.#queue) {
        this.#queue.delete(record)
        let outcome: Outcome = 'same'
        try {
          if (!record.deleted) outcome = this.#decide(record)
        } catch (error) {
          // One flow that cannot be decided must not end the work on all others.
          this.#onError(error)
        } finally {
          for (const run of runs) this.#events.decided(run, outcome)
        }
        yield
      }
    } finally {
      this.#working = false
      this.#start()
    }
  }
}
