import { expect, it } from 'vitest'
import { HashCache } from '../../../src/flow/hash-cache.ts'

it('knows what was put last for a hash', () => {
  const cache = new HashCache(64)
  expect(cache.find(5)).toBe(-1)
  cache.insert(5, 0)
  cache.insert(-7, 1_000_000)
  expect([cache.find(5), cache.find(-7), cache.find(6)]).toEqual([0, 1_000_000, -1])
  cache.insert(5, 8)
  expect(cache.find(5)).toBe(8)
})

it('says nothing of a hash of 0 before it was put', () => {
  const cache = new HashCache(4)
  expect(cache.find(0)).toBe(-1)
  cache.insert(0, 3)
  expect(cache.find(0)).toBe(3)
})

it('a full set gives up one of its places, not the others', () => {
  const cache = new HashCache(4)
  for (let i = 0; i < 5; i++) cache.insert(i, i)
  const left = [0, 1, 2, 3, 4].filter((i) => cache.find(i) === i)
  expect(left).toHaveLength(4)
  expect(left).toContain(4)
})

it.each([0, 2, 3, 6])('%d entries are refused', (entries) => {
  expect(() => new HashCache(entries)).toThrow(/a power of two >= 4 expected/)
})
