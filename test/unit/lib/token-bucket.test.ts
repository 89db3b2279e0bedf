import { describe, expect, it } from 'vitest'
import { TokenBucket, TokenBuckets } from '../../../src/lib/token-bucket.ts'

const taken = (n: number, take: () => boolean): number => Array.from({ length: n }, take).filter(Boolean).length

describe('TokenBucket', () => {
  it('lets a burst through, then its rate, and saves up no more than the burst', () => {
    const bucket = new TokenBucket(10, 3, 1000)
    expect(taken(5, () => bucket.take(1000))).toBe(3)
    expect(taken(5, () => bucket.take(1250))).toBe(2)
    expect(taken(5, () => bucket.take(1300))).toBe(1)
    expect(taken(9, () => bucket.take(60_000))).toBe(3)
  })
})

describe('TokenBuckets', () => {
  it('holds each to its own limit, and all to theirs', () => {
    const buckets = new TokenBuckets([1, 2], [1, 5], 100, 0)
    expect(taken(4, () => buckets.take('a', 0))).toBe(2)
    expect(taken(4, () => buckets.take('b', 0))).toBe(2)
    expect(taken(4, () => buckets.take('c', 0))).toBe(1)
  })

  it('takes nothing from all for one that is over its own', () => {
    const buckets = new TokenBuckets([1, 1], [1, 2], 100, 0)
    expect(taken(50, () => buckets.take('a', 0))).toBe(1)
    expect(buckets.take('b', 0)).toBe(true)
  })

  it('forgets the least recently used', () => {
    const buckets = new TokenBuckets([1, 1], [1, 100], 2, 0)
    for (const name of ['a', 'b', 'a', 'c']) buckets.take(name, 0)
    expect(buckets.size).toBe(2)
    expect(buckets.take('a', 0)).toBe(false)
    expect(buckets.take('b', 0)).toBe(true)
  })
})
