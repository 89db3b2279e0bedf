import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { be16, put16 } from '../../../src/packet/bytes.ts'
import {
  checksum,
  checksumAdd,
  checksumFold,
  checksumPatch16,
  checksumUpdate16,
  pseudoIpv4,
  pseudoIpv6,
  WideChecksum,
} from '../../../src/packet/checksum.ts'

/** The slow twin: end-around carry after every word. */
const slow = (bytes: Uint8Array): number => {
  let sum = 0
  for (let i = 0; i < bytes.length; i += 2) {
    sum += bytes[i]! * 256 + (bytes[i + 1] ?? 0)
    if (sum > 0xffff) sum = sum - 0x10000 + 1
  }
  return 0xffff - sum
}

describe('checksum', () => {
  it('gives the example of RFC 1071 section 3', () => {
    expect(checksum(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7), 0, 8)).toBe(~0xddf2 & 0xffff)
  })

  it('equals its slow twin at any offset and length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(7), (bytes, off) => {
        const moved = new Uint8Array([...new Array<number>(off).fill(0xa5), ...bytes, 0x5a])
        expect(checksum(moved, off, bytes.length)).toBe(slow(bytes))
      }),
    )
  })

  it('does not overflow on 64 KiB of ones', () => {
    expect(checksum(new Uint8Array(65534).fill(0xff), 0, 65534)).toBe(0)
    expect(checksum(new Uint8Array(65535).fill(0xff), 0, 65535)).toBe(0x00ff)
  })

  it('sums pseudo headers as if they were written out', () => {
    const ip = Uint8Array.from({ length: 60 }, (_, i) => 250 - i)
    const v4 = new Uint8Array([...ip.subarray(12, 20), 0, 17, 0x12, 0x34])
    expect(~fold(pseudoIpv4(ip, 0, 17, 0x1234)) & 0xffff).toBe(slow(v4))
    const v6 = new Uint8Array([...ip.subarray(8, 40), 0, 1, 0x12, 0x34, 0, 0, 0, 58])
    expect(~fold(pseudoIpv6(ip, 0, 58, 0x11234)) & 0xffff).toBe(slow(v6))
  })
})

describe('folding', () => {
  it('adds the carries of sums beyond 32 bits too', () => {
    for (const sum of [0, 0xffff, 0x10000, 0x7fffffff, 0xffffffff, 0x100000000, 0x10000fffe, 0x1_2345_6789]) {
      let wanted = BigInt(sum)
      while (wanted > 0xffffn) wanted = (wanted & 0xffffn) + (wanted >> 16n)
      expect(checksumFold(sum), sum.toString(16)).toBe(Number(wanted))
    }
  })
})

describe('wide checksum', () => {
  it('equals the narrow one at any place and length, of any buffer', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 100, maxLength: 400, size: 'max' }),
        fc.nat(40),
        fc.nat(300),
        fc.nat(0xfffff),
        fc.constantFrom(0, 1, 4),
        (bytes, off, room, initial, shift) => {
          const buffer = new Uint8Array(bytes.length + shift)
          buffer.set(bytes, shift)
          const len = Math.min(room, bytes.length - off)
          const sum = new WideChecksum(buffer.subarray(shift)).add(initial, off, len)
          expect(checksumFold(sum)).toBe(checksumFold(checksumAdd(initial, bytes, off, len)))
        },
      ),
      { numRuns: 500 },
    )
  })

  it('does not overflow on 64 KiB of ones', () => {
    const ones = new Uint8Array(65540).fill(0xff)
    for (const off of [0, 2]) expect(checksumFold(new WideChecksum(ones).add(0, off, 65535))).toBe(0xff00)
    expect(checksumFold(new WideChecksum(ones).add(0, 2, 65534))).toBe(0xffff)
  })
})

const fold = (sum: number): number => {
  let s = sum
  while (s > 0xffff) s = (s % 0x10000) + Math.floor(s / 0x10000)
  return s
}

describe('incremental update', () => {
  const header = fc.uint8Array({ minLength: 20, maxLength: 20 })

  it('equals a recomputation after one 16-bit word changed', () => {
    fc.assert(
      fc.property(header, fc.nat(8), fc.nat(0xffff), (bytes, word, to) => {
        bytes[19] = 1
        const from = be16(bytes, word * 2)
        const before = checksum(bytes, 0, 20)
        put16(bytes, word * 2, to)
        expect(checksumUpdate16(before, from, to)).toBe(checksum(bytes, 0, 20))
      }),
    )
  })

  it('gives the example of RFC 1624 section 4, where the older equation gave 0xffff', () => {
    expect(checksumUpdate16(0xdd2f, 0x5555, 0x3285)).toBe(0x0000)
  })

  it('leaves an absent UDP checksum absent, and never makes a present one absent', () => {
    const b = new Uint8Array(2)
    checksumPatch16(b, 0, 0x1111, 0x2222, true)
    expect(be16(b, 0)).toBe(0)
    put16(b, 0, 0xdd2f)
    checksumPatch16(b, 0, 0x5555, 0x3285, true)
    expect(be16(b, 0)).toBe(0xffff)
    put16(b, 0, 0xdd2f)
    checksumPatch16(b, 0, 0x5555, 0x3285, false)
    expect(be16(b, 0)).toBe(0)
  })
})
