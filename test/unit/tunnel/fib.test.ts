import { expect, test } from 'vitest'
import { linkNews } from '../netlink/fake-kernel.ts'
import {
  addressPayload,
  attribute,
  type HopFacts,
  nexthopPayload,
  routePayload,
  rulePayload,
  u32,
} from '../netlink/messages.ts'
import { FakeFib, RTM_DELROUTE, RTM_NEWROUTE, usualRules } from './fib-fake.ts'

const RTM_NEWADDR = 20
const RTM_DELADDR = 21
const RTM_GETROUTE = 26
const RTM_NEWRULE = 32
const RTM_DELRULE = 33
const RTM_NEWNEXTHOP = 104
const RTM_DELNEXTHOP = 105

const NET = [198, 51, 100, 0]
const dst = Uint8Array.of(198, 51, 100, 9)
const gateway = (host: number): number[] => [192, 0, 2, host]
const route = (...hops: HopFacts[]): Buffer => routePayload({ dst: NET, length: 24, hops })
const via = (host: number, oif = 2): HopFacts => ({ oif, via: gateway(host) })
const CHANGED = { kind: 'route', family: 4, bytes: Uint8Array.from(NET), length: 24 }
const down = (index: number): Buffer => linkNews({ index, name: `v${index - 2}`, up: false })
const up = (index: number): Buffer => linkNews({ index, name: `v${index - 2}`, up: true })

test('news change the answer and name the prefix; a listener that throws harms nobody', async () => {
  const fake = await FakeFib.open()
  const { fib, changes, errors } = fake
  expect(fib.lookup({ dst })).toEqual({ type: 'none', why: 'no-route' })
  fib.on(() => {
    throw new Error('mine')
  })
  const seen: unknown[] = []
  fib.on(() => seen.push(fib.lookup({ dst }).type))
  const before = fib.generation.value
  fake.news(RTM_NEWROUTE, route(via(1)))
  expect(fib.lookup({ dst })).toEqual({
    type: 'found',
    routeType: 'unicast',
    dev: 'v0',
    oif: 2,
    via: Uint8Array.from(gateway(1)),
    weight: 1,
    table: 254,
    prefix: { bytes: Uint8Array.from(NET), length: 24 },
  })
  expect(changes).toEqual([CHANGED])
  expect(seen).toEqual(['found'])
  expect(fib.generation.value).toBe(before + 1)
  expect(errors.map((error) => error.message)).toEqual(['mine'])
  expect(fib.counters.listenerErrors).toBe(1)
})

test('rules change everything, at once', async () => {
  const fake = await FakeFib.open({ routes: [route(via(1))] })
  const { fib, changes } = fake
  const refusing = rulePayload(4, { action: 8, dstLength: 24 }, [attribute(6, u32(100)), attribute(1, NET)])
  fake.news(RTM_NEWRULE, refusing)
  expect(changes).toEqual([{ kind: 'rules' }])
  expect(fib.lookup({ dst })).toEqual({ type: 'none', why: 'prohibit' })
  fake.news(RTM_NEWRULE, refusing)
  expect(changes).toHaveLength(1)
  fake.news(RTM_DELRULE, refusing)
  expect(fib.lookup({ dst })).toMatchObject({ type: 'found' })
  expect([...fib.rules(4)].map(({ priority }) => priority)).toEqual([0, 32_766])
  expect(await fake.confirm()).toEqual([])
})

test('messages cut off anywhere are skipped or read, and never thrown out of the watcher', async () => {
  const fake = await FakeFib.open()
  const { fib } = fake
  const whole = route(via(1), via(2, 3))
  for (let length = 0; length < whole.length; length++)
    for (const type of [RTM_NEWADDR, RTM_NEWROUTE, 28, RTM_NEWRULE, RTM_NEWNEXTHOP])
      fake.news(type, Buffer.from(whole.subarray(0, length)))
  expect(fib.counters.malformed).toBeGreaterThan(0)
  fake.news(RTM_NEWROUTE, route(via(2)))
  expect(fib.lookup({ dst })).toMatchObject({ type: 'found' })
})

test('an overrun: what a dump does not mention is gone, and its end is told', async () => {
  const fake = await FakeFib.open({ routes: [route(via(1))] })
  const { fib, changes } = fake
  fake.tables.routes = [route(via(2))]
  fake.kernel.deliver(-1)
  fake.news(RTM_NEWROUTE, routePayload({ dst: [203, 0, 113, 0], length: 24, hops: [via(9)] }))
  await fake.answer()
  await fib.settled()
  expect(fib.counters.resyncs).toBe(1)
  expect([...fib.routes(4)].map(({ nexthops }) => nexthops[0]?.via?.[3])).toEqual([2])
  expect(changes).toContainEqual(CHANGED)
  expect(changes.at(-1)).toEqual({ kind: 'resync' })
})

test('a link that goes down takes its IPv4 routes along at once, and a dump confirms it', async () => {
  const fake = await FakeFib.open({ routes: [route(via(1))] })
  const { fib, changes } = fake
  fake.kernel.deliver(down(2))
  expect(fib.lookup({ dst })).toEqual({ type: 'none', why: 'no-route' })
  expect(fib.counters.inferred).toBe(1)
  expect(changes).toEqual([{ kind: 'link', ifindex: 2 }, CHANGED])
  fake.tables.routes = []
  expect(await fake.confirm()).toContain(RTM_GETROUTE)
  expect(fib.size).toBe(0)
})

test('a dump that contradicts brings back what was taken away, and says so', async () => {
  const fake = await FakeFib.open({ routes: [route(via(1))] })
  fake.kernel.deliver(down(2), up(2))
  expect(fake.fib.size).toBe(0)
  fake.changes.length = 0
  await fake.confirm()
  expect(fake.changes).toEqual([CHANGED])
  expect(fake.fib.lookup({ dst })).toMatchObject({ type: 'found' })
})

test('a set loses the members of a link that is down, and has them back when it is up', async () => {
  const fake = await FakeFib.open({ routes: [route(via(1), via(2, 3))] })
  const { fib, changes } = fake
  expect(fib.lookup({ dst })).toMatchObject({ oif: 2, multipath: [{ oif: 2 }, { oif: 3 }] })
  fake.kernel.deliver(down(2))
  expect(fib.lookup({ dst })).toMatchObject({ oif: 3 })
  expect(fib.lookup({ dst })).not.toHaveProperty('multipath')
  expect(changes).toContainEqual(CHANGED)
  changes.length = 0
  fake.kernel.deliver(up(2))
  expect(fib.lookup({ dst })).toMatchObject({ multipath: [{ oif: 2 }, { oif: 3 }] })
  expect(changes).toEqual([{ kind: 'link', ifindex: 2 }, CHANGED])
  fake.kernel.deliver(down(2), down(3))
  expect(fib.size).toBe(0)
})

test("a link's last IPv4 address takes its routes along; an address those of the main table that have it as source", async () => {
  const mine = addressPayload(2, gateway(7), 24)
  const second = addressPayload(2, [10, 9, 9, 9], 24)
  const from = (table: number): Buffer =>
    routePayload({ dst: NET, length: 24, table, prefsrc: gateway(7), hops: [{ oif: 3 }] })
  const fake = await FakeFib.open({ addresses: [mine, second], routes: [from(254), from(100)] })
  const { fib, changes } = fake
  fake.news(RTM_NEWROUTE, routePayload({ dst: [203, 0, 113, 0], length: 24, hops: [{ oif: 2 }] }))
  changes.length = 0
  fake.news(RTM_DELADDR, mine)
  expect(changes).toEqual([{ kind: 'address', family: 4, ifindex: 2, address: Uint8Array.from(gateway(7)) }, CHANGED])
  expect([...fib.routes(4)].map(({ table, dst: [first] }) => [table, first])).toEqual([
    [100, 198],
    [254, 203],
  ])
  fake.news(RTM_DELADDR, second)
  expect([...fib.routes(4)].map(({ table }) => table)).toEqual([100])
})

test('next-hop objects: routes follow them, leave with them, and groups shrink', async () => {
  const object = (id: number, oif: number): Buffer =>
    nexthopPayload([attribute(1, u32(id)), attribute(5, u32(oif)), attribute(6, gateway(id))])
  const member = (id: number): number[] => [...u32(id), 0, 0, 0, 0]
  const group = nexthopPayload([attribute(1, u32(9)), attribute(2, [...member(1), ...member(2)])])
  const uses = routePayload({ dst: NET, length: 24, nexthopId: 9 })
  const fake = await FakeFib.open({ nexthops: [object(1, 2), object(2, 3), group], routes: [uses] })
  const { fib, changes } = fake
  expect(fib.lookup({ dst })).toMatchObject({ multipath: [{ oif: 2 }, { oif: 3 }] })
  fake.news(RTM_NEWNEXTHOP, object(2, 2))
  expect(changes).toEqual([CHANGED])
  expect(fib.lookup({ dst })).toMatchObject({ multipath: [{ oif: 2 }, { oif: 2 }] })
  fake.news(RTM_DELNEXTHOP, object(1, 2))
  expect(fib.lookup({ dst })).toMatchObject({ via: Uint8Array.from(gateway(2)) })
  expect(fib.lookup({ dst })).not.toHaveProperty('multipath')
  changes.length = 0
  fake.news(RTM_DELNEXTHOP, object(2, 2))
  expect(fib.lookup({ dst })).toEqual({ type: 'none', why: 'no-route' })
  expect(fib.nexthops.size).toBe(0)
  expect(changes).toEqual([CHANGED])
})

test('an object goes with the link that it leads through now, and with its carrier', async () => {
  const object = (oif: number): Buffer =>
    nexthopPayload([attribute(1, u32(1)), attribute(5, u32(oif)), attribute(6, gateway(1))])
  const uses = routePayload({ dst: NET, length: 24, nexthopId: 1 })
  const fake = await FakeFib.open({ nexthops: [object(2)], routes: [uses] })
  fake.news(RTM_NEWNEXTHOP, object(3))
  fake.kernel.deliver(down(2))
  expect(fake.fib.lookup({ dst })).toMatchObject({ oif: 3 })
  fake.kernel.deliver(linkNews({ index: 3, name: 'v1', up: true, carrier: true }))
  expect(fake.fib.nexthops.size).toBe(1)
  fake.kernel.deliver(linkNews({ index: 3, name: 'v1', up: true, carrier: false }))
  expect(fake.fib.nexthops.size).toBe(0)
  expect(fake.fib.lookup({ dst })).toEqual({ type: 'none', why: 'no-route' })
})

test('more prefixes at once than are worth listing are one resync', async () => {
  const routes = Array.from({ length: 1025 }, (_, i) =>
    routePayload({ dst: [10, i >> 8, i & 255, 0], length: 24, hops: [via(1)] }),
  )
  const fake = await FakeFib.open({ routes })
  fake.kernel.deliver(down(2))
  expect(fake.changes).toEqual([{ kind: 'link', ifindex: 2 }, { kind: 'resync' }])
  expect(fake.fib.size).toBe(0)
  fake.changes.length = 0
  await fake.confirm()
  expect(fake.changes.filter(({ kind }) => kind === 'route')).toHaveLength(1024)
  expect(fake.changes.slice(-2)).toEqual([{ kind: 'resync' }, { kind: 'resync' }])
  expect(fake.fib.size).toBe(1025)
})

test('a new name of a link changes rules that name it, and only then', async () => {
  const named = rulePayload(4, {}, [attribute(6, u32(100)), attribute(17, Buffer.from('x0\0'))])
  const fake = await FakeFib.open({ rules: [...usualRules(), named] })
  fake.kernel.deliver(linkNews({ index: 2, name: 'y0', up: true }))
  expect(fake.changes).toEqual([{ kind: 'link', ifindex: 2 }])
  fake.kernel.deliver(linkNews({ index: 2, name: 'x0', up: true }))
  expect(fake.changes.slice(1)).toEqual([{ kind: 'link', ifindex: 2 }, { kind: 'rules' }])
})

test('a deletion of what we do not have is dumped; a namespace that is gone leaves nothing', async () => {
  const fake = await FakeFib.open({ routes: [route(via(1))] })
  fake.news(RTM_DELROUTE, route(via(3)))
  expect(fake.fib.counters.doubts).toBe(1)
  expect(await fake.confirm()).toEqual([RTM_GETROUTE])
  fake.fib.clear()
  expect(fake.fib.lookup({ dst })).toEqual({ type: 'none', why: 'no-route' })
  expect(fake.changes.at(-1)).toEqual({ kind: 'resync' })
})
