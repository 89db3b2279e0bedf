import { describe, expect, test } from 'vitest'
import type { FlowStats } from '../../../src/datapath/contract.ts'
import type { Offloaded } from '../../../src/offload/verdict.ts'
import { createRig, matchOf, output } from './fakes.ts'

describe('order', () => {
  test('new and changed flows: datapath first; removal: eswitch first', () => {
    const { put, module, log } = createRig()
    const id = put(matchOf(1), [output(2)])
    const { rule } = module.verdict(id) as Offloaded
    put(matchOf(1), [output(3)], id)
    module.flowDel(id)
    expect(log).toEqual([
      `dp put ${id}`,
      `nic0 put ${rule}`,
      `dp put ${id}`,
      `nic0 put ${rule}`,
      `nic0 del ${rule}`,
      `dp del ${id}`,
    ])
  })

  test('a change that the eswitch cannot do takes the old rule away, after the datapath has the new one', () => {
    const { put, module, log, code, nic0 } = createRig()
    const id = put(matchOf(1), [output(2)])
    const { rule } = module.verdict(id) as Offloaded
    put(matchOf(1), [output(5)], id)
    expect(log.slice(2)).toEqual([`dp put ${id}`, `nic0 del ${rule}`])
    expect(code(id)).toBe('switch-id')
    expect(nic0.rules.size).toBe(0)
  })

  test('the goodbye comes once, when both tiers are done, with the sum', () => {
    const { put, module, nic0, dpif, traffic, clock } = createRig()
    nic0.late = []
    dpif.late = []
    const id = put(matchOf(1), [output(2)])
    traffic(id, 3)
    dpif.table.get(id)!.stats.packets = 1
    dpif.table.get(id)!.stats.bytes = 98
    const finals: FlowStats[] = []
    module.flowDel(id, (final) => finals.push(final))
    expect(module.verdict(id)).toBeUndefined()
    dpif.flush()
    expect(finals).toEqual([])
    nic0.flush()
    expect(finals).toEqual([{ packets: 4, bytes: 392, used: clock.now(), tcpFlags: 0 }])
  })

  test('an id that the datapath gives out again does not wait for the old rule to go', () => {
    const { put, module, nic0, stats, traffic } = createRig()
    nic0.late = []
    const id = put(matchOf(1), [output(2)])
    traffic(id, 5)
    const finals: number[] = []
    module.flowDel(id, ({ packets }) => finals.push(packets))
    expect(put(matchOf(1), [output(2)])).toBe(id)
    traffic(id, 2)
    nic0.flush()
    expect(finals).toEqual([5])
    expect(stats(id).packets).toBe(2)
  })
})

describe('statistics', () => {
  test('sum over tiers and over past rules; used is the latest', () => {
    const { put, module, traffic, stats, clock, scheduler, code, rulesOf } = createRig()
    const id = put(matchOf(1), [output(2)])
    traffic(id, 5)
    module.setPolicy({ enabled: false })
    scheduler.drain()
    expect(code(id)).toBe('policy')
    clock.advance(10)
    traffic(id, 2)
    expect(stats(id)).toEqual({ packets: 7, bytes: 7 * 98, used: clock.now(), tcpFlags: 0 })
    module.setPolicy({ enabled: true })
    scheduler.drain()
    traffic(id, 1)
    expect(rulesOf(id).map((held) => held.stats.packets)).toEqual([1])
    expect(stats(id).packets).toBe(8)
  })

  test.each([false, true])('a replaced rule goes on counting (provider starts at zero: %s)', (restart) => {
    const { put, traffic, stats, nic0 } = createRig()
    nic0.restartOnReplace = restart
    const id = put(matchOf(1), [output(2)])
    traffic(id, 5)
    put(matchOf(1), [output(3)], id)
    traffic(id, 2)
    expect(stats(id).packets).toBe(7)
    traffic(id, 20)
    expect(stats(id).packets).toBe(27)
  })

  test('between removal and goodbye nothing is missing', () => {
    const { put, module, traffic, stats, scheduler, nic0, rulesOf } = createRig()
    nic0.late = []
    const id = put(matchOf(1), [output(2)])
    traffic(id, 5)
    const last = rulesOf(id)[0]!.stats
    module.setPortPolicy(1, { enabled: false })
    scheduler.drain()
    expect(stats(id).packets).toBe(5)
    last.packets++
    nic0.flush()
    expect(stats(id).packets).toBe(6)
  })
})

describe('retries', () => {
  test('policy off takes all rules away, on brings them back', () => {
    const { put, module, scheduler, nic0, nic1, code } = createRig()
    const ids = [put(matchOf(1, 1), [output(2)]), put(matchOf(1, 2), [output(3)]), put(matchOf(4), [])]
    const never = put(matchOf(5), [output(1)])
    module.setPolicy({ enabled: false })
    scheduler.drain()
    expect([nic0.rules.size, nic1.rules.size]).toEqual([0, 0])
    expect([...ids, never].map(code)).toEqual(Array(4).fill('policy'))
    module.setPolicy({ enabled: true })
    scheduler.drain()
    expect(ids.map(code)).toEqual(Array(3).fill('offloaded'))
    expect(code(never)).toBe('no-eswitch')
  })

  test('an event looks at those who wait for it, and at no other', () => {
    const { put, module, scheduler, dpif, nic0, code } = createRig()
    const waits = put(matchOf(1, 1), [output(5)])
    const other = put(matchOf(1, 2), [{ type: 'trunc', maxLen: 64 }])
    const asked = (): object => ({ ...module.summary().eswitches[0]!.refusals })
    expect(asked()).toEqual({ 'switch-id': 1, action: 1 })
    module.raise('port-change')
    scheduler.drain()
    expect(asked()).toEqual({ 'switch-id': 2, action: 1 })
    dpif.portList.set(5, { no: 5, name: 'vf5', kind: 'representor', eswitch: 'nic0' })
    nic0.members.add(5)
    module.portChanged(5)
    scheduler.drain()
    expect([waits, other].map(code)).toEqual(['offloaded', 'action'])
  })

  test('a port that leaves takes the rules that use it with it', () => {
    const { put, module, scheduler, nic0, code, rulesOf } = createRig()
    const a = put(matchOf(1), [output(2)])
    const b = put(matchOf(1, 1), [output(3)])
    const c = put(matchOf(2), [output(1)])
    nic0.members.delete(2)
    module.portChanged(2)
    scheduler.drain()
    expect([a, b, c].map(code)).toEqual(['switch-id', 'offloaded', 'no-eswitch'])
    expect(nic0.rules.size).toBe(1)
    expect(rulesOf(b)).toHaveLength(1)
  })

  test('long lists are worked off in slices', () => {
    const { put, module, scheduler } = createRig({ profile: { 'table-size': 1000 }, offload: { slice: 10 } })
    for (let i = 0; i < 100; i++) put(matchOf(1, i), [output(2)])
    const before = scheduler.slices
    module.setPolicy({ enabled: false })
    expect(module.summary().offloaded).toBe(100)
    scheduler.step()
    expect(module.summary().offloaded).toBe(90)
    scheduler.drain()
    expect(module.summary().offloaded).toBe(0)
    expect(scheduler.slices - before).toBeGreaterThanOrEqual(10)
  })

  test('the barrier waits for offers that are still to be made', async () => {
    const { put, module, scheduler } = createRig()
    put(matchOf(1), [output(2)])
    module.setPolicy({ enabled: false })
    let passed = false
    const done = module.barrier().then(() => {
      passed = true
    })
    await Promise.resolve()
    expect(passed).toBe(false)
    scheduler.drain()
    await done
    expect(module.summary().offloaded).toBe(0)
  })

  test('an eswitch that comes later gets the flows of its ports; one that is removed gives them up', () => {
    const { put, module, scheduler, nic0, code } = createRig({ offload: { eswitches: [] } })
    const id = put(matchOf(1), [output(2)])
    expect(code(id)).toBe('no-eswitch')
    module.addEswitch(nic0)
    scheduler.drain()
    expect(code(id)).toBe('offloaded')
    module.removeEswitch('nic0')
    expect(code(id)).toBe('no-eswitch')
    expect(nic0.rules.size).toBe(0)
  })
})

describe('worker loss', () => {
  test('all its flows say so at once, keep their statistics, and are offered again when it is back', () => {
    const { put, module, scheduler, nic0, code, traffic, stats } = createRig()
    const ids = [1, 2, 3, 4].map((i) => put(matchOf(1, i), [output(2)]))
    const waiting = put(matchOf(1, 5), [output(2)])
    const elsewhere = put(matchOf(4), [])
    expect(code(waiting)).toBe('table-full')
    traffic(ids[0]!, 9)
    nic0.setState('restarting')
    expect([...ids, waiting].map(code)).toEqual(Array(5).fill('worker-gone'))
    expect(code(elsewhere)).toBe('offloaded')
    traffic(ids[0]!, 2)
    expect(stats(ids[0]!).packets).toBe(11)
    expect(module.summary().eswitches[0]).toMatchObject({ losses: 4, state: 'restarting' })
    nic0.setState('running')
    scheduler.drain()
    expect(ids.map(code)).toEqual(Array(4).fill('offloaded'))
    expect(code(waiting)).toBe('table-full')
    traffic(ids[0]!, 1)
    expect(stats(ids[0]!).packets).toBe(12)
  })

  test('a worker that is down before it says so refuses', () => {
    const { put, module, nic0, scheduler, code } = createRig()
    nic0.rulePut = () => 'down'
    const id = put(matchOf(1), [output(2)])
    expect(module.verdict(id)).toMatchObject({ check: 'worker-gone', what: 'down', retryOn: ['eswitch-up'] })
    delete (nic0 as Partial<typeof nic0>).rulePut
    module.raise('eswitch-up', 'nic0')
    scheduler.drain()
    expect(code(id)).toBe('offloaded')
  })

  test('a removal under way when the worker dies still ends', () => {
    const { put, module, nic0 } = createRig()
    nic0.late = []
    const id = put(matchOf(1), [output(2)])
    let final: FlowStats | undefined
    module.flowDel(id, (stats) => {
      final = stats
    })
    nic0.setState('restarting')
    nic0.flush()
    expect(final?.packets).toBe(0)
  })
})

test('a flow that was put past the module is handed on', () => {
  const { module, dpif } = createRig()
  dpif.flowPut({ id: 900, ufid: '', match: matchOf(1), actions: [] })
  let gone = false
  module.flowDel(900, () => {
    gone = true
  })
  expect(gone).toBe(true)
})
