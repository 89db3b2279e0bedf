import { describe, expect, test } from 'vitest'
import { EventLog } from '../../../src/offload/events.ts'
import type { TunnelCause } from '../../../src/tunnel/contract.ts'
import { matchOf, output } from './fakes.ts'
import { createTunnelRig, P1, push } from './tunnel-rig.ts'

const cause = (at: number, text = '10.0.0.0/8'): TunnelCause => ({ kind: 'route', text, at })

const createLog = (capacity = 4) => {
  let now = 0
  const barriers: (() => void)[] = []
  const log = new EventLog(
    capacity,
    () => now,
    () => new Promise((resolve) => void barriers.push(resolve)),
  )
  return {
    log,
    at: (ms: number) => {
      now = ms
    },
    barriers,
    apply: async () => {
      for (let i = 0; i < 3; i++) {
        await Promise.resolve()
        for (const done of barriers.splice(0)) done()
      }
      await Promise.resolve()
    },
  }
}

describe('the time line', () => {
  test('tells the time until tier 2 has applied it, not the decision', async () => {
    const { log, at, apply, barriers } = createLog()
    at(10)
    log.begin(cause(10))
    const run = log.current!
    log.examine(run)
    log.end(1)
    at(12)
    log.decided(run, 'moved')
    expect(log.last(1)[0]!.micros).toBeUndefined()
    await Promise.resolve()
    expect(barriers).toHaveLength(1)
    at(15.5)
    await apply()
    expect(log.last(1)).toMatchObject([
      { kind: 'route', text: '10.0.0.0/8', peers: 1, flows: 1, moved: 1, micros: 5500 },
    ])
  })

  test('pieces of one cause are one; the last one tells the time', async () => {
    const { log, at, apply } = createLog()
    for (const [i, ms] of [20, 30].entries()) {
      log.begin(cause(10))
      const run = log.current!
      log.examine(run)
      log.end(2)
      at(ms)
      log.decided(run, i === 0 ? 'refused' : 'offloaded')
      await apply()
    }
    expect(log.last(9)).toMatchObject([{ peers: 4, flows: 2, refused: 1, offloaded: 1, micros: 20_000 }])
    expect(log.totals).toMatchObject({ events: 1, flows: 2, refused: 1, offloaded: 1, slowest: 20_000 })
  })

  test('the same text at another time is another one', () => {
    const { log } = createLog()
    for (const ms of [1, 2]) {
      log.begin(cause(ms))
      log.end(1)
    }
    expect(log.last(9).map(({ at }) => at)).toEqual([1, 2])
  })

  test('is bounded; the oldest go', () => {
    const { log } = createLog(3)
    for (let ms = 0; ms < 10; ms++) {
      log.begin(cause(ms))
      log.end(1)
    }
    expect(log.last(100).map(({ at }) => at)).toEqual([7, 8, 9])
    expect(log.last(2).map(({ at }) => at)).toEqual([8, 9])
    expect([log.last(0), log.totals.events]).toEqual([[], 10])
  })

  test('what concerns nobody is only counted', () => {
    const { log } = createLog()
    log.begin(cause(1))
    log.end(0)
    log.begin({ kind: 'bridge', text: 'learned', at: 2 })
    log.end(50)
    expect(log.last(9)).toEqual([])
    expect(log.totals).toMatchObject({ events: 0, idle: 2 })
    log.begin({ kind: 'bridge', text: 'learned', at: 3 })
    log.examine(log.current!)
    log.end(50)
    expect(log.last(9)).toHaveLength(1)
  })
})

test('many causes while one flow waits: it is decided once, and each of them ends', async () => {
  const { entry, put, view, module, rest, log } = createTunnelRig()
  entry(5, '10.0.0.2')
  const id = put(matchOf(1), [push(5)])
  log.length = 0
  for (let i = 0; i < 40; i++)
    view.event(`route ${i}`, () => entry(5, '10.0.0.2', { reason: i % 2 ? 'no-route' : 'neighbour-failed' }))
  expect(module.summary().tunnels.pending).toBe(1)
  await rest()
  expect(module.verdict(id)).toMatchObject({ check: 'no-route' })
  expect(log.filter((line) => line.startsWith('nic0 del'))).toHaveLength(1)
  const events = module.events(100)
  expect(events).toHaveLength(40)
  expect(events.every(({ flows, micros }) => flows === 1 && micros !== undefined)).toBe(true)
  expect(events.at(-1)).toMatchObject({ refused: 1 })
})

test('long work is done in slices, and ends as one event', async () => {
  const { entry, put, view, module, rest, scheduler } = createTunnelRig({ offload: { slice: 10 } })
  entry(5, '10.0.0.2')
  for (let i = 0; i < 95; i++) put(matchOf(1, i), [push(5)])
  view.event('10.0.0.2/32', () => entry(5, '10.0.0.2', { reason: 'no-route' }))
  scheduler.step()
  expect(module.summary().offloaded).toBe(85)
  expect(module.events(1)[0]!.micros).toBeUndefined()
  await rest()
  expect(module.events(1)).toMatchObject([{ flows: 95, refused: 95, micros: expect.any(Number) }])
  view.event('10.0.0.2/32', () => entry(5, '10.0.0.2', { actions: [output(P1)] }))
  await rest()
  expect(module.events(1)).toMatchObject([{ flows: 95, offloaded: 95, refused: 0 }])
})

test('a flow that goes while it waits holds nothing up', async () => {
  const { entry, put, view, module, rest } = createTunnelRig()
  entry(5, '10.0.0.2')
  const id = put(matchOf(1), [push(5)])
  view.event('10.0.0.2/32', () => entry(5, '10.0.0.2', { reason: 'no-route' }))
  module.flowDel(id)
  await rest()
  expect(module.events(1)).toMatchObject([{ flows: 1, refused: 0, micros: expect.any(Number) }])
  expect(module.summary().tunnels).toMatchObject({ pending: 0, endpoints: 0, held: 0 })
})
