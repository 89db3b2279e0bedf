/**
 * A binary trie of prefixes, IPv4 or IPv6, whose nodes are the prefixes that have a value or part two that have: so its size goes with what it holds, and not
 * with the length of addresses. Addresses of one trie have one length.
 */

interface Node<T> {
  /** As many bytes as an address has; those beyond `length` bits may be anything. */
  readonly bytes: Uint8Array
  readonly length: number
  zero: Node<T> | undefined
  one: Node<T> | undefined
  value: T | undefined
}

const node = <T>(bytes: Uint8Array, length: number, value?: T): Node<T> => ({
  bytes,
  length,
  zero: undefined,
  one: undefined,
  value,
})
const bit = (bytes: Uint8Array, at: number): boolean => (bytes[at >> 3]! & (0x80 >> (at & 7))) !== 0
const link = <T>(parent: Node<T>, child: Node<T>): void => {
  if (bit(child.bytes, parent.length)) parent.one = child
  else parent.zero = child
}

export class PrefixTrie<T> {
  readonly #root: Node<T> = node<T>(new Uint8Array(16), 0)

  get(bytes: Uint8Array, length: number): T | undefined {
    let here: Node<T> | undefined = this.#root
    while (here && here.length < length) here = bit(bytes, here.length) ? here.one : here.zero
    return here?.length === length && commonBits(here.bytes, bytes, length) === length ? here.value : undefined
  }

  /** Keeps `bytes`. */
  set(bytes: Uint8Array, length: number, value: T): void {
    let here = this.#root
    for (;;) {
      if (here.length === length) {
        here.value = value
        return
      }
      const next: Node<T> | undefined = bit(bytes, here.length) ? here.one : here.zero
      if (!next) {
        link(here, node(bytes, length, value))
        return
      }
      const common = commonBits(next.bytes, bytes, Math.min(next.length, length))
      if (common === next.length) {
        here = next
        continue
      }
      const fork = node<T>(bytes, common)
      link(here, fork)
      link(fork, next)
      here = fork
    }
  }

  /** Takes away the nodes that nothing needs then. */
  delete(bytes: Uint8Array, length: number): void {
    let above: Node<T> | undefined
    let parent: Node<T> | undefined
    let here: Node<T> | undefined = this.#root
    while (here && here.length < length) {
      above = parent
      parent = here
      here = bit(bytes, here.length) ? here.one : here.zero
    }
    if (here?.length !== length || commonBits(here.bytes, bytes, length) < length) return
    here.value = undefined
    if (parent) this.#tidy(parent, here)
    if (parent && above) this.#tidy(above, parent)
  }

  /** What covers an address, longest prefix first. */
  covering(bytes: Uint8Array): T[] {
    const out: T[] = []
    const bits = bytes.length * 8
    let here: Node<T> | undefined = this.#root
    while (here && commonBits(here.bytes, bytes, here.length) === here.length) {
      if (here.value !== undefined) out.push(here.value)
      here = here.length === bits ? undefined : bit(bytes, here.length) ? here.one : here.zero
    }
    return out.reverse()
  }

  /** In the order of addresses, a prefix before those in it. */
  *values(): Generator<T> {
    const open = [this.#root]
    for (let here = open.pop(); here; here = open.pop()) {
      if (here.value !== undefined) yield here.value
      if (here.one) open.push(here.one)
      if (here.zero) open.push(here.zero)
    }
  }

  /** Counted by a walk: at most two for each prefix, and the root. */
  get nodes(): number {
    let count = 0
    const open: (Node<T> | undefined)[] = [this.#root]
    for (let here = open.pop(); here; here = open.pop()) {
      count++
      if (here.one) open.push(here.one)
      if (here.zero) open.push(here.zero)
    }
    return count
  }

  /** A node without value stays only if it parts two. */
  #tidy(parent: Node<T>, child: Node<T>): void {
    if (child.value !== undefined || (child.zero && child.one)) return
    const only = child.zero ?? child.one
    if (bit(child.bytes, parent.length)) parent.one = only
    else parent.zero = only
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
