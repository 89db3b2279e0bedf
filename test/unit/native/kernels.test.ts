import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { native } from '../../../src/native/binding.ts'
import { M_LEN, M_OFF, M_VFLAGS, META_WORDS, VNET_F_NEEDS_CSUM } from '../../../src/packet/slot.ts'
import { arena, get, NO_FACTS, put } from './slot.ts'
import { build, shapes } from './super-frame.ts'
import { type Facts, sum, twinComplete, twinSegment } from './twin.ts'

const out = new Uint8Array(400_000)
const lens = new Int32Array(8192)

const segment = (frame: readonly number[], facts: Facts): number[][] | null => {
  const slot = put(1, frame, facts)
  const count = native.segment(arena.bytes, arena.meta, slot, out, lens)
  expect(get(slot)).toEqual(frame)
  if (count < 0) return null
  let at = 0
  return Array.from(lens.subarray(0, count), (length) => {
    at += length
    return [...out.subarray(at - length, at)]
  })
}

const damage = fc.array(fc.record({ at: fc.nat(250), value: fc.nat(0xff) }), { maxLength: 3 })

const factDamage: fc.Arbitrary<Partial<Facts>> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.record({ gsoType: fc.nat(0xff) }) },
  { weight: 1, arbitrary: fc.record({ csumStart: fc.nat(200), csumOff: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ flags: fc.nat(15) }) },
  { weight: 1, arbitrary: fc.record({ outerTh: fc.nat(100), innerNh: fc.nat(150) }) },
)

describe('checksum', () => {
  it('agrees with the twin at any offset, length and initial sum', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(20), fc.nat(0xffff), (bytes, skip, initial) => {
        const off = Math.min(skip, bytes.length)
        const got = native.checksum(bytes, off, bytes.length - off, initial)
        expect(got).toBe(sum([...bytes.subarray(off)], initial))
      }),
    )
  })

  it('sums shared memory', () => {
    const bytes = new Uint8Array(new SharedArrayBuffer(100)).fill(0xab)
    expect(native.checksum(bytes, 3, 64, 0)).toBe(sum([...bytes.subarray(3, 67)]))
  })
})

describe('completeChecksum', () => {
  it('agrees with the twin and clears the flag', () => {
    fc.assert(
      fc.property(shapes, factDamage, (shape, spoiled) => {
        const { frame, facts } = build(shape)
        const given = { ...facts, gsoType: 0, gsoSize: 0, ...spoiled }
        const slot = put(1, frame, given)
        const wanted = twinComplete(frame, given)
        expect(native.completeChecksum(arena.bytes, arena.meta, slot)).toBe(wanted !== null)
        expect(get(slot)).toEqual(wanted ?? frame)
        const flags = arena.meta[slot * META_WORDS + M_VFLAGS]!
        expect(flags).toBe(wanted === null ? given.flags : given.flags & ~VNET_F_NEEDS_CSUM)
      }),
    )
  })

  it('refuses offsets outside of the frame', () => {
    const slot = put(1, new Array(60).fill(1), { ...NO_FACTS, flags: 1, csumStart: 50, csumOff: 9 })
    expect(native.completeChecksum(arena.bytes, arena.meta, slot)).toBe(false)
    expect(get(slot)).toEqual(new Array(60).fill(1))
  })
})

describe('segment', () => {
  it('agrees with the twin on every well-formed super-frame', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const { frame, facts } = build(shape)
        const wanted = twinSegment(frame, facts)
        expect(wanted).not.toBeNull()
        expect(segment(frame, facts)).toEqual(wanted)
      }),
      { numRuns: 300 },
    )
  })

  it('agrees with the twin on damaged ones, also on which to refuse', () => {
    let cut = 0
    let refused = 0
    fc.assert(
      fc.property(shapes, damage, factDamage, fc.nat(700), fc.boolean(), (shape, bytes, spoiled, length, shorten) => {
        const { frame, facts } = build(shape)
        for (const { at, value } of bytes) if (at < frame.length) frame[at] = value
        if (shorten) frame.length = Math.min(frame.length, length)
        const given = { ...facts, ...spoiled }
        const wanted = twinSegment(frame, given)
        if (wanted === null) refused++
        else cut++
        expect(segment(frame, given)).toEqual(wanted)
      }),
      { numRuns: 1000 },
    )
    // Both outcomes must have been compared often.
    expect(Math.min(cut, refused)).toBeGreaterThan(100)
  })

  it('gives a frame that needs nothing as it is', () => {
    const frame = Array.from({ length: 60 }, (_, i) => i)
    expect(segment(frame, NO_FACTS)).toEqual([frame])
  })

  it('needs room for all frames and their lengths', () => {
    const { frame, facts } = build({
      vlans: 0,
      tunnel: null,
      ip: { version: 4, extra: 0, id: 1 },
      tcp: true,
      tcpOptions: 0,
      tcpFlags: 0x10,
      seq: 1,
      gsoSize: 100,
      payload: new Array(250).fill(3),
    })
    const slot = put(1, frame, facts)
    const all = 3 * 54 + 250
    const go = (bytes: number, count: number): number =>
      native.segment(arena.bytes, arena.meta, slot, new Uint8Array(bytes), new Int32Array(count))
    expect(go(all, 3)).toBe(3)
    expect(go(all - 1, 3)).toBe(-1)
    expect(go(all, 2)).toBe(-1)
    expect(go(0, 0)).toBe(-1)
  })

  it.each([
    ['before the arena', -1, 60],
    ['of negative length', 192, -1],
    ['past the end', arena.bytes.length - 59, 60],
    ['of all numbers', 0x7fffffff, 0x7fffffff],
  ])('refuses a frame %s', (_, off, length) => {
    const slot = put(2, new Array(60).fill(0))
    const m = slot * META_WORDS
    const home = arena.meta[m + M_OFF]!
    arena.meta[m + M_OFF] = off
    arena.meta[m + M_LEN] = length
    expect(native.segment(arena.bytes, arena.meta, slot, out, lens)).toBe(-1)
    expect(native.completeChecksum(arena.bytes, arena.meta, slot)).toBe(false)
    arena.meta[m + M_OFF] = home
  })
})
