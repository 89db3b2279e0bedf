import { describe, expect, test } from 'vitest'
import { ManualScheduler } from '../../../src/lib/scheduler.ts'
import { Changes, type Scope } from '../../../src/tunnel/changes.ts'

interface Thing {
  readonly name: string
  looked: number
  gone: boolean
}

/** Each look costs `cost` milliseconds. */
const create = (cost = 0) => {
  const scheduler = new ManualScheduler()
  const log: string[] = []
  const hooks = { look: (_thing: Thing): Iterator<void, void> | undefined => undefined }
  const changes: Changes<Thing> = new Changes<Thing>(scheduler, {
    begin: ({ text, at }) => log.push(`begin ${text} ${at}`),
    look: (thing) => {
      thing.looked = changes.stamp
      scheduler.spend(cost)
      log.push(thing.name)
      return hooks.look(thing)
    },
    end: ({ text }) => log.push(`end ${text}`),
  })
  return { scheduler, log, hooks, changes }
}
const things = (count: number, prefix = ''): Thing[] =>
  Array.from({ length: count }, (_, i) => ({ name: `${prefix}${i}`, looked: -1, gone: false }))
const scope = (key: string, ways: Iterable<Thing>): Scope<Thing> => ({
  key,
  cause: () => ({ kind: 'route', text: key }),
  ways: () => ways,
})
const looks = (log: readonly string[]): string[] => log.filter((line) => !/^(begin|end)/.test(line))

test('nothing is done within the call; each scope is a piece of work with its cause', async () => {
  const { scheduler, log, changes } = create()
  const [a, b] = things(2)
  changes.note(scope('x', [a!]))
  changes.note(scope('y', [b!]))
  changes.note(scope('empty', []))
  expect(log).toEqual([])
  let settled = false
  void changes.settled().then(() => {
    settled = true
  })
  scheduler.run()
  expect(log).toEqual(['begin x 1', '0', 'end x', 'begin y 1', '1', 'end y'])
  await Promise.resolve()
  expect(settled).toBe(true)
})

describe('coalescing', () => {
  test('a scope noted many times is one, with the time of the first; what two scopes concern is looked at once', () => {
    const { scheduler, log, changes } = create()
    const [a, b] = things(2)
    for (let i = 0; i < 100; i++) {
      changes.note(scope('x', [a!, b!]))
      scheduler.spend(1)
    }
    changes.note(scope('y', [a!, b!]))
    scheduler.run()
    expect(log).toEqual(['begin x 1', '0', '1', 'end x'])
    expect(changes.counters).toMatchObject({ events: 101, scopes: 2, slices: 1 })
    changes.note(scope('y', [a!]))
    scheduler.run()
    expect(looks(log)).toEqual(['0', '1', '0'])
  })

  test('a change during the work on its scope has those looked at again that came before it, once', () => {
    const { scheduler, log, changes } = create(1)
    const all = things(4)
    changes.note(scope('x', all))
    expect(scheduler.step()).toBe(true)
    expect(looks(log)).toEqual(['0', '1'])
    changes.note(scope('x', all))
    changes.note(scope('x', all))
    scheduler.run()
    expect(looks(log)).toEqual(['0', '1', '2', '3', '0', '1'])
  })

  test('under steady change of everything each thing has its turn', () => {
    const { scheduler, log, changes } = create(1)
    const all = things(20)
    for (let i = 0; i < 40; i++) {
      changes.note(scope('all', all))
      scheduler.step()
    }
    expect(new Set(looks(log)).size).toBe(20)
  })
})

test('a slice ends after 2 ms, and the next one goes on where it ended', () => {
  const { scheduler, log, changes } = create(0.5)
  changes.note(scope('x', things(10)))
  scheduler.step()
  expect(looks(log)).toEqual(['0', '1', '2', '3'])
  expect(log.at(-1)).toBe('end x')
  scheduler.run()
  expect(looks(log)).toHaveLength(10)
  expect(changes.counters).toMatchObject({ slices: 3, longest: 2 })
})

test('one look that is too long ends its slice, and still every slice does something', () => {
  const { scheduler, log, changes } = create(5)
  changes.note(scope('x', things(3)))
  scheduler.step()
  expect(looks(log)).toEqual(['0'])
  // The last one finds that there is no more.
  expect(scheduler.run()).toBe(3)
  expect(looks(log)).toEqual(['0', '1', '2'])
})

test('urgent scopes go first, also into work that is under way; a storm of them leaves the others their share', () => {
  const { scheduler, log, changes } = create(2)
  changes.note(scope('x', things(4, 'x')))
  changes.note(scope('u', things(1, 'u')), true)
  scheduler.step()
  scheduler.step()
  changes.note(scope('v', things(1, 'v')), true)
  scheduler.step()
  expect(looks(log)).toEqual(['u0', 'x0', 'v0'])
  for (let i = 0; i < 12; i++) {
    changes.note(scope(`storm ${i}`, things(1, 's')), true)
    scheduler.step()
  }
  expect(looks(log).filter((name) => name.startsWith('x'))).toEqual(['x0', 'x1', 'x2', 'x3'])
})

test('what a look leaves to be done goes on in later slices, in pieces with the same cause', () => {
  const { scheduler, log, hooks, changes } = create()
  hooks.look = function* ({ name }) {
    for (let i = 0; i < 3; i++) {
      scheduler.spend(1)
      log.push(`${name} unit ${i}`)
      if (i < 2) yield
    }
  }
  changes.note(scope('x', things(2)))
  scheduler.run()
  expect(log).toEqual([
    ...['begin x 1', '0', '0 unit 0', '0 unit 1', 'end x'],
    ...['begin x 1', '0 unit 2', '1', '1 unit 0', 'end x'],
    ...['begin x 1', '1 unit 1', '1 unit 2', 'end x'],
  ])
})

test('what is gone meanwhile is passed by; after the stop nothing happens', () => {
  const { scheduler, log, changes } = create(1)
  const all = things(5)
  changes.note(scope('x', all))
  scheduler.step()
  all[2]!.gone = true
  scheduler.step()
  expect(looks(log)).toEqual(['0', '1', '3', '4'])
  changes.note(scope('x', all))
  changes.stop()
  changes.note(scope('x', all))
  scheduler.run()
  expect(looks(log)).toHaveLength(4)
  expect(changes.pending).toBe(0)
})
