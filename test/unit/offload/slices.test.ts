import { expect, test } from 'vitest'
import { ManualScheduler } from '../../../src/lib/scheduler.ts'
import { EventLog, type Outcome } from '../../../src/offload/events.ts'
import type { FlowRecord } from '../../../src/offload/record.ts'
import { Rework } from '../../../src/offload/rework.ts'
import { type Job, Slices } from '../../../src/offload/slices.ts'

const create = (onError?: (error: unknown) => void) => {
  const scheduler = new ManualScheduler()
  const errors: string[] = []
  const slices = new Slices(scheduler, 2, 0, onError ?? ((error) => errors.push((error as Error).message)))
  return { scheduler, slices, errors }
}

const job = function* (done: string[], name: string, units: number, fail = false): Job {
  for (let n = 0; n < units; n++) yield
  if (fail) throw new Error(name)
  done.push(name)
}

test('a job that throws is told of and ends; those behind it go on, and who waits hears of the end', async () => {
  const { scheduler, slices, errors } = create()
  const done: string[] = []
  slices.add(job(done, 'a', 1))
  slices.add(job(done, 'b', 1, true))
  slices.add(job(done, 'c', 5))
  let settled = false
  void slices.settled().then(() => {
    settled = true
  })
  scheduler.run()
  await Promise.resolve()
  expect({ done, errors, settled, pending: slices.pending }).toEqual({
    done: ['a', 'c'],
    errors: ['b'],
    settled: true,
    pending: 0,
  })
})

test('also when who is told throws, too', () => {
  const { scheduler, slices } = create((error) => {
    throw error
  })
  const done: string[] = []
  slices.add(job(done, 'a', 0, true))
  slices.add(job(done, 'b', 5))
  expect(() => scheduler.run()).toThrow('a')
  scheduler.run()
  expect(done).toEqual(['b'])
})

test('a flow whose decision fails stays as it is; it is told of, the cause is worked off, and others are decided, then and later', async () => {
  const { scheduler, slices, errors } = create()
  const events = new EventLog(
    4,
    () => 0,
    () => Promise.resolve(),
  )
  const decided: number[] = []
  const decide = ({ id }: FlowRecord): Outcome => {
    if (id === 1) throw new Error('flow 1 cannot be decided')
    decided.push(id)
    return 'moved'
  }
  const rework = new Rework(
    slices,
    events,
    () => Promise.resolve(),
    decide,
    (error) => errors.push((error as Error).message),
  )
  const record = (id: number): FlowRecord => ({ id, deleted: false }) as unknown as FlowRecord
  events.begin({ kind: 'route', text: '10.0.0.0/8', at: 0 })
  for (const id of [1, 2]) rework.add(record(id), events.current)
  events.end(1)
  scheduler.run()
  expect({ decided, errors, pending: rework.pending }).toEqual({
    decided: [2],
    errors: ['flow 1 cannot be decided'],
    pending: 0,
  })
  for (let n = 0; n < 4; n++) await Promise.resolve()
  expect(events.last(1)).toMatchObject([{ flows: 2, moved: 1, micros: 0 }])
  rework.add(record(3), undefined)
  scheduler.run()
  expect(decided).toEqual([2, 3])
})
