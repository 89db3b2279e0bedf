/** Who waits for what: event -> flows, so that an event costs only the flows that it concerns. */
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

export class RetryIndex {
  readonly #waiting = new Map<string, Set<FlowRecord>>()

  add(record: FlowRecord, refused: Refused): void {
    for (const event of refused.retryOn) {
      if (KNOWN_OTHERWISE.has(event)) continue
      const key = retryKey(event, refused.eswitch)
      let set = this.#waiting.get(key)
      if (!set) {
        set = new Set()
        this.#waiting.set(key, set)
      }
      set.add(record)
      record.waitsFor.push(key)
    }
  }

  remove(record: FlowRecord): void {
    for (const key of record.waitsFor) {
      const set = this.#waiting.get(key)
      set?.delete(record)
      if (set?.size === 0) this.#waiting.delete(key)
    }
    record.waitsFor.length = 0
  }

  /** Oldest first. */
  waiting(key: string): Iterable<FlowRecord> {
    return this.#waiting.get(key) ?? []
  }

  count(key: string): number {
    return this.#waiting.get(key)?.size ?? 0
  }
}
