import { describe, expect, it } from 'vitest'
import { type Captured, type CaptureReader, openCapture, pcapHeader, pcapRecord } from '../../../src/packet/pcap.ts'

const open = (file: Uint8Array): CaptureReader => {
  const reader = openCapture(file)
  if (typeof reader === 'string') throw new Error(reader)
  return reader
}

const readAll = (reader: CaptureReader): Captured[] => {
  const out: Captured[] = []
  for (let f = reader.next(); f !== undefined; f = reader.next()) out.push(f)
  return out
}

/** A classic file in the given order, with records of [seconds, fraction, claimed length, bytes]. */
const classic = (magic: number, little: boolean, records: [number, number, number, number[]][]): Uint8Array => {
  const words = (...values: number[]): number[] => {
    const view = new DataView(new ArrayBuffer(values.length * 4))
    values.forEach((value, i) => void view.setUint32(i * 4, value, little))
    return [...new Uint8Array(view.buffer)]
  }
  const out = words(magic, little ? 0x00040002 : 0x00020004, 0, 0, 65535, 1)
  for (const [s, f, length, bytes] of records) out.push(...words(s, f, length, length), ...bytes)
  return Uint8Array.from(out)
}

describe('pcap files', () => {
  for (const little of [true, false]) {
    for (const [magic, unit] of [
      [0xa1b2c3d4, 1000n],
      [0xa1b23c4d, 1n],
    ] as const) {
      it(`are read in ${little ? 'little' : 'big'} endian with a unit of ${unit} ns`, () => {
        const file = classic(magic, little, [
          [5, 7, 3, [1, 2, 3]],
          [6, 8, 0, []],
        ])
        const reader = open(file)
        expect(readAll(reader)).toEqual([
          { bytes: Uint8Array.of(1, 2, 3), originalLength: 3, time: 5_000_000_000n + 7n * unit, linkType: 1 },
          { bytes: new Uint8Array(0), originalLength: 0, time: 6_000_000_000n + 8n * unit, linkType: 1 },
        ])
        expect(reader.error).toBeUndefined()
      })
    }
  }

  it('written are read back', () => {
    const frame = Uint8Array.of(9, 1, 2, 3, 4, 9)
    const time = 1_700_000_000_123_456_789n
    const reader = open(Buffer.concat([pcapHeader(), pcapRecord(frame, 1, 4, time)]))
    expect(readAll(reader)).toEqual([{ bytes: Buffer.from([1, 2, 3, 4]), originalLength: 4, time, linkType: 1 }])
  })

  it('cut anywhere give the whole frames before the cut, and say where it ends', () => {
    const file = classic(0xa1b2c3d4, true, [
      [0, 0, 3, [1, 2, 3]],
      [0, 0, 2, [4, 5]],
    ])
    for (let length = 24; length <= file.length; length++) {
      const reader = open(file.subarray(0, length))
      const frames = readAll(reader)
      expect(frames.length).toBe(length < 43 ? 0 : length < 61 ? 1 : 2)
      const whole = length === 24 || length === 43 || length === 61
      expect(reader.error === undefined).toBe(whole)
      if (!whole) expect(reader.error).toMatch(/^file ends inside (the header of )?record [12]/)
    }
  })

  it('whose record claims an absurd length are refused there', () => {
    const reader = open(classic(0xa1b2c3d4, true, [[0, 0, 0xffffff00, [1]]]))
    expect(readAll(reader)).toEqual([])
    expect(reader.error).toMatch(/record 1 claims 4294967040 bytes/)
  })

  it('are told from other files by their magic', () => {
    expect(openCapture(new Uint8Array(3))).toMatch(/not a capture file: 3 bytes/)
    expect(openCapture(Buffer.from('hello world, hello world'))).toMatch(/magic 0x6c6c6568/)
    expect(openCapture(classic(0xa1b2c3d4, true, []).subarray(0, 20))).toMatch(/20 of 24/)
  })
})

describe('pcapng files', () => {
  const block = (little: boolean, type: number, body: number[]): number[] => {
    const padded = [...body, ...new Array<number>((4 - (body.length % 4)) % 4).fill(0)]
    const u32 = (n: number): number[] => {
      const b = [n & 255, (n >> 8) & 255, (n >> 16) & 255, n >>> 24]
      return little ? b : b.reverse()
    }
    const length = u32(padded.length + 12)
    return [...u32(type), ...length, ...padded, ...length]
  }
  const le = (...words: number[]): number[] => [...new Uint8Array(Uint32Array.from(words).buffer)]
  const be = (...words: number[]): number[] =>
    words.flatMap((w) => [w >>> 24, (w >> 16) & 255, (w >> 8) & 255, w & 255])
  const section = (little: boolean): number[] =>
    block(little, 0x0a0d0d0a, (little ? le : be)(0x1a2b3c4d, little ? 1 : 0x00010000, 0xffffffff, 0xffffffff))
  const whole = [
    ...section(true),
    // Ethernet, with nanoseconds (tsresol 9) as option.
    ...block(true, 1, [1, 0, 0, 0, ...le(0), 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]),
    ...block(true, 0x0bad, [1, 2, 3]),
    ...block(true, 6, [...le(0, 1, 5, 3, 60), 7, 8, 9]),
    ...section(false),
    ...block(false, 1, [0, 1, 0, 0, ...be(2)]),
    ...block(false, 3, [...be(2), 4, 5]),
  ]

  it('of two sections with different byte orders are read', () => {
    const reader = open(Uint8Array.from(whole))
    expect(readAll(reader)).toEqual([
      { bytes: Uint8Array.of(7, 8, 9), originalLength: 60, time: 2n ** 32n + 5n, linkType: 1 },
      { bytes: Uint8Array.of(4, 5), originalLength: 2, time: 0n, linkType: 1 },
    ])
    expect(reader.error).toBeUndefined()
  })

  it('never throw, whatever byte is changed and wherever they are cut', () => {
    for (let at = 4; at < whole.length; at++) {
      for (const value of [0, 1, 0x7f, 0xff]) {
        const file = Uint8Array.from(whole)
        file[at] = value
        const reader = openCapture(file)
        if (typeof reader !== 'string') expect(readAll(reader).length).toBeLessThan(10)
      }
      const cut = openCapture(Uint8Array.from(whole.slice(0, at)))
      if (typeof cut !== 'string') expect(readAll(cut).length).toBeLessThanOrEqual(2)
    }
  })

  it('with lengths that lie say so', () => {
    const lie = [
      ...section(true),
      ...block(true, 1, [1, 0, 0, 0, ...le(0)]),
      ...block(true, 6, [...le(0, 0, 0, 40, 40), 1]),
    ]
    const reader = open(Uint8Array.from(lie))
    expect(readAll(reader)).toEqual([])
    expect(reader.error).toBe('packet block claims 40 captured bytes, 4 are there')
  })
})
