import fc from 'fast-check'
import { expect, it } from 'vitest'
import { FlowNames } from '../../../src/ofproto/flow-names.ts'

/** Many have words in common. */
const nameOf = (n: number): Int32Array => Int32Array.of(n % 5 === 0 ? -1 : n % 3, n & 1, 0, n)

it('finds those that are there, however crowded their places are', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 40 }), fc.array(fc.nat(60), { maxLength: 200 }), (flows, order) => {
      const names = new FlowNames(flows)
      const ids = new Map<number, number>()
      const free: number[] = []
      for (const n of order) {
        const id = ids.get(n)
        if (id !== undefined) {
          names.delete(id)
          ids.delete(n)
          free.push(id)
        } else {
          const fresh = free.pop() ?? ids.size
          names.add(fresh, nameOf(n))
          ids.set(n, fresh)
        }
        for (let m = 0; m <= 60; m++) expect(names.find(nameOf(m))).toBe(ids.get(m) ?? -1)
      }
    }),
  )
})
