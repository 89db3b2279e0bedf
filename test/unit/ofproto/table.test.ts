import { describe, expect, test } from 'vitest'
import { type FlowKind, formatActions, formatMatch, parseFlow } from '../../../src/flow/ofp-text.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import type { Rule } from '../../../src/ofproto/rule.ts'
import { FlowTables, type FlowTablesOptions, OF10, OF13 } from '../../../src/ofproto/tables.ts'
import { key } from './rules.ts'

const setup = (options: Partial<FlowTablesOptions> = {}) => {
  const clock = new ManualClock()
  const removed: string[] = []
  const onRemoved = (rule: Rule, reason: string) => void removed.push(`${reason} ${text(rule)}`)
  const tables = new FlowTables({ clock, onRemoved, ...options })
  const of = (flow: string, kind: FlowKind) => parseFlow(flow, { kind })
  return {
    clock,
    tables,
    removed,
    add: (flow: string) => tables.add(of(flow, 'add')),
    mod: (flow: string, strict = false) => tables.modify(of(flow, 'modify'), strict),
    del: (flow = '', strict = false) => tables.delete(of(flow, 'delete'), strict),
    dump: (filter = '') => tables.dump(of(filter, 'delete')).map(text),
    aggregate: (filter = '') => tables.aggregate(of(filter, 'delete')),
  }
}

const text = (rule: Rule): string =>
  `${rule.table}:${rule.priority} ${formatMatch(rule.match)} -> ${formatActions(rule.actions)}`

const code = (run: () => unknown): unknown => {
  try {
    run()
  } catch (error) {
    return (error as { code?: unknown }).code
  }
  return undefined
}

describe('add', () => {
  test('puts rules in their tables, where they are looked up by priority', () => {
    const { add, tables } = setup()
    add('priority=1,actions=1')
    const high = add('priority=2,in_port=5,actions=2')
    const other = add('table=254,actions=3')
    expect(tables.lookup(0, key({ in_port: 5 }), null)).toBe(high)
    expect(tables.lookup(254, key({ in_port: 5 }), null)).toBe(other)
    const wc = key({})
    expect(tables.lookup(7, key({ in_port: 5 }), wc)).toBeNull()
    expect(wc.every((word) => word === 0)).toBe(true)
    expect([tables.size, high.live, tables.tables().map((t) => t.id)]).toEqual([3, true, [0, 254]])
  })

  test('replaces the rule with the same match and priority, statistics and times anew', () => {
    const { add, clock, tables, dump, removed } = setup()
    const old = add('cookie=1,idle_timeout=5,in_port=1,actions=1')
    old.credit(3, 300, clock.now())
    clock.advance(2000)
    const rule = add('cookie=2,hard_timeout=9,in_port=1,actions=2')
    expect([old.live, rule.live, tables.size]).toEqual([false, true, 1])
    expect(rule).toMatchObject({ cookie: 2n, idleTimeout: 0, hardTimeout: 9, packets: 0, created: clock.now() })
    expect(dump()).toEqual(['0:32768 in_port=1 -> output:2'])
    expect(removed).toEqual([])
    expect(tables.nextExpiry).toBe(clock.now() + 9000)
  })

  test('keeps the counts in OpenFlow 1.3, unless told to reset them', () => {
    const { add, clock } = setup({ semantics: OF13 })
    const old = add('in_port=1,actions=1')
    old.credit(3, 300, clock.now())
    const next = add('in_port=1,actions=2')
    expect(next.packets).toBe(3)
    old.credit(1, 100, clock.now())
    expect([next.packets, next.bytes]).toEqual([4, 400])
    expect(add('reset_counts,in_port=1,actions=2').packets).toBe(0)
  })

  test('an old packet count does not time a replacing rule out early', () => {
    const { add, clock, tables } = setup({ semantics: OF13 })
    add('idle_timeout=5,in_port=1,actions=1')
    clock.advance(4000)
    add('idle_timeout=5,in_port=1,actions=1')
    clock.advance(4999)
    expect(tables.expire()).toBe(0)
    clock.advance(1)
    expect(tables.expire()).toBe(1)
  })

  test('check_overlap refuses what shares packets at the same priority, but not the same rule', () => {
    const { add, tables } = setup()
    add('priority=5,in_port=1,actions=1')
    expect(code(() => add('priority=5,check_overlap,tcp,actions=2'))).toBe('OFPFMFC_OVERLAP')
    add('priority=5,check_overlap,in_port=1,actions=2')
    add('priority=5,check_overlap,in_port=2,tcp,actions=2')
    add('priority=6,check_overlap,tcp,actions=2')
    add('table=1,priority=5,check_overlap,tcp,actions=2')
    expect(tables.size).toBe(4)
  })

  test('a full bridge refuses, and says how many it holds; replacing goes on', () => {
    const { add, tables, del } = setup({ maxRules: 2 })
    add('in_port=1,actions=1')
    add('table=3,in_port=1,actions=1')
    const before = tables.generation.value
    expect(() => add('in_port=2,actions=1')).toThrow('bridge holds 2 rules already: expected at most 2')
    expect(code(() => add('in_port=2,actions=1'))).toBe('OFPFMFC_TABLE_FULL')
    expect(tables.generation.value).toBe(before)
    add('in_port=1,actions=2')
    del('in_port=1,table=3')
    add('in_port=2,actions=1')
  })

  test("is not changed by what the caller does to the spec's match afterwards, and drops key bits outside of the mask", () => {
    const { tables } = setup()
    const spec = parseFlow('in_port=1,actions=1')
    spec.match.key[40] = 77
    const rule = tables.add(spec)
    spec.match.mask.fill(0)
    spec.match.key.fill(9)
    expect(tables.lookup(0, key({ in_port: 1 }), null)).toBe(rule)
    expect(rule.match.key[40]).toBe(0)
    expect(rule.match).toEqual(parseFlow('in_port=1,actions=1').match)
    expect(tables.lookup(0, key({ in_port: 9 }), null)).toBeNull()
  })

  test('rules with equal masks share one', () => {
    const { add } = setup()
    expect(add('in_port=1,actions=1').match.mask).toBe(add('in_port=2,actions=1').match.mask)
  })
})

describe('modify', () => {
  test('loosely changes all that the match covers, in one table', () => {
    const { add, mod, dump } = setup()
    add('priority=1,tcp,tp_dst=80,actions=1')
    add('priority=2,tcp,actions=1')
    add('priority=3,ip,actions=1')
    add('table=1,tcp,actions=1')
    expect(mod('table=0,tcp,actions=9')).toEqual({ modified: 2, added: 0 })
    expect(dump()).toEqual([
      '0:3 ip -> output:1',
      '0:2 tcp -> output:9',
      '0:1 tcp,tp_dst=80 -> output:9',
      '1:32768 tcp -> output:1',
    ])
  })

  test('strictly changes the one rule', () => {
    const { add, mod, dump } = setup()
    add('priority=2,tcp,actions=1')
    add('priority=2,tcp,tp_dst=80,actions=1')
    add('priority=1,tcp,actions=1')
    expect(mod('priority=2,tcp,actions=9', true)).toEqual({ modified: 1, added: 0 })
    expect(dump()).toEqual(['0:2 tcp -> output:9', '0:2 tcp,tp_dst=80 -> output:1', '0:1 tcp -> output:1'])
  })

  test('keeps counts, times and timeouts; late credits reach the new rule; the hard timeout starts anew', () => {
    const { add, mod, clock, tables } = setup()
    const old = add('cookie=7,idle_timeout=60,hard_timeout=10,in_port=1,actions=1')
    old.credit(3, 300, clock.now())
    clock.advance(8000)
    mod('cookie=7,idle_timeout=1,in_port=1,actions=2')
    old.credit(1, 100, clock.now())
    const rule = tables.lookup(0, key({ in_port: 1 }), null)!
    expect(rule).toMatchObject({ cookie: 7n, idleTimeout: 60, hardTimeout: 10, packets: 4, bytes: 400 })
    expect([rule.created, rule.modified]).toEqual([old.created, clock.now()])
    clock.advance(9999)
    expect(tables.expire()).toBe(0)
    clock.advance(1)
    expect(tables.expire()).toBe(1)
  })

  test('reset_counts starts counting from zero but does not make the rule look used', () => {
    const { add, mod, clock, tables } = setup()
    add('idle_timeout=2,in_port=1,actions=1').credit(3, 300, clock.now())
    clock.advance(1500)
    mod('reset_counts,in_port=1,actions=2')
    expect(tables.lookup(0, key({ in_port: 1 }), null)?.packets).toBe(0)
    clock.advance(500)
    expect(tables.expire()).toBe(1)
  })

  test('selects by a cookie with a mask, and does not add then', () => {
    const { add, mod, tables } = setup()
    add('cookie=0x11,in_port=1,actions=1')
    add('cookie=0x21,in_port=2,actions=1')
    expect(mod('cookie=0x10/0xf0,actions=5')).toEqual({ modified: 1, added: 0 })
    expect(mod('cookie=0x30/0xf0,actions=5')).toEqual({ modified: 0, added: 0 })
    expect(tables.lookup(0, key({ in_port: 1 }), null)?.cookie).toBe(0x11n)
  })

  // As Debian's ovs-vswitchd does, seen with ovs-ofctl mod-flows.
  test.each([
    ['cookie=0x99,in_port=1,actions=6', OF10, 0x99n],
    ['in_port=1,actions=6', OF10, 0n],
    ['cookie=0x99,in_port=1,actions=6', OF13, 0x11n],
  ])('%s sets the cookie as its version of OpenFlow does', (flow, semantics, cookie) => {
    const { add, mod, tables } = setup({ semantics })
    add('cookie=0x11,in_port=1,actions=1')
    mod(flow)
    expect(tables.lookup(0, key({ in_port: 1 }), null)?.cookie).toBe(cookie)
  })

  test('adds when there is nothing to modify in OpenFlow 1.0, not in 1.3', () => {
    const old = setup()
    expect(old.mod('in_port=1,actions=1')).toEqual({ modified: 0, added: 1 })
    expect(old.mod('priority=3,in_port=1,actions=1', true)).toEqual({ modified: 0, added: 1 })
    expect(old.dump()).toHaveLength(2)
    expect(old.mod('table=255,in_port=7,actions=1')).toEqual({ modified: 0, added: 1 })
    expect(old.dump('in_port=7')).toEqual(['0:32768 in_port=7 -> output:1'])
    const current = setup({ semantics: OF13 })
    expect(current.mod('in_port=1,actions=1')).toEqual({ modified: 0, added: 0 })
    expect(current.dump()).toEqual([])
  })

  test('of all tables fails as a whole if it goes backwards in one', () => {
    const { add, mod, dump } = setup()
    add('table=2,in_port=1,actions=1')
    add('table=5,in_port=1,actions=1')
    expect(code(() => mod('table=255,in_port=1,actions=goto_table:4'))).toBe('OFPBIC_BAD_TABLE_ID')
    expect(dump()).toEqual(['2:32768 in_port=1 -> output:1', '5:32768 in_port=1 -> output:1'])
    expect(mod('table=255,in_port=1,actions=goto_table:6')).toEqual({ modified: 2, added: 0 })
  })
})

describe('delete, dump and aggregate', () => {
  const filled = () => {
    const s = setup()
    s.add('cookie=0xa1,priority=1,tcp,actions=1').credit(1, 10, s.clock.now())
    s.add('cookie=0xa2,priority=2,tcp,tp_dst=80,actions=clone(output:2),3').credit(2, 20, s.clock.now())
    s.add('cookie=0xb1,table=4,priority=3,udp,actions=write_actions(output:2)').credit(4, 40, s.clock.now())
    s.add('priority=0,actions=NORMAL').credit(8, 80, s.clock.now())
    return s
  }

  test.each([
    ['', 4, 15],
    ['tcp', 2, 3],
    ['tcp,tp_dst=80', 1, 2],
    ['table=4', 1, 4],
    ['table=7', 0, 0],
    ['cookie=0xa0/0xf0', 2, 3],
    ['cookie=0xb1/-1,tcp', 0, 0],
    ['out_port=2', 2, 6],
    ['out_port=NORMAL', 1, 8],
    ['out_port=9', 0, 0],
  ])("'%s' means the same rules for all of them", (filter, flows, packets) => {
    const { aggregate, dump, del, tables } = filled()
    expect(aggregate(filter)).toEqual({ flows, packets, bytes: packets * 10 })
    expect(dump(filter)).toHaveLength(flows)
    expect(del(filter)).toBe(flows)
    expect(tables.size).toBe(4 - flows)
    expect(dump(filter)).toEqual([])
  })

  test('strictly is one rule, by match and priority', () => {
    const { del, dump } = filled()
    expect(del('tcp,priority=3', true)).toBe(0)
    expect(del('priority=0', true)).toBe(1)
    expect(del('tcp,priority=1', true)).toBe(1)
    expect(dump()).toHaveLength(2)
  })

  test('tells what was deleted, once all is gone', () => {
    let left = -1
    const s = setup({
      onRemoved: () => {
        left = s.tables.size
      },
    })
    s.add('in_port=1,actions=1')
    s.add('in_port=2,actions=1')
    s.del()
    expect(left).toBe(0)
    const { del, removed, add } = setup()
    const rule = add('in_port=1,actions=1')
    del('in_port=1')
    expect(removed).toEqual(['delete 0:32768 in_port=1 -> output:1'])
    expect(rule.live).toBe(false)
  })

  test('a table out of range is an error, not nothing', () => {
    const { tables } = setup()
    const bad = { ...parseFlow('', { kind: 'delete' }), table: 300 }
    for (const run of [() => tables.dump(bad), () => tables.delete(bad, false), () => tables.aggregate(bad)])
      expect(code(run)).toBe('OFPFMFC_BAD_TABLE_ID')
  })
})

describe('timeouts', () => {
  test('are told with their reason, and a callback may add rules', () => {
    const again: string[] = []
    const s = setup({
      onRemoved: (rule, reason) => {
        again.push(reason)
        if (rule.table === 0) s.add('table=1,idle_timeout=1,actions=1')
      },
    })
    s.add('hard_timeout=1,in_port=1,actions=1')
    s.add('idle_timeout=1,in_port=2,actions=1')
    s.clock.advance(1000)
    expect(s.tables.expire()).toBe(2)
    expect(again.sort()).toEqual(['hard', 'idle'])
    s.clock.advance(1000)
    expect(s.tables.expire()).toBe(1)
    expect(s.tables.size).toBe(0)
  })

  test('a rule that was deleted or replaced does not time out later', () => {
    const { add, del, clock, tables, removed } = setup()
    add('idle_timeout=1,in_port=1,actions=1')
    add('idle_timeout=1,in_port=2,actions=1')
    del('in_port=1')
    add('in_port=2,actions=2')
    clock.advance(5000)
    expect(tables.expire()).toBe(0)
    expect([tables.nextExpiry, tables.size, removed.length]).toEqual([Infinity, 1, 1])
  })
})

test('the generation moves with every change and with nothing else', () => {
  const { add, mod, del, dump, clock, tables } = setup()
  const watch = tables.generation.watch()
  const changes = (run: () => unknown): boolean => {
    run()
    return watch.changed()
  }
  expect(changes(() => add('idle_timeout=1,in_port=1,actions=1'))).toBe(true)
  expect(changes(() => mod('in_port=1,actions=2'))).toBe(true)
  expect(changes(() => dump())).toBe(false)
  expect(changes(() => del('in_port=7'))).toBe(false)
  expect(changes(() => tables.expire())).toBe(false)
  clock.advance(1000)
  expect(changes(() => tables.expire())).toBe(true)
  expect(changes(() => code(() => tables.add({ ...parseFlow('actions=1'), table: 255 })))).toBe(false)
})
