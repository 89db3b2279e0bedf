import { expect, it } from 'vitest'
import { asTables } from '../../../bench/profile/table.ts'
import { type CpuProfile, readProfile } from '../../../bench/profile/v8.ts'

const frame = (id: number, functionName: string, url: string) => ({
  id,
  callFrame: { functionName, url, lineNumber: 9 },
})
const dist = (path: string): string => `file:///somewhere/dist/${path}`
const PROFILE: CpuProfile = {
  nodes: [
    frame(1, '(root)', ''),
    frame(2, 'runLoop', dist('port/thread.js')),
    frame(3, 'epollWait', ''),
    frame(4, 'rxBatch', ''),
    frame(5, 'find', dist('flow/megaflow.js')),
    frame(6, 'find', dist('flow/megaflow.js')),
    frame(7, '(anonymous)', dist('eswitch/worker.js')),
    frame(8, '(garbage collector)', ''),
    frame(9, 'eventfdWait', ''),
  ],
  samples: [3, 4, 5, 6, 2, 8, 9],
  timeDeltas: [5000, 3000, 1000, 500, 400, 100, 1000],
}

it('sums self time by function and by part', () => {
  const read = readProfile(PROFILE)
  expect(read.thread).toBe('eswitch')
  expect(read.total).toBe(11_000)
  expect(Object.fromEntries(read.modules)).toEqual({
    waiting: 6000,
    'native I/O': 3000,
    'look-up': 1500,
    tier: 400,
    garbage: 100,
  })
  expect(read.functions.map(({ name, us }) => [name, us]).slice(0, 3)).toEqual([
    ['epollWait', 5000],
    ['rxBatch', 3000],
    ['find', 1500],
  ])
})

it('shares are of the time that was not waited', () => {
  const text = asTables('eswitch, process 7', readProfile(PROFILE))
  expect(text).toMatch(/^eswitch, process 7: 11 ms, of which it waited 6 ms \(54\.5 %\)$/m)
  expect(text).toMatch(/^native I\/O +3 ms +60\.0 %$/m)
  expect(text).toMatch(/^find +2 ms +30\.0 % +look-up +flow\/megaflow\.js:10$/m)
  expect(text).not.toMatch(/^(epoll|eventfd)Wait/m)
})
