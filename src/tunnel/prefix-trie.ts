/** A binary trie of prefixes, IPv4 or IPv6: one level a bit, values where a prefix ends. Depth is at most the bits of an address. */

interface Node<T> {
  zero: Node<T> | undefined
  one: Node<T> | undefined
  value: T | undefined
}

const node = <T>(): Node<T> => ({ zero: undefined, one: undefined, value: undefined })
const bit = (bytes: Uint8Array, at: number): boolean => (bytes[at >> 3]! & (0x80 >> (at & 7))) !== 0

export class PrefixTrie<T> {
  readonly #root: Node<T> = node()

  get(bytes: Uint8Array, length: number): T | undefined {
    let here: Node<T> | undefined = this.#root
    for (let i = 0; here && i < length; i++) here = bit(bytes, i) ? here.one : here.zero
    return here?.value
  }

  set(bytes: Uint8Array, length: number, value: T): void {
    let here = this.#root
    for (let i = 0; i < length; i++) {
      let next: Node<T> | undefined = bit(bytes, i) ? here.one : here.zero
      if (!next) {
        next = node()
        if (bit(bytes, i)) here.one = next
        else here.zero = next
      }
      here = next
    }
    here.value = value
  }

  /** Takes away branches that lead nowhere then. */
  delete(bytes: Uint8Array, length: number): void {
    const path: Node<T>[] = []
    let here: Node<T> | undefined = this.#root
    for (let i = 0; here && i < length; i++) {
      path.push(here)
      here = bit(bytes, i) ? here.one : here.zero
    }
    if (!here) return
    here.value = undefined
    for (let i = length - 1; i >= 0 && !here.zero && !here.one && here.value === undefined; i--) {
      here = path[i]!
      if (bit(bytes, i)) here.one = undefined
      else here.zero = undefined
    }
  }

  /** What covers an address, longest prefix first. */
  covering(bytes: Uint8Array): T[] {
    const out: T[] = []
    let here: Node<T> | undefined = this.#root
    for (let i = 0; here; i++) {
      if (here.value !== undefined) out.push(here.value)
      here = i === bytes.length * 8 ? undefined : bit(bytes, i) ? here.one : here.zero
    }
    return out.reverse()
  }

  *values(): Generator<T> {
    const open = [this.#root]
    for (let here = open.pop(); here; here = open.pop()) {
      if (here.value !== undefined) yield here.value
      if (here.one) open.push(here.one)
      if (here.zero) open.push(here.zero)
    }
  }
}

/** Whether an address lies in a prefix. Lengths in bytes may differ: then it does not. */
export const covers = (prefix: Uint8Array, length: number, address: Uint8Array): boolean =>
  prefix.length === address.length && commonBits(prefix, address, length) >= length

/** Leading bits that are equal, at most `limit`. */
export const commonBits = (a: Uint8Array, b: Uint8Array, limit: number): number => {
  for (let i = 0; i * 8 < limit; i++) {
    const different = a[i]! ^ b[i]!
    if (different !== 0) return Math.min(limit, i * 8 + Math.clz32(different) - 24)
  }
  return limit
}

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i])
