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

test('nothing is known of a port that is gone', () => {
  const behind = new Behind()
  behind.add(1, 7, 3)
  behind.setLate(1, -1, -1)
  for (let order = 0; order < 5000; order++) behind.add(1, order, 9)
  expect(behind.has(1, 123_456)).toBe(true)
  behind.forget(1)
  expect([behind.has(1, 7), behind.has(1, 123_456), behind.size]).toEqual([false, false, 0])
})
