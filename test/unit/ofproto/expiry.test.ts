import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createMatch } from '../../../src/flow/key.ts'
import { Expiry } from '../../../src/ofproto/expiry.ts'
import { Rule } from '../../../src/ofproto/rule.ts'

const timed = (idleTimeout: number, hardTimeout: number, created: number): Rule =>
  new Rule({ table: 0, priority: 1, cookie: 0n, idleTimeout, hardTimeout, match: createMatch(), actions: [] }, created)

test('a rule times out at the millisecond, not before', () => {
  const expiry = new Expiry()
  const rule = timed(1, 0, 5000)
  expiry.add(rule)
  expect(expiry.next).toBe(6000)
  expect(expiry.take(5999)).toBeNull()
  expect(expiry.take(6000)).toEqual({ rule, why: 'idle' })
  expect([expiry.take(6000), expiry.size, expiry.next]).toEqual([null, 0, Infinity])
})

test('packets keep an idle rule, from the time of the packet and not of the report', () => {
  const expiry = new Expiry()
  const rule = timed(2, 0, 1000)
  expiry.add(rule)
  rule.credit(1, 60, 2500)
  expect(expiry.take(3000)).toBeNull()
  expect(expiry.next).toBe(4500)
  rule.credit(1, 60, 2400)
  expect(expiry.take(4499)).toBeNull()
  expect(expiry.take(4500)?.why).toBe('idle')
})

test('a hard timeout spares nothing, and is the reason when both are met', () => {
  const expiry = new Expiry()
  const rule = timed(1, 3, 0)
  expiry.add(rule)
  for (let t = 0; t < 3000; t += 500) {
    rule.credit(1, 60, t)
    expect(expiry.take(t)).toBeNull()
  }
  expect(expiry.take(9000)?.why).toBe('hard')
})

test('a rule without timeouts is not watched, one that is gone is no more', () => {
  const expiry = new Expiry()
  const never = timed(0, 0, 1)
  const gone = timed(1, 0, 1)
  expiry.add(never)
  expiry.add(gone)
  expect(expiry.size).toBe(1)
  expiry.remove(gone)
  expiry.remove(gone)
  expiry.remove(never)
  expect([expiry.size, expiry.take(1e9)]).toEqual([0, null])
})

test('many rules time out in the order of their times', () => {
  const expiry = new Expiry()
  const hard = (i: number): number => ((i * 7919) % 499) + 1
  for (let i = 0; i < 499; i++) expiry.add(timed(0, hard(i), 0))
  const order: number[] = []
  for (let now = 1000; expiry.size > 0; now += 1000) {
    for (let due = expiry.take(now); due !== null; due = expiry.take(now)) order.push(due.rule.hardTimeout * 1000 - now)
  }
  expect(order).toEqual(Array.from({ length: 499 }, () => 0))
})

test('a tick without anything due looks at one rule, however many there are', () => {
  const expiry = new Expiry()
  for (let i = 0; i < 1000; i++) {
    const rule = timed(60, 0, 1000)
    expiry.add(rule)
    Object.defineProperty(rule.stats, 'used', {
      get: () => {
        throw new Error('looked at')
      },
    })
  }
  expect(expiry.take(60_999)).toBeNull()
})

test('agrees with a list that is searched through', () => {
  const step = fc.record({
    at: fc.integer({ min: 0, max: 400 }),
    what: fc.constantFrom('add', 'use', 'remove', 'tick', 'tick'),
    idle: fc.integer({ min: 0, max: 3 }),
    hard: fc.integer({ min: 0, max: 4 }),
    which: fc.nat(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const expiry = new Expiry()
      let list: Rule[] = []
      let now = 1000
      for (const { at, what, idle, hard, which } of steps) {
        now += at
        const one = list[which % Math.max(1, list.length)]
        if (what === 'add') {
          const rule = timed(idle, hard, now)
          expiry.add(rule)
          list.push(rule)
        } else if (what === 'use') one?.credit(1, 64, now)
        else if (what === 'remove' && one !== undefined) {
          expiry.remove(one)
          list = list.filter((rule) => rule !== one)
        } else if (what === 'tick') {
          const due = new Set<Rule>()
          for (let taken = expiry.take(now); taken !== null; taken = expiry.take(now)) due.add(taken.rule)
          const expected = list.filter(
            (r) =>
              (r.idleTimeout > 0 && now >= r.used + r.idleTimeout * 1000) ||
              (r.hardTimeout > 0 && now >= r.modified + r.hardTimeout * 1000),
          )
          expect(due).toEqual(new Set(expected))
          list = list.filter((rule) => !due.has(rule))
        }
      }
    }),
    { numRuns: 300 },
  )
})
