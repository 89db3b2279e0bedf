import { expect, test } from 'vitest'
import { isRouteMessage, parseRoute, type Route, RTM_NEWROUTE } from '../../../src/netlink/route.ts'
import { attribute, messageOf, type RouteFacts, routePayload, u32 } from './messages.ts'

const parse = (facts: RouteFacts): Route => parseRoute(messageOf(RTM_NEWROUTE, routePayload(facts)))
const NET = { dst: [198, 51, 100, 0], length: 24 }

test('tables beyond a byte, metric, source, MTU', () => {
  const metrics = attribute(8, Buffer.concat([attribute(4, u32(99)), attribute(2, u32(1400))]))
  const route = parse({
    ...NET,
    table: 70_000,
    priority: 5,
    prefsrc: [192, 0, 2, 7],
    hops: [{ oif: 3 }],
    more: [metrics],
  })
  expect(route).toMatchObject({ version: 4, table: 70_000, priority: 5, mtu: 1400, type: 'unicast', nexthopId: 0 })
  expect(route.prefsrc).toEqual(Uint8Array.of(192, 0, 2, 7))
  expect(route.nexthops).toEqual([{ oif: 3, weight: 1, flags: 0 }])
  expect(parse(NET)).not.toHaveProperty('mtu')
})

test('bits beyond the prefix do not count', () => {
  expect(parse({ dst: [198, 51, 103, 255], length: 22 }).dst).toEqual(Uint8Array.of(198, 51, 100, 0))
  expect(parse({ dst: [0, 0, 0, 0], length: 0 }).dst).toEqual(Uint8Array.of(0, 0, 0, 0))
  expect(() => parse({ ...NET, length: 33 })).toThrow('longer than an address')
})

test('a set of next hops, also of the other version', () => {
  const hops = [
    { oif: 3, via: [192, 0, 2, 1], weight: 4 },
    { oif: 4, flags: 1 },
  ]
  expect(parse({ ...NET, hops }).nexthops).toEqual([
    { oif: 3, weight: 4, flags: 0, via: Uint8Array.of(192, 0, 2, 1) },
    { oif: 4, weight: 1, flags: 1 },
  ])
  const via6 = attribute(18, [10, 0, ...new Uint8Array(16).fill(1)])
  expect(parse({ ...NET, hops: [{ oif: 3 }], more: [via6] }).nexthops[0]?.via).toHaveLength(16)
  const lying = attribute(9, [255, 255, 0, 0, 1, 0, 0, 0])
  expect(() => parse({ ...NET, more: [lying] })).toThrow('longer than its message')
})

test('preference of routers (RFC 4191)', () => {
  const dst = Array<number>(16).fill(0)
  const preference = (bits: number): number => parse({ dst, length: 0, more: [attribute(20, [bits])] }).preference
  expect([0, 1, 2, 3].map(preference)).toEqual([0, 1, 0, -1])
})

test('entries of a cache and other families are no routes', () => {
  const data = routePayload(NET)
  expect(isRouteMessage(messageOf(RTM_NEWROUTE, data))).toBe(true)
  const cloned = Buffer.from(data)
  cloned.writeUInt32LE(0x200, 8)
  expect(isRouteMessage(messageOf(RTM_NEWROUTE, cloned))).toBe(false)
  const mpls = Buffer.from(data)
  mpls[0] = 28
  expect(isRouteMessage(messageOf(RTM_NEWROUTE, mpls))).toBe(false)
})
