/** Whatever differs between a frame and the one before it, its key and its flow are what extraction and look-up give. */
import { describe, expect, it } from 'vitest'
import { FlowCache } from '../../../src/flow/cache.ts'
import { extractFrame } from '../../../src/flow/extract-frame.ts'
import { createKey, K_IN_PORT, K_NW, K_TCP_FLAGS, K_TP } from '../../../src/flow/key.ts'
import { KnownHeaders } from '../../../src/flow/known-headers.ts'
import { Looks } from '../../../src/flow/looks.ts'
import { microflow } from '../../../src/flow/microflow.ts'
import * as S from '../../../src/packet/slot.ts'
import { randomFrame } from '../../fuzz/extract/frames.ts'
import { Random } from '../../fuzz/extract/random.ts'
import { build, type FrameFields } from '../../pipeline/tiers/frames.ts'

const ETH = { dst: '02:00:00:00:00:02', src: '02:00:00:00:00:01' }
const IP = { src: '10.0.0.1', dst: '10.0.0.2' }
const IP6 = { src: 'fd00::1', dst: 'fd00::2' }
const TCP = { src: 40000, dst: 5201 }
const TAG = [{ tpid: 0x8100, tci: 100 }]

const KNOWN: Record<string, FrameFields> = {
  'TCP over IPv4': { ...ETH, ip: IP, tcp: TCP, payload: [1, 2, 3] },
  'UDP over IPv4': { ...ETH, ip: IP, udp: { src: 1, dst: 53 }, payload: [1, 2, 3] },
  'an echo over IPv4': { ...ETH, ip: IP, icmp: { type: 8, code: 0 }, payload: [0, 1, 0, 2, 3] },
  'TCP over IPv6': { ...ETH, ip6: IP6, tcp: TCP },
  'UDP over IPv6': { ...ETH, ip6: IP6, udp: { src: 1, dst: 53 }, payload: [1, 2, 3] },
  'tagged TCP over IPv4': { ...ETH, vlans: TAG, ip: IP, tcp: TCP },
  'tagged UDP over IPv6': { ...ETH, vlans: TAG, ip6: IP6, udp: { src: 1, dst: 53 }, payload: [9] },
}

const arena = S.createArena(1, 4, 0)
const { bytes, meta } = arena

/** Puts a frame into the slot, as it was received by the port or with other metadata. */
const put = (slot: number, frame: Uint8Array, align = 0, words: Record<number, number> = {}): number => {
  const m = slot * S.META_WORDS
  const off = meta[m + S.M_BASE]! + S.HEADROOM + align
  bytes.fill(0xee, meta[m + S.M_BASE]!, meta[m + S.M_BASE]! + S.SMALL_SIZE)
  bytes.set(frame, off)
  meta.fill(0, m + S.M_LEN, m + S.META_WORDS)
  meta[m + S.M_OFF] = off
  meta[m + S.M_LEN] = frame.length
  meta[m + S.M_PORT] = 3
  for (const [word, value] of Object.entries(words)) meta[m + Number(word)] = value
  return slot
}

const keyOf = (slot: number): Int32Array => {
  const key = createKey()
  extractFrame(arena, slot, key)
  return key
}

/** Whether slot 1's frame is taken for one like slot 0's; if so, its key must be as said. */
const alike = (headers: KnownHeaders): boolean => {
  if (!headers.isAlike(1)) return false
  const key = keyOf(0)
  key[K_TCP_FLAGS] = headers.flags << 16
  expect(key).toEqual(keyOf(1))
  return true
}

const flip = (frame: Uint8Array, bit: number): Uint8Array => {
  const other = frame.slice()
  other[bit >>> 3] = other[bit >>> 3]! ^ (0x80 >>> (bit & 7))
  return other
}

describe('known headers', () => {
  for (const [name, fields] of Object.entries(KNOWN)) {
    const frame = build(fields)
    it(`takes ${name} for known only with the same key, whichever bit differs`, () => {
      const headers = new KnownHeaders(arena)
      let n = 0
      for (let align = 0; align < 4; align++) {
        headers.remember(put(0, frame, align))
        for (let bit = 0; bit < frame.length * 8; bit++) {
          put(1, flip(frame, bit), align)
          if (alike(headers)) n++
        }
        for (let length = 0; length < frame.length + 8; length++) {
          const cut = new Uint8Array(length)
          cut.set(frame.subarray(0, length))
          put(1, cut, align)
          alike(headers)
        }
      }
      expect(n).toBeGreaterThan(100)
    })
  }

  const known = (fields: FrameFields, other: FrameFields): boolean => {
    const headers = new KnownHeaders(arena)
    headers.remember(put(0, build(fields)))
    put(1, build(other))
    return alike(headers)
  }

  it('knows the next packet of a connection: other length, identification, sequence number and flags', () => {
    const next = { ip: { ...IP, id: 7, frag: 0 }, tcp: { ...TCP, seq: 99, flags: 0x18 }, payload: [5] }
    expect(known(KNOWN['TCP over IPv4']!, { ...ETH, ...next })).toBe(true)
    expect(known(KNOWN['TCP over IPv6']!, { ...ETH, ip6: IP6, tcp: { ...TCP, flags: 0x1 }, payload: [5] })).toBe(true)
    expect(known(KNOWN['an echo over IPv4']!, { ...ETH, ip: IP, icmp: { type: 8, code: 0 }, payload: [7, 7] })).toBe(
      true,
    )
    expect(known(KNOWN['an echo over IPv4']!, { ...ETH, ip: IP, icmp: { type: 0, code: 0 } })).toBe(false)
  })

  it('knows no frame by another port, of another tunnel, of another round, or by another address in memory', () => {
    const headers = new KnownHeaders(arena)
    const frame = build(KNOWN['TCP over IPv4']!)
    headers.remember(put(0, frame, 0, { [S.M_TUN_ID + 1]: 5 }))
    for (const [words, align, is] of [
      [{ [S.M_TUN_ID + 1]: 5 }, 0, true],
      [{ [S.M_TUN_ID + 1]: 6 }, 0, false],
      [{ [S.M_TUN_ID + 1]: 5, [S.M_PORT]: 4 }, 0, false],
      [{ [S.M_TUN_ID + 1]: 5, [S.M_RECIRC_ID]: 1 }, 0, false],
      [{ [S.M_TUN_ID + 1]: 5, [S.M_MARK]: 1 }, 0, false],
      [{ [S.M_TUN_ID + 1]: 5 }, 2, false],
    ] as const) {
      put(1, frame, align, words)
      expect(alike(headers), JSON.stringify({ words, align })).toBe(is)
    }
    headers.forget()
    expect(headers.isAlike(0)).toBe(false)
  })

  it('does not remember what it could not tell from others', () => {
    for (const fields of [
      { ...ETH, ip: { ...IP, frag: 0x2000 }, udp: { src: 1, dst: 2 } },
      { ...ETH, ip: IP, sctp: { src: 1, dst: 2 } },
      { ...ETH, ip6: IP6, icmp6: { type: 135, code: 0, body: new Array<number>(28).fill(1) } },
      { ...ETH, vlans: [...TAG, ...TAG], ip: IP, tcp: TCP },
      { ...ETH, arp: { op: 1, sha: ETH.src, spa: IP.src, tha: ETH.dst, tpa: IP.dst } },
    ])
      expect(known(fields, fields), JSON.stringify(fields)).toBe(false)
  })
})

/** A mask and key of a flow of the port; the words given must be as in `key`. */
const flow = (table: FlowCache, id: number, key: Int32Array, ...words: readonly number[]): void => {
  const mask = createKey()
  for (const word of [K_IN_PORT, ...words]) mask[word] = -1
  table.put(id, mask, key)
}

describe('looks', () => {
  const first = build({ ...ETH, ip: IP, tcp: TCP })
  const pushed = build({ ...ETH, ip: IP, tcp: { ...TCP, flags: 0x18, seq: 1000 } })

  const setUp = () => {
    const table = new FlowCache()
    const looks = new Looks(arena, table)
    const look = (slot: number): number => {
      const one = looks.of(slot)
      one.extract(slot)
      expect(one.key).toEqual(keyOf(slot))
      expect(one.order).toBe(microflow(one.key))
      const found = one.find()
      expect(found).toBe(table.lookup(one.key))
      return found
    }
    return { table, look }
  }

  it('finds the flow of each, whatever comes after what', () => {
    const { table, look } = setUp()
    flow(table, 1, keyOf(put(0, first)), K_NW, K_TP)
    const random = new Random(11)
    const frames = [first, pushed, ...Object.values(KNOWN).map((fields) => build(fields))]
    for (let i = 0; i < 4_000; i++) {
      const pick = random.below(12)
      put(i & 3, frames[pick] ?? randomFrame(random), random.below(2) * 2, { [S.M_PORT]: 1 + random.below(2) })
      look(i & 3)
    }
  })

  it('asks the table again after a change', () => {
    const { table, look } = setUp()
    put(0, first)
    put(1, pushed)
    expect([look(0), look(1)]).toEqual([-1, -1])
    flow(table, 7, keyOf(0), K_TP)
    expect([look(0), look(1)]).toEqual([7, 7])
    table.delete(7)
    expect(look(0)).toBe(-1)
    flow(table, 8, keyOf(0), K_TP)
    expect(look(1)).toBe(8)
  })

  it('tells packets of one connection apart by their TCP flags where flows do', () => {
    const { table, look } = setUp()
    put(0, first)
    put(1, pushed)
    flow(table, 1, keyOf(0), K_TP, K_TCP_FLAGS)
    flow(table, 2, keyOf(1), K_TP, K_TCP_FLAGS)
    expect([look(0), look(1), look(0), look(0), look(1)]).toEqual([1, 2, 1, 1, 2])
  })

  it('counts a flow that it knows as a hit of the cache', () => {
    const table = new FlowCache()
    const looks = new Looks(arena, table)
    flow(table, 1, keyOf(put(0, first)), K_TP)
    for (let i = 0; i < 10; i++) {
      looks.of(0).extract(0)
      expect(looks.of(0).find()).toBe(1)
    }
    expect([table.cacheHits, table.flowHits, table.misses]).toEqual([9, 1, 0])
  })

  it('does not remember where no two frames in a row are alike, and tries again now and then', () => {
    const table = new FlowCache()
    const looks = new Looks(arena, table)
    flow(table, 1, keyOf(put(0, first)))
    const frame = (i: number) => build({ ...ETH, ip: IP, udp: { src: 1 + (i % 60_000), dst: 53 } })
    const hits = (n: number): number => {
      const before = table.cacheHits
      for (let i = 0; i < n; i++) {
        looks.of(0).extract(0)
        looks.of(0).find()
      }
      return table.cacheHits - before
    }
    for (let i = 0; i < 5; i++) {
      put(0, frame(i))
      expect(hits(1)).toBe(0)
    }
    put(0, first)
    expect(hits(60)).toBeGreaterThan(0)
    expect(hits(60)).toBe(60)
  })
})
