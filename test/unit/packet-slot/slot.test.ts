import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  BIG_SIZE,
  createArena,
  HEADROOM,
  M_BASE,
  M_LEN,
  M_MARK,
  M_OFF,
  M_OWNER,
  M_SIZE,
  META_WORDS,
  SlotPool,
  SMALL_SIZE,
} from '../../../src/packet/slot.ts'

describe('arena', () => {
  it('cuts the memory into slots that do not overlap', () => {
    const arena = createArena(3, 5, 2)
    let end = 0
    for (let slot = 0; slot < 21; slot++) {
      const m = slot * META_WORDS
      expect(arena.meta[m + M_BASE]).toBe(end)
      expect(arena.meta[m + M_OWNER]).toBe(Math.floor(slot / 7))
      end += arena.meta[m + M_SIZE]!
    }
    expect(arena.bytes.length).toBe(end)
    expect(() => createArena(100, 0, 1000)).toThrow(RangeError)
  })
})

describe('pool', () => {
  it('gives each slot to one holder at a time, the last returned first, by class', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.integer({ min: 1, max: BIG_SIZE }), fc.constant(0)), { maxLength: 60 }),
        (steps) => {
          const arena = createArena(2, 6, 3)
          const pool = new SlotPool(arena, 1)
          const held: number[] = []
          for (const len of steps) {
            if (len === 0) {
              const slot = held.pop()
              if (slot === undefined) continue
              pool.give(slot)
              expect(pool.take(arena.meta[slot * META_WORDS + M_SIZE]! - HEADROOM)).toBe(slot)
              pool.give(slot)
              continue
            }
            const slot = pool.take(len)
            if (slot < 0) {
              expect(len > BIG_SIZE - HEADROOM || pool.bigFree === 0).toBe(true)
              continue
            }
            expect(held).not.toContain(slot)
            expect(arena.meta[slot * META_WORDS + M_OWNER]).toBe(1)
            expect(arena.meta[slot * META_WORDS + M_SIZE]! - HEADROOM).toBeGreaterThanOrEqual(len)
            held.push(slot)
          }
          expect(pool.smallFree + pool.bigFree + held.length).toBe(9)
          pool.reset()
          expect([pool.smallFree, pool.bigFree]).toEqual([6, 3])
        },
      ),
    )
  })

  it('takes a big slot when the small ones have run out', () => {
    const pool = new SlotPool(createArena(1, 1, 1), 0)
    pool.take(1)
    expect(pool.arena.meta[pool.take(1) * META_WORDS + M_SIZE]).toBe(BIG_SIZE)
    expect(pool.take(1)).toBe(-1)
  })

  it('copies bytes and metadata, with headroom again', () => {
    const arena = createArena(1, 2, 0)
    const pool = new SlotPool(arena, 0)
    const slot = pool.take(100)
    const m = slot * META_WORDS
    arena.meta[m + M_OFF] = arena.meta[m + M_BASE]! + 4
    arena.meta[m + M_LEN] = 3
    arena.meta[m + M_MARK] = 77
    arena.bytes.set([1, 2, 3], arena.meta[m + M_OFF]!)
    const copy = pool.copy(slot)
    const c = copy * META_WORDS
    expect(arena.meta[c + M_OFF]).toBe(arena.meta[c + M_BASE]! + HEADROOM)
    expect([...arena.bytes.subarray(arena.meta[c + M_OFF]!, arena.meta[c + M_OFF]! + 3)]).toEqual([1, 2, 3])
    expect([arena.meta[c + M_LEN], arena.meta[c + M_MARK], arena.meta[c + M_SIZE]]).toEqual([3, 77, SMALL_SIZE])
    expect(pool.copy(slot)).toBe(-1)
  })
})
