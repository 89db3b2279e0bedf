import fc from 'fast-check'
import { expect, it } from 'vitest'
import { IdLine } from '../../../src/lib/id-line.ts'

it('stands in line as in a Set, whoever leaves', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(200), { maxLength: 400 }), (ids) => {
      const line = new IdLine()
      const set = new Set<number>()
      for (const id of ids) {
        if (set.delete(id)) line.delete(id)
        else {
          set.add(id)
          line.add(id)
        }
        expect(line.size).toBe(set.size)
      }
      expect([...line.values()]).toEqual([...set])
      expect(line.list()).toEqual([...set])
    }),
  )
})
