/** The next hops that ways lead over, each with a number of its own, with who uses it, and kept alive while somebody does. Main thread. */
import type { NeighbourSource } from './neighbour-source.ts'
import { bytesKey } from './way.ts'

export interface NextHop {
  /** From 1, small: numbers of next hops that are gone are used again. */
  readonly number: number
  readonly ifindex: number
  /** 4 or 16 bytes. */
  readonly address: Uint8Array
}

interface Record<W> extends NextHop {
  readonly key: string
  readonly ways: Set<W>
  /** Ways that want it kept alive. */
  wanting: number
}

const keyOf = (ifindex: number, address: Uint8Array): string => `${ifindex} ${bytesKey(address)}`

/** `W`: what uses next hops. */
export class NextHops<W> {
  readonly #neighbours: NeighbourSource
  readonly #records = new Map<string, Record<W>>()
  readonly #free: number[] = []
  #highest = 0

  constructor(neighbours: NeighbourSource) {
    this.#neighbours = neighbours
  }

  /** The one with this address, made if need be; one that nobody joins goes with `tidy`. */
  get(ifindex: number, address: Uint8Array): NextHop {
    const key = keyOf(ifindex, address)
    let record = this.#records.get(key)
    if (!record) {
      record = { number: this.#free.pop() ?? ++this.#highest, ifindex, address, key, ways: new Set(), wanting: 0 }
      this.#records.set(key, record)
    }
    return record
  }

  join(hop: NextHop, way: W, wants: boolean): void {
    const record = hop as Record<W>
    record.ways.add(way)
    if (wants) this.#want(record, 1)
  }

  leave(hop: NextHop, way: W, wanted: boolean): void {
    const record = hop as Record<W>
    record.ways.delete(way)
    if (wanted) this.#want(record, -1)
    this.tidy(record)
  }

  /** A way that had joined wants it kept alive now, or no longer does. */
  want(hop: NextHop, wants: boolean): void {
    this.#want(hop as Record<W>, wants ? 1 : -1)
  }

  /** Forgets it if nobody has joined. */
  tidy(hop: NextHop): void {
    const record = hop as Record<W>
    if (record.ways.size > 0 || this.#records.get(record.key) !== record) return
    this.#records.delete(record.key)
    this.#free.push(record.number)
  }

  ways(ifindex: number, address: Uint8Array): ReadonlySet<W> | undefined {
    return this.#records.get(keyOf(ifindex, address))?.ways
  }

  get size(): number {
    return this.#records.size
  }

  #want(record: Record<W>, by: 1 | -1): void {
    const before = record.wanting
    record.wanting += by
    if (before === 0 || record.wanting === 0)
      this.#neighbours.keepAlive(record.ifindex, record.address, record.wanting > 0)
  }
}
