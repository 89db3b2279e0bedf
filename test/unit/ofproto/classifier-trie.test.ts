import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PrefixHits, PrefixTrie, prefixMask } from '../../../src/ofproto/classifier-trie.ts'

type Words = readonly [number, number, number, number]
interface Prefix {
  readonly words: Words
  readonly length: number
}

/** Words of few bits, so that prefixes share beginnings and fork everywhere. */
const word = fc.constantFrom(0, 1, -1, 0x80000000 | 0, 0x80000001 | 0, 0x7fffffff, 0x0a000001, 0x0a000000)
const words: fc.Arbitrary<Words> = fc.tuple(word, word, word, word)
const prefix: fc.Arbitrary<Prefix> = fc.record({ words, length: fc.integer({ min: 1, max: 128 }) })

const text = (w: Words): string => w.map((x) => (x >>> 0).toString(2).padStart(32, '0')).join('')

test('tells the lengths that are in the set, from bits that decide it', () => {
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 30 }), fc.array(words, { minLength: 1 }), (prefixes, probes) => {
      const trie = new PrefixTrie()
      for (const p of prefixes) trie.insert(...p.words, p.length)
      for (const probe of [...probes, ...prefixes.map((p) => p.words)]) {
        const hits = new PrefixHits()
        trie.lookup(...probe, hits)
        const value = text(probe)
        for (let length = 1; length <= 128; length++) {
          const ofLength = prefixes.filter((p) => p.length === length).map((p) => text(p.words))
          const under = ofLength.some((v) => v.slice(0, length) === value.slice(0, length))
          if (hits.has(length) !== under) expect.fail(`length ${length} of ${value}: expected ${under}`)
          if (under) continue
          const decided = value.slice(0, hits.bitsFor(length))
          if (ofLength.some((v) => v.startsWith(decided))) expect.fail(`${decided} does not decide length ${length}`)
        }
      }
    }),
    { numRuns: 150 },
  )
})

test('is what it was after prefixes have come and gone', () => {
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 20 }), fc.array(prefix, { maxLength: 20 }), words, (stay, go, probe) => {
      const trie = new PrefixTrie()
      for (const p of [...stay, ...go]) trie.insert(...p.words, p.length)
      for (const p of go) trie.remove(...p.words, p.length)
      const fresh = new PrefixTrie()
      for (const p of stay) fresh.insert(...p.words, p.length)
      const a = new PrefixHits()
      const b = new PrefixHits()
      trie.lookup(...probe, a)
      fresh.lookup(...probe, b)
      expect(a.bits).toBe(b.bits)
      for (let length = 1; length <= 128; length++) expect(a.has(length)).toBe(b.has(length))
      expect(trie.isEmpty).toBe(stay.length === 0)
    }),
    { numRuns: 300 },
  )
})

test('refuses to remove what is not there', () => {
  const trie = new PrefixTrie()
  trie.insert(0x0a000000, 0, 0, 0, 8)
  expect(() => trie.remove(0x0a000000, 0, 0, 0, 9)).toThrow('no prefix of 9 bits')
  expect(() => trie.remove(0x0b000000, 0, 0, 0, 8)).toThrow('no prefix of 8 bits')
  trie.remove(0x0affffff, 0, 0, 0, 8)
  expect(trie.isEmpty).toBe(true)
})

test('a mask of leading ones', () => {
  expect([-3, 0, 1, 8, 31, 32, 40].map((n) => prefixMask(n) >>> 0)).toEqual([
    0, 0, 0x80000000, 0xff000000, 0xfffffffe, 0xffffffff, 0xffffffff,
  ])
})
