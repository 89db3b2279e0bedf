/** Things by IP address, kept sorted, so that those under a prefix are found by a binary search: in O(log n + hits). One for each IP version. */
import { covers } from './prefix-trie.ts'
import { bytesKey } from './way.ts'

interface Bucket<T> {
  readonly key: string
  readonly address: Uint8Array
  readonly values: Set<T>
}

export class SortedAddresses<T> {
  readonly #sorted: Bucket<T>[] = []
  readonly #byKey = new Map<string, Bucket<T>>()

  add(address: Uint8Array, value: T): void {
    const key = bytesKey(address)
    let bucket = this.#byKey.get(key)
    if (!bucket) {
      bucket = { key, address, values: new Set() }
      this.#byKey.set(key, bucket)
      this.#sorted.splice(this.#from(key), 0, bucket)
    }
    bucket.values.add(value)
  }

  delete(address: Uint8Array, value: T): void {
    const key = bytesKey(address)
    const bucket = this.#byKey.get(key)
    if (!bucket?.values.delete(value) || bucket.values.size > 0) return
    this.#byKey.delete(key)
    this.#sorted.splice(this.#from(key), 1)
  }

  /** Those whose address lies in the prefix, whose host bits are zero. */
  under(bytes: Uint8Array, length: number): T[] {
    const hits: T[] = []
    for (let i = this.#from(bytesKey(bytes)); i < this.#sorted.length; i++) {
      const { address, values } = this.#sorted[i]!
      if (!covers(bytes, length, address)) break
      hits.push(...values)
    }
    return hits
  }

  /** Addresses. */
  get size(): number {
    return this.#sorted.length
  }

  /** Index of the first one that is not before `key`. */
  #from(key: string): number {
    let low = 0
    let high = this.#sorted.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#sorted[middle]!.key < key) low = middle + 1
      else high = middle
    }
    return low
  }
}
