import { expect, test } from 'vitest'
import * as E from '../../../src/flow/execute.ts'
import { DROP_REASONS, DROP_WORDS } from '../../../src/port/drop.ts'
import { LOST_DROPS } from '../../../src/port/lost.ts'

/** Where nothing is lost, and the number of them. */
const UNCOUNTED = ['LOST_TAKEN', 'LOST_REASONS']

test('every way to lose a packet has its own drop reason', () => {
  const ways = Object.entries(E).filter(([name]) => name.startsWith('LOST_') && !UNCOUNTED.includes(name))
  const drops = ways.map(([name, why]) => {
    expect(LOST_DROPS[why as number], name).toBeGreaterThanOrEqual(0)
    return LOST_DROPS[why as number]
  })
  expect(new Set(drops).size).toBe(ways.length)
  expect([...LOST_DROPS].filter((at) => at >= 0).length).toBe(ways.length)
  expect(DROP_REASONS[LOST_DROPS[E.LOST_NEIGHBOUR_TIMEOUT]!]).toBe('neighbour-timeout')
  expect(DROP_REASONS[LOST_DROPS[E.LOST_OUTER_FRAGMENT]!]).toBe('outer-fragment')
})

test('there is a counter for every reason', () => {
  expect(DROP_REASONS.length).toBeLessThanOrEqual(DROP_WORDS)
})
