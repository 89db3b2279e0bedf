import { describe, expect, test } from 'vitest'
import { parseRoute, type Route } from '../../../src/netlink/route.ts'
import { RouteTable } from '../../../src/tunnel/route-table.ts'
import { messageOf, type RouteFacts, routePayload } from '../netlink/messages.ts'

const REPLACE = 0x100
const dst = [0xfd, ...Array<number>(15).fill(0)]
const address = Uint8Array.from(dst)
const gateway = (host: number): number[] => [0x20, 0x01, ...Array<number>(13).fill(0), host]

/** 'g1' by gateway 1, 'd1' on link 11, 'o1' by object 1; with '@5' of metric 5, not 1024. */
const routeOf = (...words: string[]): Route => {
  const metric = Number(words[0]!.split('@')[1] ?? 1024)
  const facts: RouteFacts = { dst, length: 8, priority: metric }
  const numbers = words.map((word) => Number.parseInt(word.slice(1), 10))
  if (words[0]!.startsWith('o')) facts.nexthopId = numbers[0]!
  else
    facts.hops = words.map((word, i) =>
      word.startsWith('g') ? { oif: 2, via: gateway(numbers[i]!) } : { oif: 10 + numbers[i]! },
    )
  return parseRoute(messageOf(24, routePayload(facts)))
}

const wordOf = ({ nexthopId, nexthops: [hop], priority }: Route): string =>
  (nexthopId ? `o${nexthopId}` : hop!.via ? `g${hop!.via[15]}` : `d${hop!.oif - 10}`) +
  (priority === 1024 ? '' : `@${priority}`)

/** Entries in the order of the kernel. */
const order = (table: RouteTable): string =>
  table
    .covering(6, 254, address)
    .flat()
    .map(({ route }) => wordOf(route))
    .join(' ')

const tableOf = (...words: string[]): RouteTable => {
  const table = new RouteTable()
  for (const word of words) table.added(routeOf(word), 0, 0)
  return table
}

describe('what a replacement replaces', () => {
  test.each([
    ['nothing: it is added behind its metric', 'd1 d2@5', 'd3@9', 'd2@5 d3@9 d1'],
    ['the first that is as fit for a set', 'g1 d1 d2', 'd3', 'g1 d3 d2'],
    ['a set goes with its first member', 'd1 g1 d2 g2 g3', 'g4', 'd1 g4 d2'],
    ['nothing as fit: the first of the metric', 'd1 d2', 'g1', 'g1 d2'],
    ['nothing as fit, and a set is there', 'g1 g2', 'd1', 'd1'],
    ['an object is as one on link', 'g1 d1 d2', 'o1', 'g1 o1 d2'],
    ['not other metrics', 'g1@5 g2', 'g3', 'g1@5 g3'],
    ['what is there already', 'd1 d2', 'd1', 'd1 d2'],
  ])('%s', (_, before, news, after) => {
    const table = tableOf(...before.split(' '))
    table.added(routeOf(news), REPLACE, 0)
    expect(order(table)).toBe(after)
    expect(table.size).toBe(after.split(' ').length)
  })

  test('a set in the place of one: the others go behind', () => {
    const table = tableOf('d1', 'd2')
    table.added(routeOf('g1', 'g2', 'g3'), REPLACE, 0)
    expect(order(table)).toBe('g1 d2 g2 g3')
    expect([...table.list(6)].map(({ nexthops }) => nexthops.length)).toEqual([3, 1])
  })

  test('one of which a copy stands elsewhere may be news of its object: a doubt', () => {
    const table = tableOf('o1', 'o2')
    expect(table.added(routeOf('o2'), REPLACE, 0)).toBe('doubt')
    expect(order(table)).toBe('o1 o2')
    expect(table.added(routeOf('o1'), REPLACE, 0)).toBe('same')
  })
})

test('a route by an object of several next hops is one route, though they are listed', () => {
  const hops = [1, 2].map((host) => ({ oif: 2, via: gateway(host) }))
  const route = parseRoute(messageOf(24, routePayload({ dst, length: 8, priority: 1024, nexthopId: 1, hops })))
  const table = tableOf('d1')
  expect(table.added(route, 0, 0)).toBe('changed')
  expect(order(table)).toBe('d1 o1')
  table.listed(routeOf('d1'), 1)
  expect(table.listed(route, 1)).toBe('same')
  expect(table.deleted(routeOf('o1'))).toBe('changed')
  expect(table.size).toBe(1)
})

describe('sets', () => {
  test('members join at the end of their metric, whoever is told first', () => {
    const table = tableOf('g1', 'd1')
    expect(table.added(routeOf('g2', 'g1'), 0, 0)).toBe('changed')
    expect(order(table)).toBe('g1 d1 g2')
    expect(table.added(routeOf('g1', 'g2'), 0, 0)).toBe('same')
  })

  test('leave one by one, or as a whole', () => {
    const table = tableOf('g1', 'd1', 'g2', 'g3')
    expect(table.deleted(routeOf('g2'))).toBe('changed')
    expect(order(table)).toBe('g1 d1 g3')
    expect(table.deleted(routeOf('g1', 'g3'))).toBe('changed')
    expect(order(table)).toBe('d1')
    expect(table.deleted(routeOf('g9'))).toBe('doubt')
    expect(table.size).toBe(1)
  })
})

describe('a dump', () => {
  const dump = (table: RouteTable, ...parts: string[][]): string[] => {
    const applied = parts.map((words) => table.listed(routeOf(...words), 1))
    for (const entry of [...table.entries(6)]) if (entry.epoch !== 1) table.remove(entry)
    return applied
  }

  test('that fits changes nothing, though it passes by what stands within a set', () => {
    const table = tableOf('g1', 'd1', 'g2', 'd2')
    expect(dump(table, ['g1', 'g2'], ['d2'])).toEqual(['same', 'same'])
    expect(order(table)).toBe('g1 d1 g2 d2')
  })

  test('puts things into its order, and lets go of what it does not list', () => {
    const table = tableOf('d1', 'd2', 'd3', 'g1@5')
    dump(table, ['g1@5'], ['d3'], ['d1'], ['o1'])
    expect(order(table)).toBe('g1@5 d3 d1 o1')
  })

  test('lists once what news have told during it', () => {
    const table = tableOf('d1')
    table.added(routeOf('d2'), 0, 1)
    expect(dump(table, ['d1'], ['d2'])).toEqual(['same', 'same'])
    expect(order(table)).toBe('d1 d2')
    expect(table.size).toBe(2)
  })

  test('of an empty table fills it', () => {
    const table = new RouteTable()
    dump(table, ['d1@5'], ['g1', 'g2'], ['d2'])
    expect(order(table)).toBe('d1@5 g1 g2 d2')
    expect(table.size).toBe(4)
  })
})
