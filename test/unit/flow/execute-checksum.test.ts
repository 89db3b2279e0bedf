import fc from 'fast-check'
import { expect, it } from 'vitest'
import { adjusted, adjustedPartial, sumDelta } from '../../../src/flow/execute-checksum.ts'
import { be32, put32 } from '../../../src/packet/bytes.ts'
import { checksum } from '../../../src/packet/checksum.ts'

it('equals a recomputation after a 32-bit word changed', () => {
  const header = fc.uint8Array({ minLength: 20, maxLength: 20 })
  fc.assert(
    fc.property(header, fc.nat(7), fc.integer(), (bytes, word, to) => {
      // A sum of zero has two forms; no header is all zeros.
      bytes[19] = 1
      const from = be32(bytes, word * 2)
      const before = checksum(bytes, 0, 20)
      put32(bytes, word * 2, to)
      const after = checksum(bytes, 0, 20)
      expect(adjusted(before, sumDelta(from, to))).toBe(after)
      expect(adjustedPartial(~before & 0xffff, sumDelta(from, to))).toBe(~after & 0xffff)
    }),
  )
})

it('gives the example of RFC 1624 section 4, where the older equation gave 0xffff', () => {
  expect(adjusted(0xdd2f, sumDelta(0x5555, 0x3285))).toBe(0x0000)
})
