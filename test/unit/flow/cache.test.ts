import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FlowCache } from '../../../src/flow/cache.ts'
import { createKey, K_DP_WORDS, K_IN_PORT, K_NW_DST, K_TP } from '../../../src/flow/key.ts'

const WORDS = [K_IN_PORT, K_NW_DST, K_TP]
const MASKS = [0, 0xff, 0xffff, -1]

const keyOf = (values: number[]) => {
  const key = createKey()
  WORDS.forEach((w, i) => {
    key[w] = values[i]!
  })
  return key
}

/** The obvious twin: all flows in a list, compared word by word. */
class LinearTable {
  readonly flows = new Map<number, { mask: Int32Array; key: Int32Array }>()
  matches(id: number, key: Int32Array): boolean {
    const flow = this.flows.get(id)
    if (!flow) return false
    for (let w = 0; w < K_DP_WORDS; w++) if ((key[w]! & flow.mask[w]!) !== (flow.key[w]! & flow.mask[w]!)) return false
    return true
  }
  any(key: Int32Array): boolean {
    return [...this.flows.keys()].some((id) => this.matches(id, key))
  }
}

const small = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 3, maxLength: 3 })
const op = fc.oneof(
  fc.record({
    type: fc.constant('put' as const),
    id: fc.integer({ min: 0, max: 40 }),
    values: small,
    masks: fc.array(fc.constantFrom(...MASKS), { minLength: 3, maxLength: 3 }),
  }),
  fc.record({ type: fc.constant('delete' as const), id: fc.integer({ min: 0, max: 40 }) }),
  fc.record({ type: fc.constant('lookup' as const), values: small }),
  fc.record({ type: fc.constant('sort' as const) }),
)

describe('FlowCache', () => {
  it('agrees with a linear table', () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 200 }), fc.constantFrom(4, 64), (ops, entries) => {
        const cache = new FlowCache(undefined, entries)
        const twin = new LinearTable()
        for (const o of ops) {
          if (o.type === 'put') {
            const flow = { mask: keyOf(o.masks), key: keyOf(o.values) }
            cache.put(o.id, flow.mask, flow.key)
            twin.flows.set(o.id, flow)
          } else if (o.type === 'delete') {
            expect(cache.delete(o.id)).toBe(twin.flows.delete(o.id))
          } else if (o.type === 'lookup') {
            const key = keyOf(o.values)
            for (let again = 0; again < 2; again++) {
              const id = cache.lookup(key)
              if (id < 0) expect(twin.any(key)).toBe(false)
              else expect(twin.matches(id, key)).toBe(true)
            }
          } else cache.sort()
          expect(cache.flows).toBe(twin.flows.size)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('finds each of many flows of one mask after growth and removal', () => {
    const cache = new FlowCache(undefined, 64)
    const mask = keyOf([-1, -1, 0])
    const n = 20_000
    for (let id = 0; id < n; id++) cache.put(id, mask, keyOf([1, id * 7919, 0]))
    expect(cache.masks).toBe(1)
    for (let id = 0; id < n; id += 2) cache.delete(id)
    for (let id = 0; id < n; id++) expect(cache.lookup(keyOf([1, id * 7919, 5]))).toBe(id % 2 ? id : -1)
    for (let id = 1; id < n; id += 2) cache.delete(id)
    expect([cache.flows, cache.masks]).toEqual([0, 0])
  })

  it('answers repeated keys from the cache when there are several masks, until the flow goes', () => {
    const cache = new FlowCache(undefined, 64)
    cache.put(5, keyOf([-1, -1, -1]), keyOf([7, 7, 7]))
    cache.put(3, keyOf([-1, 0, 0]), keyOf([1, 0, 0]))
    const key = keyOf([1, 2, 3])
    expect(cache.lookup(key)).toBe(3)
    expect(cache.lookup(key)).toBe(3)
    expect([cache.flowHits, cache.cacheHits, cache.misses]).toEqual([1, 1, 0])
    cache.delete(3)
    expect(cache.lookup(key)).toBe(-1)
    cache.put(3, keyOf([-1, -1, 0]), keyOf([1, 9, 0]))
    expect(cache.lookup(key)).toBe(-1)
  })

  it('tries the most used mask first after sorting', () => {
    const cache = new FlowCache(undefined, 4)
    for (let i = 0; i < 8; i++) cache.put(i, keyOf([-1, 0, 1 << i]), keyOf([1, 0, 1 << i]))
    const probesFor = (key: Int32Array) => {
      const before = cache.maskProbes
      cache.lookup(key)
      return cache.maskProbes - before
    }
    for (let i = 0; i < 50; i++) probesFor(keyOf([1, i, 128]))
    cache.sort()
    expect(probesFor(keyOf([1, 1000, 128]))).toBe(1)
  })
})
