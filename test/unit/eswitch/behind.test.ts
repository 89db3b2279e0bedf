import { expect, test } from 'vitest'
import { Behind } from '../../../src/eswitch/behind.ts'
import { microflowBit } from '../../../src/port/link.ts'

test('a microflow is behind until the marker after it is back', () => {
  const behind = new Behind()
  behind.add(1, 77, 3)
  expect([behind.has(1, 77), behind.has(1, 78), behind.has(2, 77), behind.size]).toEqual([true, false, false, 1])
  behind.answered(1, 2)
  expect(behind.has(1, 77)).toBe(true)
  behind.answered(1, 3)
  expect([behind.has(1, 77), behind.size]).toEqual([false, 0])
})

test('and while the datapath says that frames of it are late', () => {
  const behind = new Behind()
  const microflows = Array.from({ length: 64 }, (_, i) => i)
  expect(new Set(microflows.map(microflowBit)).size).toBe(64)
  for (const late of [0, 31, 32, 63]) {
    const bit = microflowBit(late)
    behind.setLate(5, bit < 32 ? 1 << bit : 0, bit < 32 ? 0 : 1 << (bit - 32))
    expect(microflows.filter((order) => behind.has(5, order))).toEqual([late])
    expect([behind.has(4, late), behind.size]).toEqual([false, 1])
  }
  behind.setLate(5, 0, 0)
  expect([behind.has(5, 63), behind.size]).toEqual([false, 0])
})

test('of many microflows none is forgotten, nor is it any more when its marker is back; others hardly ever count', () => {
  const behind = new Behind()
  const order = (n: number): number => Math.imul(n + 1, 0x45d9f3b) ^ (n << 7)
  for (let marker = 1; marker <= 8; marker++) {
    for (let n = 0; n < 10_000; n++) behind.add(1, order(n), marker)
    for (let n = 0; n < 10_000; n++) expect(behind.has(1, order(n))).toBe(true)
    expect([behind.has(2, order(0)), behind.size]).toEqual([false, 1])
    // It has grown to what comes between two answers.
    if (marker > 1) {
      let others = 0
      for (let n = 10_000; n < 20_000; n++) if (behind.has(1, order(n))) others++
      expect(others).toBeLessThan(1000)
    }
    behind.answered(1, marker)
    for (let n = 0; n < 20_000; n++) expect(behind.has(1, order(n))).toBe(false)
    expect(behind.size).toBe(0)
  }
})

test('a marker ends what is older, and nothing that came after it', () => {
  const behind = new Behind()
  for (let n = 0; n < 5000; n++) behind.add(1, n, 4)
  behind.answered(1, 4)
  behind.add(1, 7, 5)
  behind.add(1, 9, 6)
  behind.answered(1, 3)
  behind.answered(1, 5)
  expect([behind.has(1, 7), behind.has(1, 9), behind.size]).toEqual([false, true, 1])
  behind.answered(1, 9)
  expect([behind.has(1, 9), behind.size]).toEqual([false, 0])
})

test('nothing is known of a port that is gone', () => {
  const behind = new Behind()
  behind.add(1, 7, 3)
  behind.setLate(1, -1, -1)
  for (let order = 0; order < 5000; order++) behind.add(1, order, 9)
  expect(behind.has(1, 123_456)).toBe(true)
  behind.forget(1)
  expect([behind.has(1, 7), behind.has(1, 123_456), behind.size]).toEqual([false, false, 0])
})
