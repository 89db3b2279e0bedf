import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createMatch, K_PIPE, K_WORDS, type Match } from '../../../src/flow/key.ts'
import {
  canonicalise,
  cloneMatch,
  covers,
  equalMatch,
  isCatchAll,
  isSubMask,
  maskedKeyId,
  maskId,
  matchesKey,
  matchId,
  overlaps,
  uniteMask,
} from '../../../src/flow/match.ts'

/** Three words with few bits each, so that covers and overlaps happen, and every packet can be tried. */
const WORDS = [0, 40, K_WORDS - 1]
const small = fc.integer({ min: 0, max: 3 })
const match: fc.Arbitrary<Match> = fc.array(fc.tuple(small, small), { minLength: 3, maxLength: 3 }).map((words) => {
  const m = createMatch()
  for (const [i, [key, mask]] of words.entries()) {
    m.key[WORDS[i]!] = key
    m.mask[WORDS[i]!] = mask
  }
  canonicalise(m)
  return m
})

const packets: readonly Int32Array[] = Array.from({ length: 64 }, (_, n) => {
  const key = createMatch().key
  for (const [i, word] of WORDS.entries()) key[word] = (n >> (2 * i)) & 3
  return key
})
const matched = (m: Match): boolean[] => packets.map((packet) => matchesKey(m, packet))

test('overlaps: some packet is matched by both', () => {
  fc.assert(
    fc.property(match, match, (a, b) => {
      const [inA, inB] = [matched(a), matched(b)]
      expect(overlaps(a, b)).toBe(inA.some((yes, i) => yes && inB[i]))
    }),
  )
})

test('covers: every packet of the specific one is matched by the general one', () => {
  fc.assert(
    fc.property(match, match, (a, b) => {
      const [inA, inB] = [matched(a), matched(b)]
      expect(covers(a, b)).toBe(inB.every((yes, i) => !yes || inA[i]))
    }),
  )
})

test('equality is that of the identity strings', () => {
  fc.assert(
    fc.property(match, match, (a, b) => {
      expect(matchId(a) === matchId(b)).toBe(equalMatch(a, b))
      expect(maskId(a.mask) === maskId(b.mask)).toBe(a.mask.every((word, i) => word === b.mask[i]))
    }),
  )
})

test('masked keys are told apart by what the mask shows', () => {
  fc.assert(
    fc.property(match, match, match, (a, b, { mask }) => {
      const same = mask.every((m, i) => ((a.key[i]! ^ b.key[i]!) & m) === 0)
      expect(maskedKeyId(a.key, mask) === maskedKeyId(b.key, mask)).toBe(same)
    }),
  )
})

test('all 32 bits of a word count', () => {
  const a = createMatch()
  const b = createMatch()
  a.mask[3] = b.mask[3] = 0x80000000 | 0
  a.key[3] = 0x80000000 | 0
  expect(overlaps(a, b)).toBe(false)
  expect(matchId(a)).not.toBe(matchId(b))
  a.key[3] = 0
  expect(matchId(a)).toBe(matchId(b))
})

test('a clone is independent, an empty match matches all', () => {
  const m = createMatch()
  const copy = cloneMatch(m)
  copy.mask[K_PIPE] = 1
  expect(isCatchAll(m)).toBe(true)
  expect(isCatchAll(copy)).toBe(false)
})

test('masks unite, and contain one another', () => {
  fc.assert(
    fc.property(match, match, (a, b) => {
      const both = a.mask.slice()
      uniteMask(both, b.mask)
      expect(isSubMask(a.mask, both)).toBe(true)
      expect(isSubMask(b.mask, both)).toBe(true)
      expect(isSubMask(both, a.mask)).toBe(b.mask.every((word, i) => (word & ~a.mask[i]!) === 0))
    }),
  )
})
