import fc from 'fast-check'
import { expect, test } from 'vitest'
import { copyBits, readBits, setBits, writeBits } from '../../../src/ofproto/translate/bits.ts'

const key = fc.int32Array({ minLength: 8, maxLength: 8 })
const bit = fc.integer({ min: 0, max: 127 })

test('bits are set as the general way sets them', () => {
  fc.assert(
    fc.property(key, bit, fc.integer({ min: 1, max: 128 }), (words, at, bits) => {
      const expected = words.slice()
      const ones = (1n << BigInt(bits)) - 1n
      writeBits(expected, at, bits, ones, ones)
      setBits(words, at, bits)
      expect([...words]).toEqual([...expected])
    }),
  )
})

test('bits within words are copied as the general way copies them, others are refused and left alone', () => {
  fc.assert(
    fc.property(key, bit, bit, fc.integer({ min: 1, max: 40 }), (words, from, to, bits) => {
      const within = (from & 31) + bits <= 32 && (to & 31) + bits <= 32
      const expected = words.slice()
      if (within) writeBits(expected, to, bits, readBits(words, from, bits), (1n << BigInt(bits)) - 1n)
      expect(copyBits(words, from, to, bits)).toBe(within)
      expect([...words]).toEqual([...expected])
    }),
    { numRuns: 2000 },
  )
})
