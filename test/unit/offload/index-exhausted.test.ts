import { expect, test } from 'vitest'
import { createRig, matchOf, output } from './fakes.ts'

test('a provider that is full although it has room evicts nobody; its next goodbye is a place', () => {
  const { put, module, nic0, scheduler, code } = createRig()
  const first = put(matchOf(1, 1), [output(2)])
  const { rulePut } = nic0
  nic0.rulePut = () => 'full'
  const id = put(matchOf(1, 2), [output(2)])
  expect([first, id].map(code)).toEqual(['offloaded', 'table-full'])
  expect(module.summary().eswitches[0]).toMatchObject({ evictions: 0, waiting: 1 })
  nic0.rulePut = rulePut
  module.flowDel(first)
  scheduler.drain()
  expect(code(id)).toBe('offloaded')
})
