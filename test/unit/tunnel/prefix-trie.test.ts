import fc from 'fast-check'
import { expect, test } from 'vitest'
import { covers, PrefixTrie } from '../../../src/tunnel/prefix-trie.ts'

const bytes = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((value) => value.map((byte) => byte & 0xc1))
const entry = fc.record({ bytes, length: fc.integer({ min: 0, max: 32 }), remove: fc.boolean() })
const masked = (value: Uint8Array, length: number): Uint8Array =>
  value.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, length - i * 8))))

test('finds what a list of prefixes finds, longest first, after additions and removals', () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 40 }), bytes, (entries, address) => {
      const trie = new PrefixTrie<string>()
      const list = new Map<string, { bytes: Uint8Array; length: number }>()
      for (const one of entries) {
        const prefix = masked(one.bytes, one.length)
        const key = `${prefix}/${one.length}`
        if (one.remove) {
          trie.delete(prefix, one.length)
          list.delete(key)
        } else {
          trie.set(prefix, one.length, key)
          list.set(key, { bytes: prefix, length: one.length })
        }
      }
      const expected = [...list]
        .filter(([, prefix]) => covers(prefix.bytes, prefix.length, address))
        .sort(([, a], [, b]) => b.length - a.length)
        .map(([key]) => key)
      expect(trie.covering(address)).toEqual(expected)
      expect([...trie.values()].sort()).toEqual([...list.keys()].sort())
      expect(trie.nodes).toBeLessThanOrEqual(2 * list.size + 1)
    }),
  )
})
