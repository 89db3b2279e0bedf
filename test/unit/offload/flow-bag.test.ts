import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FlowBag } from '../../../src/offload/flow-bag.ts'
import { FlowRecord } from '../../../src/offload/record.ts'
import { matchOf } from './fakes.ts'

const recordOf = (id: number): FlowRecord =>
  new FlowRecord(
    { id, ufid: '', match: matchOf(1), actions: [] },
    { state: 'offloaded', eswitch: 'nic0', rule: id, since: 0 },
    0,
  )

test('holds what a set holds, each flow in one of two bags, or in none', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ id: fc.nat(9), bag: fc.nat(1) }), { maxLength: 60, size: 'max' }), (steps) => {
      const records = Array.from({ length: 10 }, (_, id) => recordOf(id))
      const bags = [new FlowBag('carriedAt'), new FlowBag('carriedAt')] as const
      const other = new FlowBag('decapAt')
      const sets = [new Set<FlowRecord>(), new Set<FlowRecord>()] as const
      for (const record of records) other.add(record)
      for (const { id, bag } of steps) {
        const record = records[id]!
        if (sets[bag]!.has(record) || sets[1 - bag]!.has(record)) {
          expect(bags[bag]!.delete(record)).toBe(sets[bag]!.delete(record))
          continue
        }
        bags[bag]!.add(record)
        sets[bag]!.add(record)
      }
      for (const [i, bag] of bags.entries()) {
        expect(bag.size).toBe(sets[i]!.size)
        expect(new Set(bag)).toEqual(sets[i])
        expect(new Set(Array.from({ length: bag.size }, (_, at) => bag.at(at)))).toEqual(sets[i])
        for (const record of records) expect(bag.has(record)).toBe(sets[i]!.has(record))
      }
      expect([...other]).toEqual(records)
    }),
  )
})
