import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checksum } from '../../../src/packet/checksum.ts'
import { fragmentIp } from '../../../src/packet/ip-fragment.ts'

const be16 = (b: Uint8Array, at: number): number => (b[at]! << 8) | b[at + 1]!

const packet = (version: 4 | 6, payload: readonly number[]): Uint8Array => {
  const eth = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, ...(version === 4 ? [8, 0] : [0x86, 0xdd])]
  const length = payload.length + (version === 4 ? 20 : 0)
  const ip =
    version === 4
      ? [0x45, 2, length >> 8, length & 0xff, 0xab, 0xcd, 0, 0, 64, 17, 0, 0, 192, 168, 0, 1, 192, 168, 0, 2]
      : [0x60, 0, 0, 0, length >> 8, length & 0xff, 17, 64, ...Array<number>(16).fill(1), ...Array<number>(16).fill(2)]
  return Uint8Array.from([...eth, ...ip, ...payload])
}

/** What a receiver would put together; throws when parts are missing or their headers are wrong. */
const reassemble = (version: 4 | 6, parts: readonly Uint8Array[], mtu: number): number[] => {
  const out: number[] = []
  parts.forEach((part, i) => {
    const last = i === parts.length - 1
    expect(part.length - 14).toBeLessThanOrEqual(mtu)
    if (version === 4) {
      expect(be16(part, 16)).toBe(part.length - 14)
      expect(be16(part, 18)).toBe(0xabcd)
      expect(be16(part, 20)).toBe((last ? 0 : 0x2000) | (out.length / 8))
      expect(checksum(part, 14, 20)).toBe(0)
      expect([part[15], part[22], part[23], ...part.subarray(26, 34)]).toEqual([
        2, 64, 17, 192, 168, 0, 1, 192, 168, 0, 2,
      ])
      out.push(...part.subarray(34))
    } else {
      expect(be16(part, 18)).toBe(part.length - 54)
      expect([part[20], part[21]]).toEqual([44, 64])
      expect([...part.subarray(54, 62)]).toEqual([
        17,
        0,
        ...[out.length >> 8, (out.length & 0xf8) | (last ? 0 : 1)],
        ...[0xde, 0xad, 0xbe, 0xef],
      ])
      out.push(...part.subarray(62))
    }
  })
  return out
}

describe('fragmentIp', () => {
  it('makes parts that a receiver can put together', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(4 as const, 6 as const),
        fc.array(fc.nat(255), { minLength: 100, maxLength: 3000, size: 'max' }),
        fc.integer({ min: 68, max: 1500 }),
        (version, payload, mtu) => {
          const frame = packet(version, payload)
          const parts = fragmentIp(frame, mtu, 0xdeadbeef)
          if (frame.length - 14 <= mtu) expect(parts).toEqual([frame])
          else expect(reassemble(version, parts, mtu)).toEqual(payload)
        },
      ),
    )
  })

  it('makes none where there is no room', () => {
    expect(fragmentIp(packet(4, Array<number>(100).fill(0)), 27, 0)).toEqual([])
    expect(fragmentIp(packet(6, Array<number>(100).fill(0)), 55, 0)).toEqual([])
  })
})
