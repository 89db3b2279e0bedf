import { expect, test } from 'vitest'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Counters } from '../../../src/lib/counters.ts'

test('one name is one counter; a source cannot take it', () => {
  const counters = new Counters(new ManualClock())
  counters.counter('upcall').add()
  counters.counter('upcall').add(4)
  expect(counters.total('upcall')).toBe(5)
  expect(() => counters.source('upcall', () => 0)).toThrow('counter upcall is registered twice')
})

test('rates are averages over closed slots of 5 s', () => {
  const clock = new ManualClock()
  const counters = new Counters(clock)
  const upcall = counters.counter('upcall')
  upcall.add(50)
  clock.advance(4999)
  counters.run()
  expect(counters.rates('upcall').fiveSeconds).toBe(0)
  clock.advance(1)
  counters.run()
  expect(counters.rates('upcall')).toEqual({ fiveSeconds: 10, minute: 50 / 60, hour: 0 })
  clock.advance(5000)
  counters.run()
  expect(counters.rates('upcall')).toEqual({ fiveSeconds: 0, minute: 50 / 60, hour: 0 })
  clock.advance(50_000)
  counters.run()
  expect(counters.rates('upcall').hour).toBe(50 / 3600)
  clock.advance(5000)
  counters.run()
  expect(counters.rates('upcall').minute).toBe(0)
  clock.advance(3_600_000)
  counters.run()
  expect(counters.rates('upcall').hour).toBe(0)
  expect(counters.total('upcall')).toBe(50)
})

test('a steady stream has the same rate over every span', () => {
  const clock = new ManualClock()
  const counters = new Counters(clock)
  let frames = 1000
  counters.source('frames', () => frames)
  for (let i = 0; i < 740; i++) {
    frames += 35
    clock.advance(5000)
    counters.run()
  }
  expect(counters.rates('frames')).toEqual({ fiveSeconds: 7, minute: 7, hour: 7 })
})

test('a clock that jumps days ahead costs no days', () => {
  const clock = new ManualClock()
  const counters = new Counters(clock)
  counters.counter('x').add()
  clock.advance(1e12)
  counters.run()
  expect(counters.rates('x')).toEqual({ fiveSeconds: 0, minute: 0, hour: 0 })
})

test('show lists what happened and counts what did not', () => {
  const clock = new ManualClock()
  const counters = new Counters(clock)
  counters.counter('never')
  counters.counter('mac_learned').add(10)
  clock.advance(5000)
  expect(counters.show().split('\n')).toEqual([
    expect.stringMatching(
      /^Event coverage, avg rate over last: 5 seconds, last minute, last hour, {2}hash=[0-9a-f]{8}:$/,
    ),
    'mac_learned                2.0/sec    0.167/sec       0.0000/sec   total: 10',
    '1 events never hit',
  ])
  counters.remove('mac_learned')
  expect(counters.names()).toEqual(['never'])
})
