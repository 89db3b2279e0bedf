/**
 * A set of bit prefixes (0..128 bits) as a path-compressed binary trie. It answers, for a value, which prefix lengths are in the set, and how few of the value's
 * leading bits tell that: the classifier un-wildcards only those.
 *
 * Values are four words, the first bit the most significant of the first word; shorter ones leave the rest zero.
 */
const MAX_BITS = 128

interface Node {
  /** The path from the root: `end` bits, zeros after them. */
  readonly w0: number
  readonly w1: number
  readonly w2: number
  readonly w3: number
  readonly end: number
  /** How often the prefix that ends here is in the set. */
  count: number
  zero: Node | null
  one: Node | null
}

/** Answer of a look-up, reused from one to the next. */
export class PrefixHits {
  /** Leading bits that decided the answer. */
  bits = 0
  readonly #stamps = new Uint32Array(MAX_BITS + 1)
  #stamp = 0

  clear(): void {
    this.bits = 0
    this.#stamp = (this.#stamp + 1) >>> 0
    // A wrapped counter could meet stamps of four thousand million look-ups ago.
    if (this.#stamp === 0) {
      this.#stamps.fill(0)
      this.#stamp = 1
    }
  }

  add(length: number): void {
    this.#stamps[length] = this.#stamp
  }

  /** True if the value's first `length` bits are in the set. */
  has(length: number): boolean {
    return this.#stamps[length] === this.#stamp
  }

  /** How many leading bits tell that no prefix of `length` bits is in the set. Only when `has` is false. */
  bitsFor(length: number): number {
    return Math.min(this.bits, length)
  }
}

/** The leading `bits` ones of a 32-bit word; all for 32 and more, none for 0 and less. */
export const prefixMask = (bits: number): number => (bits <= 0 ? 0 : bits >= 32 ? -1 : ~(0xffffffff >>> bits))

const bitAt = (w0: number, w1: number, w2: number, w3: number, at: number): number =>
  ((at < 64 ? (at < 32 ? w0 : w1) : at < 96 ? w2 : w3) >>> (31 - (at & 31))) & 1

/** First bit in which they differ; 128 when there is none. */
const firstDifference = (node: Node, w0: number, w1: number, w2: number, w3: number): number => {
  if (node.w0 !== w0) return Math.clz32(node.w0 ^ w0)
  if (node.w1 !== w1) return 32 + Math.clz32(node.w1 ^ w1)
  if (node.w2 !== w2) return 64 + Math.clz32(node.w2 ^ w2)
  return 96 + Math.clz32(node.w3 ^ w3)
}

const makeNode = (w0: number, w1: number, w2: number, w3: number, end: number, count: number): Node => ({
  w0: w0 & prefixMask(end),
  w1: w1 & prefixMask(end - 32),
  w2: w2 & prefixMask(end - 64),
  w3: w3 & prefixMask(end - 96),
  end,
  count,
  zero: null,
  one: null,
})

const nodeBit = (node: Node, at: number): number => bitAt(node.w0, node.w1, node.w2, node.w3, at)

const setChild = (node: Node, child: Node): void => {
  if (nodeBit(child, node.end) === 1) node.one = child
  else node.zero = child
}

export class PrefixTrie {
  readonly #root = makeNode(0, 0, 0, 0, 0, 0)

  get isEmpty(): boolean {
    return this.#root.zero === null && this.#root.one === null && this.#root.count === 0
  }

  /** Adds the first `length` bits of the value; a prefix may be added more than once. */
  insert(w0: number, w1: number, w2: number, w3: number, length: number): void {
    let node = this.#root
    while (node.end < length) {
      const one = bitAt(w0, w1, w2, w3, node.end) === 1
      const child = one ? node.one : node.zero
      if (child === null) {
        setChild(node, makeNode(w0, w1, w2, w3, length, 1))
        return
      }
      const same = Math.min(firstDifference(child, w0, w1, w2, w3), child.end, length)
      if (same < child.end) {
        const fork = makeNode(w0, w1, w2, w3, same, 0)
        setChild(fork, child)
        setChild(node, fork)
        node = fork
      } else {
        node = child
      }
    }
    node.count++
  }

  /** Takes one occurrence out. Throws if there is none. */
  remove(w0: number, w1: number, w2: number, w3: number, length: number): void {
    let above: Node | null = null
    let parent: Node | null = null
    let node = this.#root
    while (node.end < length) {
      const child: Node | null = bitAt(w0, w1, w2, w3, node.end) === 1 ? node.one : node.zero
      if (child === null) break
      above = parent
      parent = node
      node = child
    }
    if (node.end !== length || node.count === 0 || firstDifference(node, w0, w1, w2, w3) < length)
      throw new Error(`no prefix of ${length} bits to remove`)
    node.count--
    if (node.count > 0 || parent === null) return
    this.#unlink(node, parent)
    if (above !== null && parent.count === 0) this.#unlink(parent, above)
  }

  /** Takes a node out that stands for no prefix, unless it is a fork. */
  #unlink(node: Node, parent: Node): void {
    if (node.zero !== null && node.one !== null) return
    const rest = node.zero ?? node.one
    if (rest !== null) setChild(parent, rest)
    else if (parent.one === node) parent.one = null
    else parent.zero = null
  }

  lookup(w0: number, w1: number, w2: number, w3: number, hits: PrefixHits): void {
    hits.clear()
    let node = this.#root
    for (;;) {
      if (node.count > 0) hits.add(node.end)
      if (node.zero === null && node.one === null) {
        hits.bits = node.end
        return
      }
      const child = bitAt(w0, w1, w2, w3, node.end) === 1 ? node.one : node.zero
      if (child === null) {
        hits.bits = node.end + 1
        return
      }
      const same = firstDifference(child, w0, w1, w2, w3)
      if (same < child.end) {
        hits.bits = same + 1
        return
      }
      node = child
    }
  }
}
