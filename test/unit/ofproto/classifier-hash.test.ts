import fc from 'fast-check'
import { expect, test } from 'vitest'
import { HashCounts, RuleIndex } from '../../../src/ofproto/classifier-hash.ts'
import { key, rule } from './rules.ts'

/** Hashes of which many want the same place, or the last one of the array. */
const hash = fc.oneof(fc.constantFrom(0, 1, 2, -1), fc.integer({ min: -60, max: 60 }))

test('a multiset of hashes, under churn', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ hash, add: fc.boolean() }), { maxLength: 300 }), (steps) => {
      const counts = new HashCounts()
      const model = new Map<number, number>()
      for (const step of steps) {
        const before = model.get(step.hash) ?? 0
        if (step.add) counts.add(step.hash)
        else if (before > 0) counts.remove(step.hash)
        else expect(() => counts.remove(step.hash)).toThrow('not in the stage index')
        model.set(step.hash, Math.max(0, before + (step.add ? 1 : -1)))
        for (let h = -60; h <= 60; h++) if (counts.has(h) !== (model.get(h) ?? 0) > 0) expect.fail(`hash ${h}`)
      }
    }),
    { numRuns: 100 },
  )
})

test('matches with the same hash are told apart, and entries are reused', () => {
  const words = Int32Array.of(1)
  const masks = Int32Array.of(-1)
  const step = fc.record({ port: fc.integer({ min: 0, max: 40 }), add: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.integer({ min: 1, max: 50 }), (steps, hashes) => {
      const index = new RuleIndex(words, masks)
      const model = new Map<number, ReturnType<typeof rule>>()
      for (const { port, add } of steps) {
        const k = key({ in_port: port })
        const made = add ? rule({ in_port: port }) : null
        index.setHead(port % hashes, k, made)
        if (made === null) model.delete(port)
        else model.set(port, made)
        expect(index.size).toBe(model.size)
        for (let p = 0; p <= 40; p++) {
          if (index.find(p % hashes, key({ in_port: p })) !== (model.get(p) ?? null)) expect.fail(`port ${p}`)
        }
      }
      expect(new Set(index.rules())).toEqual(new Set(model.values()))
    }),
    { numRuns: 40 },
  )
})
