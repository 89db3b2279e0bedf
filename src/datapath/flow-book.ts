/** The main thread's books of the datapath's flows: their ids, their limit, and their statistics, which the worker writes. */
import { IdPool } from '../lib/id-pool.ts'
import { IdTable } from '../lib/id-table.ts'
import type { DpFlow, FlowStats } from './contract.ts'
import { type DatapathShared, FLOW_STAT_WORDS, FS_BYTES, FS_PACKETS, FS_USED } from './shared.ts'

export class FlowBook {
  readonly #stats: Float64Array
  readonly #flags: Int32Array
  readonly #capacity: number
  #limit: number
  readonly #flows = new IdTable<DpFlow>()
  readonly #ids = new IdPool()
  readonly #dying = new Map<number, ((final: FlowStats) => void)[]>()

  /** `limit` is at most what the shared statistics were made for. */
  constructor(shared: DatapathShared, limit?: number) {
    this.#stats = shared.flowStats
    this.#flags = shared.flowFlags
    this.#capacity = shared.flowFlags.length
    this.#limit = Math.min(limit ?? this.#capacity, this.#capacity)
  }

  get limit(): number {
    return this.#limit
  }

  setLimit(flows: number): void {
    this.#limit = Math.max(0, Math.min(flows, this.#capacity))
  }

  /** A fresh id, its statistics zero; -1 at the limit. */
  newId(): number {
    if (this.#ids.taken >= this.#limit) return -1
    const id = this.#ids.take()
    this.#stats.fill(0, id * FLOW_STAT_WORDS, (id + 1) * FLOW_STAT_WORDS)
    this.#flags[id] = 0
    return id
  }

  put(flow: DpFlow): void {
    this.#flows.set(flow.id, flow)
  }

  get(id: number): DpFlow | undefined {
    return this.#flows.get(id)
  }

  all(): Iterable<DpFlow> {
    return this.#flows.values()
  }

  get count(): number {
    return this.#flows.size
  }

  /** Starts a removal. False when that is under way already: the worker need not be told. */
  remove(id: number, gone: ((final: FlowStats) => void) | undefined): boolean {
    const dying = this.#dying.get(id)
    if (dying !== undefined) {
      if (gone) dying.push(gone)
      return false
    }
    this.#flows.delete(id)
    this.#dying.set(id, gone ? [gone] : [])
    return true
  }

  /** The worker has removed it: its id is free. */
  gone(id: number): void {
    const listeners = this.#dying.get(id) ?? []
    this.#dying.delete(id)
    this.#ids.give(id)
    if (listeners.length === 0) return
    const final: FlowStats = { packets: 0, bytes: 0, used: 0, tcpFlags: 0 }
    this.#read(id, final)
    for (const gone of listeners) gone({ ...final })
  }

  /** False when there is no such flow. */
  stats(id: number, out: FlowStats): boolean {
    if (this.#flows.get(id) === undefined) return false
    this.#read(id, out)
    return true
  }

  #read(id: number, out: FlowStats): void {
    out.packets = this.#stats[id * FLOW_STAT_WORDS + FS_PACKETS]!
    out.bytes = this.#stats[id * FLOW_STAT_WORDS + FS_BYTES]!
    out.used = this.#stats[id * FLOW_STAT_WORDS + FS_USED]!
    out.tcpFlags = this.#flags[id]!
  }
}
