import { expect, test } from 'vitest'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Log, type LogLevel, RateLimit } from '../../../src/lib/log.ts'

const capture = (level: LogLevel) => {
  const clock = new ManualClock()
  const lines: Record<string, unknown>[] = []
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) }
  return { clock, lines, log: Log.create({ level, clock, destination }) }
}

test('a line carries module, data and message; lower levels are silent', () => {
  const { lines, log } = capture('info')
  log.child('ofproto').info('rule added', { cookie: 5n, table: 3 })
  log.debug('not shown')
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatchObject({ level: 30, module: 'ofproto', msg: 'rule added', cookie: '5', table: 3 })
  expect(lines[0]).not.toHaveProperty('pid')
})

test('a warning under a flood is held back, by message, and says how many were', () => {
  const { clock, lines, log } = capture('info')
  const mac = log.child('mac')
  for (let i = 0; i < 100; i++) mac.warnLimited('table full', { port: i })
  expect(lines).toHaveLength(5)
  mac.warnLimited('loop seen')
  log.child('upcall').warnLimited('table full')
  expect(lines).toHaveLength(7)
  clock.advance(6000)
  mac.warnLimited('table full', { port: 7 })
  mac.warnLimited('table full')
  expect(lines).toHaveLength(8)
  expect(lines[7]).toMatchObject({ msg: 'table full', port: 7, heldBack: 95 })
})

test('messages that vary without end share one allowance in the end', () => {
  const { lines, log } = capture('info')
  for (let i = 0; i < 3000; i++) log.warnLimited(`packet ${i}`)
  expect(lines).toHaveLength(1005)
})

test('a bucket fills to its burst and not beyond', () => {
  const clock = new ManualClock()
  const limit = new RateLimit(clock, 2, 60)
  clock.advance(3_600_000)
  expect([limit.take(), limit.take(), limit.take(), limit.take()]).toEqual([0, 0, -1, -1])
  clock.advance(1000)
  expect(limit.take()).toBe(2)
})
