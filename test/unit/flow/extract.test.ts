/**
 * What the comparison with ovs-ofctl cannot see: fields that it does not print, the bounds of reading, and metadata.
 * The comparison itself is test/system/extract.
 */
import { describe, expect, it } from 'vitest'
import { extract } from '../../../src/flow/extract.ts'
import { extractFrame } from '../../../src/flow/extract-frame.ts'
import { getField } from '../../../src/flow/fields.ts'
import * as K from '../../../src/flow/key.ts'
import { fieldNamed } from '../../../src/flow/registry.ts'
import * as S from '../../../src/packet/slot.ts'
import { randomFrame } from '../../fuzz/extract/frames.ts'
import { Random } from '../../fuzz/extract/random.ts'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const MACS = '0a0000000202 0c0000000101'
const A6 = 'fe800000000000000000000000000001'

const keyOf = (frame: Uint8Array): Int32Array => {
  const key = K.createKey().fill(-1)
  extract(frame, 0, frame.length, key)
  return key
}

const get = (key: Int32Array, name: string): bigint => getField(key, fieldNamed(name))

const nd = (options: string): Uint8Array => {
  const body = `87 00 0000 20000007 ${A6} ${options}`
  const length = body.replaceAll(' ', '').length / 2
  return hex(`${MACS} 86dd 60000000 ${length.toString(16).padStart(4, '0')} 3aff ${A6} ${A6} ${body}`)
}

describe('extract', () => {
  it('clears what a frame does not have, and leaves metadata and pipeline words alone', () => {
    const key = keyOf(new Uint8Array(13))
    expect([...key.subarray(K.K_ETH, K.K_DP_WORDS)].every((word) => word === 0)).toBe(true)
    expect([...key.subarray(0, K.K_ETH), ...key.subarray(K.K_DP_WORDS)].every((word) => word === -1)).toBe(true)
  })

  it('reads addresses and both tags with their TPIDs', () => {
    const key = keyOf(hex(`${MACS} 88a8 2064 8100 00c8 0806`))
    expect(get(key, 'dl_dst')).toBe(0x0a0000000202n)
    expect(get(key, 'dl_src')).toBe(0x0c0000000101n)
    expect(key[K.K_VLAN0]! >>> 0).toBe(0x88a83064)
    expect(key[K.K_VLAN1]! >>> 0).toBe(0x810010c8)
    expect(get(key, 'dl_type')).toBe(0x0806n)
  })

  it('reads the reserved word and the first option type of neighbour discovery', () => {
    const key = keyOf(nd('0101 0c0000000101 0201 0a0000000202'))
    expect(get(key, 'nd_reserved')).toBe(0x20000007n)
    expect(get(key, 'nd_options_type')).toBe(1n)
    expect(get(key, 'nd_target')).toBe(BigInt(`0x${A6}`))
    expect(get(key, 'nd_sll')).toBe(0x0c0000000101n)
    expect(get(key, 'nd_tll')).toBe(0x0a0000000202n)
  })

  it('voids target and addresses, not the rest, when a link-layer option comes twice', () => {
    const key = keyOf(nd('0201 0a0000000202 0201 0a0000000202'))
    expect(get(key, 'nd_target')).toBe(0n)
    expect(get(key, 'nd_tll')).toBe(0n)
    expect(get(key, 'nd_options_type')).toBe(2n)
    expect(get(key, 'nd_reserved')).toBe(0x20000007n)
    expect(get(key, 'icmpv6_type')).toBe(135n)
  })

  it('reads the IGMP group', () => {
    const key = keyOf(hex(`${MACS} 0800 4500 001c 0000 0000 0102 0000 0a000001 e0000001 1600 0000 e1020304`))
    expect(key[K.K_IGMP_GROUP]! >>> 0).toBe(0xe1020304)
    expect(get(key, 'tp_src')).toBe(0x16n)
  })

  it('never reads outside of the frame, on random frames', () => {
    const r = new Random(7)
    const inZeros = new Uint8Array(2048)
    const inOnes = new Uint8Array(2048)
    for (let i = 0; i < 20_000; i++) {
      const frame = randomFrame(r).subarray(0, 1500)
      const off = 1 + r.below(200)
      inZeros.fill(0).set(frame, off)
      // The pattern behind and before continues what a header wants: more labels, tags, options.
      inOnes.fill(r.pick([0xff, 1, 2, 0x81, 0xaa])).set(frame, off)
      const a = K.createKey()
      const b = K.createKey()
      extract(inZeros, off, frame.length, a)
      extract(inOnes, off, frame.length, b)
      expect(b).toEqual(a)
    }
  })

  it('gives numbers in range, and no exception, on pure noise of any length', () => {
    const r = new Random(3)
    for (let i = 0; i < 5000; i++) {
      const noise = Uint8Array.from(r.bytes(r.below(120)))
      const key = keyOf(noise)
      expect(key[K.K_NW]! & 0xff).toBeLessThan(4)
    }
  })
})

describe('extractFrame', () => {
  it('takes metadata from the slot and the rest from the frame', () => {
    const arena = S.createArena(1, 2, 0)
    const m = 1 * S.META_WORDS
    const frame = hex(`${MACS} 1234 0000`)
    arena.bytes.set(frame, arena.meta[m + S.M_OFF]!)
    arena.meta[m + S.M_LEN] = frame.length
    const words: [number, number, number][] = [
      [S.M_PORT, K.K_IN_PORT, 1],
      [S.M_RECIRC_ID, K.K_RECIRC_ID, 1],
      [S.M_MARK, K.K_MARK, 1],
      [S.M_HASH, K.K_DP_HASH, 1],
      [S.M_PRIORITY, K.K_PRIORITY, 1],
      [S.M_CT_STATE, K.K_CT_STATE, 1],
      [S.M_CT_MARK, K.K_CT_MARK, 1],
      [S.M_CT_LABEL, K.K_CT_LABEL, 4],
      [S.M_TUN_ID, K.K_TUN_ID, 2],
      [S.M_TUN_META, K.K_TUN_META, 1],
      [S.M_TUN_TP, K.K_TUN_TP, 1],
      [S.M_TUN_SRC, K.K_TUN_SRC, 4],
      [S.M_TUN_DST, K.K_TUN_DST, 4],
    ]
    let value = 100
    for (const [from, , n] of words) for (let i = 0; i < n; i++) arena.meta[m + from + i] = value++
    const key = K.createKey().fill(-1)
    extractFrame(arena, 1, key)
    value = 100
    for (const [, to, n] of words) for (let i = 0; i < n; i++) expect(key[to + i]).toBe(value++)
    expect(key[K.K_TUN_GBP]).toBe(0)
    expect(get(key, 'dl_type')).toBe(0x1234n)
    expect(key[K.K_PIPE]).toBe(-1)
  })
})
