import { describe, expect, it } from 'vitest'
import { nicenessFor, parseNiceness } from '../../../src/lib/niceness.ts'

describe('a niceness', () => {
  it('is a whole number of -20..19', () => {
    expect(['-20', '-3', '0', '19'].map(parseNiceness)).toEqual([-20, -3, 0, 19])
    for (const text of ['', '-', '-21', '20', '1.5', 'high', '3 '])
      expect(() => parseNiceness(text)).toThrow(`--nice ${text}: a niceness of -20..19 expected`)
  })

  it('that was asked for is taken; otherwise one that the process has been given stays', () => {
    expect(nicenessFor(0, 5)).toBe(0)
    expect(nicenessFor(7, 0)).toBe(7)
    expect(nicenessFor(undefined, 5)).toBe(5)
    expect(nicenessFor(undefined, 0)).toBe(-4)
  })
})
