import { expect, test } from 'vitest'
import { parseRoute } from '../../../src/netlink/route.ts'
import { parseRule } from '../../../src/netlink/rule.ts'
import { AddressList } from '../../../src/tunnel/address-list.ts'
import { waysOf } from '../../../src/tunnel/fib-contract.ts'
import { lookupRoute } from '../../../src/tunnel/fib-lookup.ts'
import { RouteTable } from '../../../src/tunnel/route-table.ts'
import { messageOf, routePayload } from '../netlink/messages.ts'
import { FakeFib, RTM_NEWROUTE, usualRules } from './fib-fake.ts'

const NONE = undefined
const INCOMPLETE = 0x01
const REACHABLE = 0x02
const STALE = 0x04
const FAILED = 0x20

const dst = Uint8Array.of(8, 8, 8, 8)
const link = { ifindex: 2, name: 'v0', up: true, carrier: true, operState: 'up', mtu: 1500, mac: '' } as const

interface Default {
  priority?: number
  tos?: number
  host?: number
  type?: number
  scope?: number
}

/** The last byte of the gateways that may be taken, the one that we take first. `nuds`: of the neighbours 192.0.2.1, .2, ...; absent: unknown. */
const taken = (defaults: readonly Default[], nuds?: readonly (number | undefined)[], query = {}): unknown => {
  const routes = new RouteTable()
  for (const { host, ...facts } of [...defaults].reverse()) {
    const hops = host === undefined ? [{ oif: 2 }] : [{ oif: 2, via: [192, 0, 2, host] }]
    routes.added(parseRoute(messageOf(24, routePayload({ dst: [0, 0, 0, 0], length: 0, hops, ...facts }))), 0, 0)
  }
  const state = {
    routes,
    rules: {
      4: usualRules()
        .slice(0, 2)
        .map((rule) => parseRule(messageOf(32, rule))),
      6: [],
    },
    nexthops: new Map(),
    addresses: new AddressList(),
    link: () => link,
    ...(nuds ? { neighbour: (_: number, address: Uint8Array) => nuds[address[3]! - 1] } : {}),
  }
  const result = lookupRoute(state, { dst, ...query })
  return result.type === 'none' ? result.why : waysOf(result).map(({ via }) => via?.[3])
}

const two = [{ host: 1 }, { host: 2 }]

test('nothing known of neighbours: any of the lowest metric', () => {
  expect(taken(two)).toEqual([1, 2])
  expect(taken([{ host: 1 }, { host: 2, priority: 5 }])).toEqual([1])
  expect(taken([{ host: 1 }])).toEqual([1])
})

test.each([
  ['no neighbour: the first', [NONE, NONE], [1]],
  ['reachable: the first', [REACHABLE, REACHABLE], [1]],
  ['failed: the next', [FAILED, NONE], [2]],
  ['failed: the next that is reachable', [FAILED, REACHABLE], [2]],
  ['stale: the first, unless it was the last one taken', [STALE, REACHABLE], [2, 1]],
  ['all failed: one after another', [FAILED, FAILED], [1, 2]],
  ['being asked for: the next; nothing to fall back to: the first', [INCOMPLETE, INCOMPLETE], [1]],
  ['being asked for, then stale', [INCOMPLETE, STALE], [2]],
] as const)('%s', (_, nuds, expected) => {
  expect(new Set(taken(two, nuds) as number[])).toEqual(new Set(expected))
})

test('a packet that is bound to a link, or passes through, takes the first', () => {
  expect(taken(two, undefined, { oif: 2 })).toEqual([1])
  expect(taken(two, undefined, { iif: 3 })).toEqual([1])
})

test('only gateways of the TOS and scope that won compete', () => {
  expect(taken([{ host: 1 }, { type: 1 }, { host: 2 }])).toEqual([1, 2])
  expect(taken([{}, { host: 1 }, { host: 2 }])).toEqual([undefined])
  expect(taken([{ host: 3, tos: 0x10 }, { host: 1 }, { host: 2 }])).toEqual([1, 2])
  expect(taken([{ host: 3, tos: 0x10 }, { host: 1 }, { host: 2 }], undefined, { tos: 0xb0 })).toEqual([3, 1, 2])
  expect(taken([{ host: 1 }, { host: 2, scope: 253 }, { host: 3 }])).toEqual([1, 3])
  expect(taken([{ type: 7 }, { host: 1 }])).toBe('unreachable')
})

test('a mirror names them all', async () => {
  const fake = await FakeFib.open()
  for (const host of [2, 1])
    fake.news(RTM_NEWROUTE, routePayload({ dst: [0, 0, 0, 0], length: 0, hops: [{ oif: 2, via: [192, 0, 2, host] }] }))
  expect(fake.fib.lookup({ dst })).toMatchObject({
    via: Uint8Array.of(192, 0, 2, 1),
    alternatives: [{ via: Uint8Array.of(192, 0, 2, 2) }],
  })
})
