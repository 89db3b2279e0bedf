import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseRoute } from '../../../src/netlink/route.ts'
import type { RouteEntry } from '../../../src/tunnel/route-entry.ts'
import { RouteTable } from '../../../src/tunnel/route-table.ts'
import { messageOf, routePayload } from '../netlink/messages.ts'

const hop = fc.record({
  oif: fc.integer({ min: 2, max: 4 }),
  via: fc.constantFrom([192, 0, 2, 1], [192, 0, 2, 2]),
})
const facts = fc.record(
  {
    dst: fc.constantFrom([10, 0, 0, 0], [10, 128, 0, 0]),
    length: fc.constantFrom(8, 9, 24),
    table: fc.constantFrom(254, 100),
    priority: fc.constantFrom(0, 5),
    prefsrc: fc.constantFrom([10, 9, 9, 1], [10, 9, 9, 2]),
    hops: fc.array(hop, { maxLength: 3 }),
    nexthopId: fc.constantFrom(7, 8),
  },
  { requiredKeys: ['dst', 'length', 'table'] },
)
const step = fc.record({
  what: fc.constantFrom('add', 'replace', 'delete', 'list', 'remove'),
  route: facts.map((one) => parseRoute(messageOf(24, routePayload(one)))),
})

test('the index finds what a walk through all routes finds, whatever happens', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const table = new RouteTable()
      for (const { what, route } of steps) {
        if (what === 'delete') table.deleted(route)
        else if (what === 'list') table.listed(route, 1)
        else if (what === 'remove') for (const entry of [...table.index.byLink(2)].slice(0, 1)) table.remove(entry)
        else table.added(route, what === 'replace' ? 0x100 : 0, 0)
      }
      const all = [...table.entries()]
      const having = (is: (entry: RouteEntry) => boolean): Set<RouteEntry> => new Set(all.filter(is))
      expect(table.size).toBe(all.length)
      for (const oif of [2, 3, 4])
        expect(new Set(table.index.byLink(oif))).toEqual(
          having(({ route }) => route.nexthopId === 0 && route.nexthops.some((one) => one.oif === oif)),
        )
      for (const id of [7, 8])
        expect(new Set(table.index.byObject(id))).toEqual(having(({ route }) => route.nexthopId === id))
      for (const host of [1, 2])
        expect(new Set(table.index.bySource(Uint8Array.of(10, 9, 9, host)))).toEqual(
          having(({ route }) => route.prefsrc?.[3] === host),
        )
    }),
  )
})
