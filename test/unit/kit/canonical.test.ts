import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { byFlow, canonical, checksumState, cut } from '../../system/kit/canonical.ts'
import { pseudoSum, sum16 } from '../../system/kit/checksum.ts'
import { differences, explain } from '../../system/kit/compare.ts'
import { flowOf, layoutOf, put16, u16, u32 } from '../../system/kit/frame.ts'
import { syn, tcp, udp } from './frames.ts'

const PSH_ACK = 0x18

describe('checksums of captured frames', () => {
  it('tells right, partial, wrong and none apart', () => {
    expect(checksumState(tcp({ payload: 10 }))).toBe('right')
    expect(checksumState(tcp({ payload: 10, checksum: 'partial' }))).toBe('partial')
    expect(checksumState(udp({ payload: 10, checksum: 'partial', version: 6 }))).toBe('partial')
    const wrong = tcp({ payload: 10 })
    wrong[wrong.length - 1]! ^= 1
    expect(checksumState(wrong)).toBe('wrong')
    const zero = udp({ payload: 10 })
    put16(zero, layoutOf(zero).l4 + 6, 0)
    expect(checksumState(zero)).toBe('none')
  })

  it('agrees with RFC 1071, section 3, and folds carries', () => {
    expect(sum16(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7), 0, 8)).toBe(0xddf2)
    expect(sum16(Uint8Array.of(0xff, 0xff, 0x00, 0x01), 0, 4)).toBe(1)
    expect(pseudoSum(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 0, 4, 6, 0x12345)).toBe(0x1014 + 6 + 1 + 0x2345)
  })
})

describe('canonical form', () => {
  it.each([4, 6] as const)('cuts a TCP super-frame over IPv%i into what a wire carries', (version) => {
    const big = tcp({ version, payload: 2500, flags: PSH_ACK | 0x80 | 1, seq: 0xffff_fff0, checksum: 'partial' })
    const pieces = cut(big, 1000)
    expect(pieces.map((p) => layoutOf(p).end - layoutOf(p).payload)).toEqual([1000, 1000, 500])
    expect(pieces.map((p) => u32(p, layoutOf(p).l4 + 4))).toEqual([0xffff_fff0, 984, 1984])
    expect(pieces.map((p) => p[layoutOf(p).l4 + 13])).toEqual([0x90, 0x10, 0x19])
    expect(pieces.map((p) => checksumState(p))).toEqual(['right', 'right', 'right'])
    if (version === 4) {
      expect(pieces.map((p) => u16(p, 18))).toEqual([7, 8, 9])
      for (const p of pieces) expect(sum16(p, 14, 20)).toBe(0xffff)
    }
  })

  it('learns the size from the peer: its MSS less the options in the frame', () => {
    const answered = syn({ mss: 1460, from: 'b' })
    const big = tcp({ payload: 3000, options: 12, checksum: 'partial' })
    expect(canonical([answered, big]).map((f) => f.length)).toEqual([
      answered.length,
      ...[1448, 1448, 104].map((n) => n + 66),
    ])
  })

  it('cuts UDP only when told how', () => {
    const big = udp({ payload: 3000, checksum: 'partial' })
    expect(canonical([big], { mtu: 1500 })).toHaveLength(1)
    const pieces = canonical([big], { udpSegment: 1400 })
    expect(pieces.map((f) => u16(f, layoutOf(f).l4 + 4))).toEqual([1408, 1408, 208])
    expect(pieces.map((f) => checksumState(f))).toEqual(['right', 'right', 'right'])
  })

  it('leaves what is wrong as it is', () => {
    const wrong = tcp({ payload: 3000 })
    wrong[100]! ^= 0x55
    expect(canonical([wrong], { mtu: 1500 })).toEqual([wrong])
  })

  it('does not touch its input, and is the same when applied twice', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 6000 }), fc.integer({ min: 576, max: 1500 }), (payload, mtu) => {
        const frame = tcp({ payload, checksum: 'partial' })
        const before = frame.slice()
        const once = canonical([frame], { mtu })
        expect(frame).toEqual(before)
        expect(canonical(once, { mtu })).toEqual(once)
        expect(once.reduce((n, f) => n + layoutOf(f).end - layoutOf(f).payload, 0)).toBe(payload)
      }),
    )
  })

  it('takes any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const frame = tcp({ payload: 60 })
        frame.set(bytes.subarray(0, frame.length - 12), 12)
        for (const b of [bytes, frame, frame.subarray(0, bytes.length)]) {
          expect(canonical([b], { mtu: 600 }).length).toBeGreaterThan(0)
          expect(flowOf(b)).toBeTypeOf('string')
        }
      }),
    )
  })
})

describe('comparison', () => {
  const a = (n: number): Uint8Array => tcp({ payload: 100, seq: n })
  const b = (n: number): Uint8Array => udp({ payload: n })

  it('is blind to cutting and completion, and to the order across flows', () => {
    const whole = tcp({ payload: 3000, checksum: 'partial' })
    const pieces = cut(whole, 1460)
    expect(differences([whole, b(1), b(2)], [b(1), pieces[0]!, b(2), ...pieces.slice(1)], { mtu: 1500 })).toEqual([])
  })

  it('sees order within a flow, losses, duplicates and single bits', () => {
    expect(differences([a(1), a(2)], [a(2), a(1)])).toHaveLength(1)
    expect(differences([a(1), a(2), b(1)], [a(1), a(2)])).toHaveLength(1)
    expect(differences([a(1)], [a(1), a(1)])).toMatchObject([{ at: 1, left: 1, right: 2 }])
    const flipped = a(1)
    flipped[60]! ^= 1
    const found = differences([a(1)], [flipped])
    expect(explain(found, 'sent', 'received')).toMatch(
      /sent has 1 packets.*\n.*sent: 154 bytes, first difference at 60/,
    )
  })

  it('keeps fragments of one datagram in order by their addresses', () => {
    const fragment = (offset: number): Uint8Array => {
      const frame = udp({ payload: 64 })
      put16(frame, 20, 0x2000 | offset)
      return frame
    }
    expect(byFlow([fragment(0), fragment(8)]).size).toBe(1)
    expect(differences([fragment(0), fragment(8)], [fragment(8), fragment(0)])).toHaveLength(1)
  })
})
