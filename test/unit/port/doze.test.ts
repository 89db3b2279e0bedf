import { expect, it } from 'vitest'
import { DOZE_MS, Doze } from '../../../src/port/doze.ts'

const after = (...times: readonly number[]): Doze => {
  const doze = new Doze()
  for (const time of times) doze.worked(time)
  return doze
}

it('begins with the third frame of a pace', () => {
  expect(after().wanted(1000)).toBe(false)
  expect(after(1000).wanted(1001)).toBe(false)
  expect(after(1000, 1010).wanted(1011)).toBe(false)
  expect(after(1000, 1010, 1020).wanted(1021)).toBe(true)
})

it('ends when nothing has come for a while', () => {
  const doze = after(1000, 1010, 1020)
  expect(doze.wanted(1020 + DOZE_MS)).toBe(true)
  expect(doze.wanted(1021 + DOZE_MS)).toBe(false)
})

it('does not take what comes at once for a pace', () => {
  expect(after(1000, 1000, 1001, 1001, 1001).wanted(1002)).toBe(false)
})

it('does not wait for what comes seldom', () => {
  expect(after(1000, 2000, 3000, 4000, 5000).wanted(5001)).toBe(false)
  expect(after(1000, 1010, 1020, 2000).wanted(2001)).toBe(false)
})
