import fc from 'fast-check'
import { expect, test } from 'vitest'
import * as K from '../../../src/flow/key.ts'
import { Classifier } from '../../../src/ofproto/classifier.ts'
import type { Rule } from '../../../src/ofproto/rule.ts'
import { LinearClassifier } from './linear-classifier.ts'
import { ruleOf } from './rules.ts'

/** Few values, near each other, so that rules overlap and prefixes share beginnings. */
const addresses = [0x0a000001, 0x0a000002, 0x0a000100, 0x0a010000, 0x0b000000, 0xc0a80001, 0x20010db8, 0]
const ports = [80, 81, 443, 0x8050, 0]
const types = [0x0800, 0x86dd, 0x0806]

const value = fc.record({
  inPort: fc.integer({ min: 1, max: 3 }),
  reg0: fc.integer({ min: 0, max: 2 }),
  dst: fc.constantFrom(0x02000001, 0x02000002, 0x01005e00),
  type: fc.constantFrom(...types),
  src: fc.array(fc.constantFrom(...addresses), { minLength: 4, maxLength: 4 }),
  to: fc.array(fc.constantFrom(...addresses), { minLength: 4, maxLength: 4 }),
  proto: fc.constantFrom(6, 17),
  tpSrc: fc.constantFrom(...ports),
  tpDst: fc.constantFrom(...ports),
  flags: fc.integer({ min: 0, max: 3 }),
})
type Value = typeof value extends fc.Arbitrary<infer T> ? T : never

const keyOf = (v: Value): Int32Array => {
  const key = K.createKey()
  key[K.K_IN_PORT] = v.inPort
  key[K.K_REG] = v.reg0
  key[K.K_ETH] = v.dst
  key[K.K_DL_TYPE] = v.type << 16
  const words = v.type === 0x86dd ? 4 : 1
  for (let i = 0; i < words; i++) {
    key[K.K_NW_SRC + i] = v.src[i]!
    key[K.K_NW_DST + i] = v.to[i]!
  }
  key[K.K_NW] = v.proto << 24
  key[K.K_TP] = (v.tpSrc << 16) | v.tpDst
  key[K.K_TCP_FLAGS] = v.flags << 16
  return key
}

const prefix = (key: Int32Array, base: number, bits: number): void => {
  for (let i = 0; i < 4; i++) {
    const n = Math.min(32, Math.max(0, bits - 32 * i))
    key[base + i] = n === 0 ? 0 : -1 << (32 - n)
  }
}

/** Prefix lengths from 0 to all, with the Ethernet type fixed or not, and masks that are no prefixes. */
const shape = fc.record({
  inPort: fc.boolean(),
  reg0: fc.boolean(),
  dst: fc.constantFrom(0, 0, -1, 0x01000000),
  typed: fc.constantFrom(true, true, true, false),
  src: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 32 }), fc.integer({ min: 33, max: 128 })),
  to: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 32 }), fc.integer({ min: 33, max: 128 })),
  holes: fc.constantFrom(0, 0, 0, 0x00ff00ff, 0xff00ff00),
  gap: fc.constantFrom(false, false, false, true),
  proto: fc.boolean(),
  ports: fc.constantFrom(0, 0, -1, 0xffff, 0xffff0000, 0xfffffff0, 0xffff8000, 0x00ff00f0),
  flags: fc.constantFrom(0, 0, 0x10000, 0x30000),
})
type Shape = typeof shape extends fc.Arbitrary<infer T> ? T : never

const maskOf = (s: Shape): Int32Array => {
  const mask = K.createKey()
  if (s.inPort) mask[K.K_IN_PORT] = -1
  if (s.reg0) mask[K.K_REG] = -1
  mask[K.K_ETH] = s.dst
  if (s.typed) mask[K.K_DL_TYPE] = 0xffff0000
  prefix(mask, K.K_NW_SRC, s.src)
  prefix(mask, K.K_NW_DST, s.to)
  if (s.holes !== 0) mask[K.K_NW_DST] = s.holes
  if (s.gap) mask[K.K_NW_SRC] = 0
  if (s.proto) mask[K.K_NW] = 0xff000000
  mask[K.K_TP] = s.ports
  mask[K.K_TCP_FLAGS] = s.flags
  return mask
}

const makeRule = (v: Value, s: Shape, priority: number): Rule => {
  const mask = maskOf(s)
  return ruleOf({ key: keyOf(v).map((word, i) => word & mask[i]!), mask }, priority)
}

/** Rule sets in which every rule has its own mask, and others in which many share few masks and few values. */
const scattered = fc
  .record({ value, shape, priority: fc.integer({ min: 0, max: 4 }) })
  .map((r) => makeRule(r.value, r.shape, r.priority))
const rulesArb = (maxLength: number): fc.Arbitrary<Rule[]> => {
  const shapes = fc.array(shape, { minLength: 1, maxLength: 4 })
  const values = fc.array(value, { minLength: 1, maxLength: 6 })
  const crowded = fc.tuple(shapes, values).chain(([s, v]) =>
    fc.array(
      fc
        .tuple(fc.constantFrom(...v), fc.constantFrom(...s), fc.integer({ min: 0, max: 9 }))
        .map(([of, under, priority]) => makeRule(of, under, priority)),
      { maxLength },
    ),
  )
  return fc.oneof(crowded, fc.array(scattered, { maxLength }))
}

const fill = (rules: readonly Rule[]): { tss: Classifier; linear: LinearClassifier } => {
  const tss = new Classifier()
  const linear = new LinearClassifier()
  for (const rule of rules) {
    if (tss.findStrict(rule.match, rule.priority) !== null) continue
    tss.insert(rule)
    linear.insert(rule)
  }
  return { tss, linear }
}

const expectAgreement = (tss: Classifier, linear: LinearClassifier, key: Int32Array): Int32Array => {
  const wc = K.createKey()
  const found = tss.lookup(key, wc)
  expect(tss.lookup(key, null)).toBe(found)
  const allowed = linear.lookup(key)
  if (found === null) expect(allowed).toHaveLength(0)
  else expect(allowed.includes(found)).toBe(true)
  return wc
}

const runs = { numRuns: 400 }

test('finds what the linear classifier finds', () => {
  fc.assert(
    fc.property(rulesArb(40), fc.array(value, { minLength: 1, maxLength: 20 }), (rules, keys) => {
      const { tss, linear } = fill(rules)
      for (const v of keys) expectAgreement(tss, linear, keyOf(v))
      for (const rule of rules) expectAgreement(tss, linear, rule.match.key)
    }),
    runs,
  )
})

test('every key that is equal under the un-wildcarded bits finds the same rule', () => {
  fc.assert(
    fc.property(rulesArb(40), fc.array(value, { minLength: 1, maxLength: 10 }), (rules, keys) => {
      const { tss } = fill(rules)
      for (const v of keys) {
        const key = keyOf(v)
        const wc = K.createKey()
        const found = tss.lookup(key, wc)
        // The hardest others: as much of each rule's own match as the un-wildcarded bits leave open.
        for (const rule of rules) {
          const { key: rk, mask: rm } = rule.match
          const other = key.map((word, i) => {
            const open = ~wc[i]!
            return (word & ~(open & rm[i]!)) | (rk[i]! & open & rm[i]!)
          })
          expect(tss.lookup(other, K.createKey())).toBe(found)
        }
        for (const w of keys) {
          const noise = keyOf(w)
          const other = key.map((word, i) => (word & wc[i]!) | (noise[i]! & ~wc[i]!))
          expect(tss.lookup(other, K.createKey())).toBe(found)
        }
      }
    }),
    runs,
  )
})

test('un-wildcards no bit that no rule matches', () => {
  fc.assert(
    fc.property(rulesArb(20), value, (rules, v) => {
      const { tss } = fill(rules)
      const wc = K.createKey()
      tss.lookup(keyOf(v), wc)
      const union = K.createKey()
      for (const rule of rules) for (let i = 0; i < union.length; i++) union[i] = union[i]! | rule.match.mask[i]!
      // A prefix trie may need bits up to the longest prefix, which the union has.
      expect(wc.every((word, i) => (word & ~union[i]!) === 0)).toBe(true)
    }),
    runs,
  )
})

test('stays right while rules come and go, and is empty in the end', () => {
  const step = fc.record({ remove: fc.boolean(), at: fc.nat(), probe: value })
  fc.assert(
    fc.property(rulesArb(30), fc.array(step, { maxLength: 80 }), (rules, steps) => {
      const { tss, linear } = fill(rules)
      for (const { remove, at, probe } of steps) {
        const list = remove ? linear.rules : rules
        const one = list[at % Math.max(1, list.length)]
        if (one === undefined) continue
        if (remove) {
          tss.remove(one)
          linear.remove(one)
        } else if (tss.findStrict(one.match, one.priority) === null) {
          tss.insert(one)
          linear.insert(one)
        }
        expectAgreement(tss, linear, one.match.key)
        expectAgreement(tss, linear, keyOf(probe))
        expect(tss.size).toBe(linear.rules.length)
      }
      expect(new Set(tss.rules())).toEqual(new Set(linear.rules))
      for (const rule of linear.rules) tss.remove(rule)
      expect([tss.size, tss.subtableCount]).toEqual([0, 0])
      const wc = K.createKey()
      expect(tss.lookup(keyOf(steps[0]?.probe ?? valueOfNothing), wc)).toBeNull()
      expect(wc.every((word) => word === 0)).toBe(true)
    }),
    runs,
  )
})

const valueOfNothing: Value = {
  inPort: 1,
  reg0: 0,
  dst: 0x02000001,
  type: 0x0800,
  src: [0, 0, 0, 0],
  to: [0, 0, 0, 0],
  proto: 6,
  tpSrc: 0,
  tpDst: 0,
  flags: 0,
}
