import { expect, it } from 'vitest'
import { IdPool } from '../../../src/lib/id-pool.ts'

it('gives out again what came back, and else the next one', () => {
  const pool = new IdPool()
  expect([pool.take(), pool.take(), pool.take(), pool.taken]).toEqual([0, 1, 2, 3])
  pool.give(0)
  pool.give(2)
  expect([pool.taken, pool.take(), pool.take(), pool.take(), pool.taken]).toEqual([1, 2, 0, 3, 4])
})
