/** Offsets agree with extraction: the same frames, told in two ways. */
import { describe, expect, it } from 'vitest'
import { extract } from '../../../src/flow/extract.ts'
import { createKey, FRAG_LATER, K_DL_TYPE, K_NW, K_TP, K_VLAN0, K_VLAN1 } from '../../../src/flow/key.ts'
import * as L from '../../../src/packet/layout.ts'
import { randomFrame } from '../../fuzz/extract/frames.ts'
import { Random } from '../../fuzz/extract/random.ts'

const offsets = (frame: Uint8Array): Int32Array => {
  const out = new Int32Array(L.L_WORDS).fill(77)
  L.parseOffsets(frame, 0, frame.length, out)
  return out
}

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const MACS = '020000000202 020000000101'
const UDP4 = '4500 001e 0000 0000 4011 0000 0a000001 0a000002 0001 0002 000a 0000 6162'

describe('parseOffsets', () => {
  it('finds the layers of a tagged UDP packet with padding', () => {
    const out = offsets(hex(`${MACS} 8100 0005 0800 ${UDP4} 0000000000`))
    expect([...out.subarray(0, 7)]).toEqual([-1, 18, 38, 17, 48, 0x0800, 1])
  })

  it('finds what follows an MPLS stack, without looking into it', () => {
    const out = offsets(hex(`${MACS} 8847 00001040 00002140 ${UDP4}`))
    expect([...out.subarray(0, 7)]).toEqual([14, 22, -1, -1, 52, 0x8847, 0])
  })

  it('gives no transport header for a later fragment, nor for one that is cut short', () => {
    const later = hex(`${MACS} 0800 ${UDP4.replace('0000 0000 4011', '0000 0001 4011')}`)
    expect([offsets(later)[L.L_L4], offsets(later)[L.L_PROTO]]).toEqual([-1, 17])
    const short = hex(`${MACS} 0800 ${UDP4.replace('001e', '001b')}`)
    expect([offsets(short)[L.L_L4], offsets(short)[L.L_PROTO]]).toEqual([-1, 17])
  })

  it('finds nothing in a runt', () => {
    expect([...offsets(new Uint8Array(13)).subarray(0, 7)]).toEqual([-1, -1, -1, -1, 13, -1, 0])
  })

  it('agrees with extraction on random frames', () => {
    const r = new Random(11)
    const key = createKey()
    for (let i = 0; i < 20_000; i++) {
      const frame = randomFrame(r)
      const out = offsets(frame)
      extract(frame, 0, frame.length, key)
      if (frame.length < 14) continue
      expect(out[L.L_TYPE]).toBe(key[K_DL_TYPE]! >>> 16)
      expect(out[L.L_TAGS]).toBe(Number(key[K_VLAN0] !== 0) + Number(key[K_VLAN1] !== 0))
      const ip = out[L.L_TYPE] === 0x0800 || out[L.L_TYPE] === 0x86dd
      if (!ip) expect(out[L.L_PROTO]).toBe(-1)
      else if (out[L.L_PROTO]! >= 0) expect(out[L.L_PROTO]).toBe(key[K_NW]! >>> 24)
      else expect(key[K_NW]).toBe(0)
      if (ip && key[K_TP] !== 0) expect(out[L.L_L4]).toBeGreaterThan(0)
      if ((key[K_NW]! & FRAG_LATER) !== 0 && ip) expect(out[L.L_L4]).toBe(-1)
      const l4 = out[L.L_L4]!
      const proto = out[L.L_PROTO]!
      if (l4 >= 0 && (proto === 6 || proto === 17 || proto === 132)) {
        expect(key[K_TP]! >>> 0).toBe(new DataView(frame.buffer, frame.byteOffset).getUint32(l4))
      }
      expect(out[L.L_END]).toBeLessThanOrEqual(frame.length)
      expect(l4).toBeLessThanOrEqual(out[L.L_END]!)
    }
  })
})
