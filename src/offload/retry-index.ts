/** Who waits for what: event -> flows, so that an event costs only the flows that it concerns. */
import { IdLine } from '../lib/id-line.ts'
import type { FlowRecord } from './record.ts'
import type { Refused, RetryEvent } from './verdict.ts'

/** Events that concern one eswitch only. */
const OF_ESWITCH: ReadonlySet<RetryEvent> = new Set(['eswitch-up', 'table-space'])

/**
 * Nobody waits for these here. A changed flow is put again, and a put is always decided anew; what concerns a tunnel's way comes by its entry, its peer, or the flow
 * of its outer packets (tunnels.ts).
 */
const KNOWN_OTHERWISE: ReadonlySet<RetryEvent> = new Set([
  'flow-change',
  'route-change',
  'neighbour-change',
  'underlay-change',
  'outer-flow',
])

export const retryKey = (event: RetryEvent, eswitch?: string): string =>
  OF_ESWITCH.has(event) ? `${event} ${eswitch ?? ''}` : event

const NOTHING: readonly string[] = []
const NOBODY = new IdLine()

export class RetryIndex {
  /** Ids of flows. */
  readonly #waiting = new Map<string, IdLine>()
  /** What flows of the last refusals waited for: mostly the next one does too. */
  #events: readonly RetryEvent[] = []
  #eswitch: string | undefined
  #keys = NOTHING

  add(record: FlowRecord, { retryOn, eswitch }: Refused): void {
    if (retryOn !== this.#events || eswitch !== this.#eswitch) {
      this.#events = retryOn
      this.#eswitch = eswitch
      this.#keys = retryOn.filter((event) => !KNOWN_OTHERWISE.has(event)).map((event) => retryKey(event, eswitch))
    }
    record.waitsFor = this.#keys
    for (const key of this.#keys) {
      let line = this.#waiting.get(key)
      if (!line) {
        line = new IdLine()
        this.#waiting.set(key, line)
      }
      line.add(record.id)
    }
  }

  remove(record: FlowRecord): void {
    for (const key of record.waitsFor) {
      const line = this.#waiting.get(key)!
      line.delete(record.id)
      if (line.size === 0) this.#waiting.delete(key)
    }
    record.waitsFor = NOTHING
  }

  /** Those who wait, by their ids, oldest first. */
  waiting(key: string): IdLine {
    return this.#waiting.get(key) ?? NOBODY
  }
}
