/** The encap entries as the datapath has them, and the flows that name each. Main thread. */
import type { EncapEntry } from '../flow/encap.ts'
import type { FlowRecord } from './record.ts'

const NONE: ReadonlySet<FlowRecord> = new Set()

export class EncapEntries {
  readonly #entries = new Map<number, EncapEntry>()
  readonly #flows = new Map<number, Set<FlowRecord>>()

  get(id: number): EncapEntry | undefined {
    return this.#entries.get(id)
  }

  /** Returns what the entry was before. */
  put(entry: EncapEntry): EncapEntry | undefined {
    const before = this.#entries.get(entry.id)
    this.#entries.set(entry.id, entry)
    return before
  }

  delete(id: number): void {
    this.#entries.delete(id)
  }

  get size(): number {
    return this.#entries.size
  }

  values(): Iterable<EncapEntry> {
    return this.#entries.values()
  }

  flows(id: number): ReadonlySet<FlowRecord> {
    return this.#flows.get(id) ?? NONE
  }

  named(record: FlowRecord, ids: readonly number[]): void {
    for (const id of ids) {
      const flows = this.#flows.get(id)
      if (flows) flows.add(record)
      else this.#flows.set(id, new Set([record]))
    }
  }

  unnamed(record: FlowRecord, ids: readonly number[]): void {
    for (const id of ids) {
      const flows = this.#flows.get(id)
      flows?.delete(record)
      if (flows?.size === 0) this.#flows.delete(id)
    }
  }
}
