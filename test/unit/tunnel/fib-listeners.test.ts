import { expect, test } from 'vitest'
import { parseRoute, type Route } from '../../../src/netlink/route.ts'
import { FibListeners } from '../../../src/tunnel/fib-listeners.ts'
import { messageOf, routePayload } from '../netlink/messages.ts'

const routeOf = (net: number, table = 254): Route =>
  parseRoute(messageOf(24, routePayload({ dst: [10, net, 0, 0], length: 16, table })))

const create = () => {
  const counters = { events: 0, listenerErrors: 0 }
  const errors: Error[] = []
  const listeners = new FibListeners(counters, (error) => errors.push(error))
  const told: unknown[] = []
  const end = listeners.on((change) => told.push('bytes' in change ? change.bytes[1] : change.kind))
  return { listeners, counters, errors, told, end }
}

test('outside of an event a change is told at once', () => {
  const { listeners, told, counters } = create()
  listeners.route(routeOf(1))
  listeners.route(routeOf(1))
  listeners.rules()
  expect(told).toEqual([1, 1, 'rules'])
  expect(counters.events).toBe(3)
  expect(listeners.generation.value).toBe(3)
})

test('within one it is told at the end of the outermost, each prefix once, also when it fails', () => {
  const { listeners, told } = create()
  listeners.during(() => {
    listeners.route(routeOf(1))
    listeners.during(() => listeners.route(routeOf(2)))
    listeners.route(routeOf(1, 100))
    listeners.link(7)
    expect(told).toEqual([])
  })
  expect(told).toEqual(['link', 1, 2])
  expect(() =>
    listeners.during(() => {
      listeners.route(routeOf(3))
      throw new Error('in the midst')
    }),
  ).toThrow('in the midst')
  expect(told.at(-1)).toBe(3)
})

test('a listener that throws is reported, the others hear all the same; who has ended hears no more', () => {
  const { listeners, told, errors, counters, end } = create()
  listeners.on(() => {
    throw new Error('mine')
  })
  const late: string[] = []
  listeners.on(({ kind }) => late.push(kind))
  listeners.rules()
  expect([told, late]).toEqual([['rules'], ['rules']])
  expect(errors.map(({ message }) => message)).toEqual(['mine'])
  expect(counters.listenerErrors).toBe(1)
  end()
  listeners.resync()
  expect(told).toEqual(['rules'])
  expect(late).toEqual(['rules', 'resync'])
})

test('of a prefix that has a route in the local table, among others, that is told', () => {
  const { listeners } = create()
  const told: unknown[] = []
  listeners.on((change) => told.push('bytes' in change && change.local))
  listeners.route(routeOf(1))
  listeners.route(routeOf(1, 255))
  listeners.during(() => {
    listeners.route(routeOf(1, 255))
    listeners.route(routeOf(1))
  })
  expect(told).toEqual([undefined, true, true])
})
