import { expect, test } from 'vitest'
import * as E from '../../../src/flow/execute.ts'
import { DROP_REASONS, DROP_WORDS } from '../../../src/port/drop.ts'
import { LOST_DROPS } from '../../../src/port/lost.ts'

test('every way to lose a packet has its own drop reason', () => {
  expect(LOST_DROPS.length).toBe(E.LOST_REASONS)
  expect([...LOST_DROPS].every((at) => at >= 0)).toBe(true)
  expect(new Set(LOST_DROPS).size).toBe(E.LOST_REASONS)
  expect(DROP_REASONS[LOST_DROPS[E.LOST_NEIGHBOUR_TIMEOUT]!]).toBe('neighbour-timeout')
  expect(DROP_REASONS[LOST_DROPS[E.LOST_OUTER_FRAGMENT]!]).toBe('outer-fragment')
})

test('there is a counter for every reason', () => {
  expect(DROP_REASONS.length).toBeLessThanOrEqual(DROP_WORDS)
})
