/**
 * Event counters with rates, as `coverage/show` prints them: totals since the start and averages over the last 5 seconds, minute and hour. For events of
 * the control path; what happens per frame is counted in the workers' own arrays and is read in here through `source`.
 *
 * A registry belongs to one switch. Its owner calls `run` now and then; the averages move every 5 seconds of the clock.
 */
import type { Clock } from './clock.ts'

const SLOT_MS = 5000
const SLOTS_PER_MINUTE = 12
const MINUTES_PER_HOUR = 60

/** Events per second. */
export interface Rates {
  readonly fiveSeconds: number
  readonly minute: number
  readonly hour: number
}

export class Counter {
  readonly name: string
  #total = 0

  constructor(name: string) {
    this.name = name
  }

  add(events = 1): void {
    this.#total += events
  }

  get total(): number {
    return this.#total
  }
}

/** What a counter did in each of the last 12 slots of 5 s and the last 60 minutes; both are rings, written at `Counters.#slot` and `#minute`. */
interface History {
  readonly name: string
  readonly read: () => number
  last: number
  readonly slots: Float64Array
  readonly minutes: Float64Array
}

const sum = (values: Float64Array): number => values.reduce((a, b) => a + b, 0)

export class Counters {
  readonly #clock: Clock
  readonly #histories = new Map<string, History>()
  readonly #own = new Map<string, Counter>()
  #slotEnd: number
  #slot = 0
  #minute = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#slotEnd = clock.now() + SLOT_MS
  }

  /** The counter of that name; several callers may share it. Throws if a source has taken the name. */
  counter(name: string): Counter {
    let counter = this.#own.get(name)
    if (!counter) {
      counter = new Counter(name)
      const made = counter
      this.#add(name, () => made.total)
      this.#own.set(name, counter)
    }
    return counter
  }

  /** Adds a total that is counted elsewhere. `read` must never go back. Throws if the name is taken. */
  source(name: string, read: () => number): void {
    this.#add(name, read)
  }

  /** Takes a counter or a source out (its module is gone). */
  remove(name: string): void {
    this.#histories.delete(name)
    this.#own.delete(name)
  }

  #add(name: string, read: () => number): void {
    if (this.#histories.has(name)) throw new Error(`counter ${name} is registered twice`)
    this.#histories.set(name, {
      name,
      read,
      last: read(),
      slots: new Float64Array(SLOTS_PER_MINUTE),
      minutes: new Float64Array(MINUTES_PER_HOUR),
    })
  }

  /** Moves the averages on. Cheap when no 5 s have passed; after a long pause the events count in the first slot that it missed. */
  run(): void {
    const now = this.#clock.now()
    let turns = Math.floor((now - this.#slotEnd) / SLOT_MS) + 1
    if (turns <= 0) return
    this.#slotEnd += turns * SLOT_MS
    // Beyond an hour every slot is overwritten with nothing anyway.
    turns = Math.min(turns, SLOTS_PER_MINUTE * MINUTES_PER_HOUR + SLOTS_PER_MINUTE)
    while (turns-- > 0) this.#closeSlot()
  }

  #closeSlot(): void {
    this.#slot = (this.#slot + 1) % SLOTS_PER_MINUTE
    const minuteDone = this.#slot === 0
    if (minuteDone) this.#minute = (this.#minute + 1) % MINUTES_PER_HOUR
    for (const history of this.#histories.values()) {
      const total = history.read()
      history.slots[this.#slot] = total - history.last
      history.last = total
      if (minuteDone) history.minutes[this.#minute] = sum(history.slots)
    }
  }

  total(name: string): number {
    return this.#histories.get(name)?.read() ?? 0
  }

  rates(name: string): Rates {
    const history = this.#histories.get(name)
    if (!history) return { fiveSeconds: 0, minute: 0, hour: 0 }
    return {
      fiveSeconds: history.slots[this.#slot]! / 5,
      minute: sum(history.slots) / 60,
      hour: sum(history.minutes) / 3600,
    }
  }

  names(): string[] {
    return [...this.#histories.keys()].sort()
  }

  /** The text of `coverage/show`, as OVS prints it; the hash tells whether two texts have the same counters. */
  show(): string {
    this.run()
    const lines: string[] = []
    let never = 0
    for (const name of this.names()) {
      const total = this.total(name)
      if (total === 0) {
        never++
        continue
      }
      const r = this.rates(name)
      const rates = [
        `${r.fiveSeconds.toFixed(1).padStart(5)}/sec`,
        `${r.minute.toFixed(3).padStart(9)}/sec`,
        `${r.hour.toFixed(4).padStart(13)}/sec`,
      ]
      lines.push(`${name.padEnd(24)} ${rates.join('')}   total: ${total}`)
    }
    const title = `Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash=${nameHash(lines)}:`
    return [title, ...lines, `${never} events never hit`].join('\n')
  }
}

/** FNV-1a of the counters' names, in hexadecimal. */
const nameHash = (lines: readonly string[]): string => {
  let hash = 0x811c9dc5
  for (const line of lines)
    for (const c of `${line.split(' ')[0]}\n`) hash = Math.imul(hash ^ c.charCodeAt(0), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
