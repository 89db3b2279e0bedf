import { describe, expect, test } from 'vitest'
import { createRig, matchOf, output } from './fakes.ts'

const SECOND = 1000

/** Four rules fit. */
const createFull = () => {
  const rig = createRig()
  const ids = [1, 2, 3, 4].map((i) => rig.put(matchOf(1, i), [output(2)]))
  const add = (i: number): number => rig.put(matchOf(1, i), [output(2)])
  return { ...rig, ids, add }
}

describe('a full table', () => {
  test('refuses a new flow while all rules are young', () => {
    const { add, module } = createFull()
    expect(module.verdict(add(5))).toMatchObject({
      check: 'table-full',
      what: '4',
      eswitch: 'nic0',
      retryOn: ['table-space'],
    })
  })

  test('numbers its rules again from those that have gone, and not before', () => {
    const { add, module, nic0, ids } = createFull()
    nic0.late = []
    const rule = (id: number): number => {
      const verdict = module.verdict(id)
      return verdict?.state === 'offloaded' ? verdict.rule : -1
    }
    const first = ids.map(rule)
    module.flowDel(ids[1]!)
    const other = add(5)
    expect([first, rule(other)]).toEqual([[0, 1, 2, 3], 4])
    nic0.flush()
    module.flowDel(ids[0]!)
    expect(rule(add(6))).toBe(1)
  })

  test('gives way an idle rule to a new flow; the victim is told', () => {
    const { add, module, ids, traffic, scheduler, code, clock } = createFull()
    for (let s = 0; s < 6; s++) {
      clock.advance(SECOND)
      for (const id of [ids[0]!, ids[1]!, ids[3]!]) traffic(id)
    }
    const id = add(5)
    expect(code(id)).toBe('offloaded')
    expect(module.verdict(ids[2]!)).toMatchObject({ check: 'table-full', what: 'evicted', retryOn: ['table-space'] })
    scheduler.drain()
    expect(code(ids[2]!)).toBe('table-full')
    expect(module.summary().eswitches[0]).toMatchObject({ rules: 4, capacity: 4, evictions: 1, waiting: 1 })
  })

  test('the one that has been idle for longest goes', () => {
    const { add, ids, traffic, code, clock } = createFull()
    for (const id of [ids[1]!, ids[0]!, ids[3]!, ids[2]!]) {
      clock.advance(SECOND)
      traffic(id)
    }
    clock.advance(20 * SECOND)
    add(5)
    clock.advance(SECOND)
    add(6)
    expect(ids.map(code)).toEqual(['table-full', 'table-full', 'offloaded', 'offloaded'])
  })

  test('keeps busy rules: a new flow is not hotter than anyone', () => {
    const { add, ids, traffic, code, clock } = createFull()
    for (let s = 0; s < 10; s++) {
      clock.advance(SECOND)
      for (const id of ids) traffic(id)
    }
    expect(code(add(5))).toBe('table-full')
    expect(ids.map(code)).toEqual(Array(4).fill('offloaded'))
  })

  test('after a search in vain there is none for a while', () => {
    const { add, ids, traffic, clock, nic0 } = createFull()
    clock.advance(SECOND)
    for (const id of ids) traffic(id)
    add(5)
    let reads = 0
    const { ruleStats } = nic0
    nic0.ruleStats = (id, out) => {
      reads++
      return ruleStats.call(nic0, id, out)
    }
    for (let i = 6; i < 50; i++) add(i)
    expect(reads).toBe(0)
    clock.advance(SECOND)
    add(50)
    expect(reads).toBeGreaterThan(0)
  })

  test('a free place goes to those who waited, oldest first, as many as fit', () => {
    const { add, module, ids, scheduler, code } = createFull()
    const waiting = [5, 6, 7].map(add)
    module.flowDel(ids[0]!)
    module.flowDel(ids[1]!)
    expect(waiting.map(code)).toEqual(Array(3).fill('table-full'))
    scheduler.drain()
    expect(waiting.map(code)).toEqual(['offloaded', 'offloaded', 'table-full'])
  })

  test('a place that is free only at the goodbye goes to whom the victim made way for', () => {
    const { add, ids, nic0, scheduler, code, clock } = createFull()
    nic0.late = []
    nic0.placeUntilGone = true
    const before = add(5)
    clock.advance(10 * SECOND)
    const id = add(6)
    expect(code(id)).toBe('table-full')
    expect(ids.filter((x) => code(x) === 'table-full')).toHaveLength(1)
    nic0.flush()
    scheduler.drain()
    expect(code(id)).toBe('offloaded')
    expect(code(before)).toBe('table-full')
  })
})

describe('who is first in line', () => {
  test('gives up the place when it may not be offloaded any more', () => {
    const { add, put, module, nic0, scheduler, code, clock } = createFull()
    nic0.late = []
    nic0.placeUntilGone = true
    clock.advance(10 * SECOND)
    const first = add(5)
    const second = put(matchOf(2), [output(1)])
    module.setPortPolicy(1, { enabled: false })
    scheduler.drain()
    expect([first, second].map(code)).toEqual(['policy', 'table-full'])
    nic0.flush()
    scheduler.drain()
    expect([first, second].map(code)).toEqual(['policy', 'offloaded'])
  })
})

describe('rebalance', () => {
  test('a rule that is too young to have a rate is left alone', () => {
    const { add, ids, put, module, traffic, scheduler, code } = createFull()
    const hot = add(5)
    traffic(hot, 100)
    for (const id of ids) traffic(id, 50)
    scheduler.advance(2900)
    module.flowDel(ids[0]!)
    const young = put(matchOf(2, 9), [output(1)])
    scheduler.advance(100)
    expect([young, hot].map(code)).toEqual(['offloaded', 'offloaded'])
    expect(ids.slice(1).map(code)).toContain('table-full')
  })

  test('every 3 s hotter flows take the places of colder ones', () => {
    const { add, ids, traffic, scheduler, code, module } = createFull()
    const waiting = [5, 6, 7].map(add)
    const rates = [100, 2, 50, 1]
    for (let s = 0; s < 3; s++) {
      ids.forEach((id, i) => {
        traffic(id, rates[i])
      })
      traffic(waiting[0]!, 30)
      traffic(waiting[1]!, 1)
      traffic(waiting[2]!, 80)
      scheduler.advance(SECOND)
    }
    expect(ids.map(code)).toEqual(['offloaded', 'table-full', 'offloaded', 'table-full'])
    expect(waiting.map(code)).toEqual(['offloaded', 'table-full', 'offloaded'])
    expect(module.summary().eswitches[0]).toMatchObject({ rules: 4, evictions: 2, waiting: 3 })
  })

  test('flows of about one rate do not take turns', () => {
    const { add, ids, traffic, scheduler, module } = createFull()
    const waiting = [5, 6].map(add)
    for (let s = 0; s < 30; s++) {
      for (const id of [...ids, ...waiting]) traffic(id, 100 + ((s * 7 + id * 13) % 10))
      scheduler.advance(SECOND)
    }
    expect(module.summary().eswitches[0]!.evictions).toBe(0)
  })

  test('work is cut into slices and swaps are bounded', () => {
    const rig = createRig({ profile: { 'table-size': 200 }, offload: { slice: 16, rebalance: { swaps: 10 } } })
    const ids = Array.from({ length: 400 }, (_, i) => rig.put(matchOf(1, i), [output(2)]))
    for (const id of ids.slice(200)) rig.traffic(id, 10)
    const before = rig.scheduler.slices
    rig.scheduler.advance(3 * SECOND)
    expect(rig.module.summary().eswitches[0]!.evictions).toBe(10)
    expect(rig.scheduler.slices - before).toBeGreaterThanOrEqual(400 / 16)
  })

  test('nothing is compared while there is room', () => {
    const { put, scheduler, nic0 } = createRig()
    put(matchOf(1), [output(2)])
    let reads = 0
    nic0.ruleStats = () => {
      reads++
      return false
    }
    scheduler.advance(9 * SECOND)
    expect(reads).toBe(0)
  })

  test('ends with close', () => {
    const { add, module, ids, traffic, scheduler, code } = createFull()
    const hot = add(5)
    module.close()
    traffic(hot, 100)
    scheduler.advance(3 * SECOND)
    expect([...ids, hot].map(code)).toEqual([...Array(4).fill('offloaded'), 'table-full'])
  })
})
