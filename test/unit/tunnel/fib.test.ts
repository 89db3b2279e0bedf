import { expect, test } from 'vitest'
import { Namespace } from '../../../src/netlink/namespace.ts'
import { Fib, type FibChange } from '../../../src/tunnel/fib.ts'
import { done, FakeKernel, linkNews, linkPart, message, PORTID } from '../netlink/fake-kernel.ts'

const attribute = (type: number, value: readonly number[]): Buffer => {
  const header = Buffer.alloc(4)
  header.writeUInt16LE(4 + value.length, 0)
  header.writeUInt16LE(type, 2)
  return Buffer.concat([header, Buffer.from(value), Buffer.alloc(-value.length & 3)])
}
/** 198.51.100.0/24 via 192.0.2.HOST dev 2 table main. */
const route = (host: number): Buffer =>
  Buffer.concat([
    Buffer.from([2, 24, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0]),
    attribute(1, [198, 51, 100, 0]),
    attribute(5, [192, 0, 2, host]),
    attribute(4, [2, 0, 0, 0]),
  ])
const rule = Buffer.concat([
  Buffer.from([2, 0, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0]),
  attribute(6, [0xfe, 0x7f, 0, 0]),
  attribute(15, [254, 0, 0, 0]),
])
const dst = Uint8Array.of(198, 51, 100, 9)
const RTM_NEWROUTE = 24
const RTM_GETROUTE = 26
const RTM_GETRULE = 34

/** Answers requests as they come: `routes` are the kernel's. */
const answer = async (kernel: FakeKernel, from: number, routes: readonly Buffer[]): Promise<number> => {
  let at = from
  for (let idle = 0; idle < 20; ) {
    const request = kernel.requests[at]
    if (!request) {
      idle++
      await Promise.resolve()
      continue
    }
    idle = 0
    at++
    const ours = { flags: 2, seq: request.seq, port: PORTID }
    if (request.type === 18) kernel.deliver(linkPart(request, { index: 2, name: 'v0', up: true }))
    if (request.type === RTM_GETROUTE && request.data[0] === 2)
      for (const one of routes) kernel.deliver(message(RTM_NEWROUTE, one, ours))
    if (request.type === RTM_GETRULE && request.data[0] === 2) kernel.deliver(message(32, rule, ours))
    kernel.deliver(done(request))
  }
  return at
}

const create = async (routes: readonly Buffer[]) => {
  const kernel = new FakeKernel()
  const errors: Error[] = []
  const onError = (error: Error): number => errors.push(error)
  const opened = Namespace.open({ transport: kernel, timers: kernel, onError })
  let at = await answer(kernel, 0, routes)
  const namespace = await opened
  const fib = new Fib(namespace, { onError, timers: kernel })
  const started = fib.start()
  at = await answer(kernel, at, routes)
  await started
  const changes: FibChange[] = []
  fib.on((change) => changes.push(change))
  return { kernel, fib, changes, errors, at }
}

test('news change the answer and name the prefix; a listener that throws harms nobody', async () => {
  const { kernel, fib, changes, errors } = await create([])
  expect(fib.lookup({ dst })).toEqual({ type: 'none', why: 'no-route' })
  fib.on(() => {
    throw new Error('mine')
  })
  const before = fib.generation.value
  kernel.deliver(message(RTM_NEWROUTE, route(1)))
  expect(fib.lookup({ dst })).toMatchObject({ type: 'found', oif: 2, via: Uint8Array.of(192, 0, 2, 1), table: 254 })
  expect(changes).toEqual([{ type: 'prefix', bytes: Uint8Array.of(198, 51, 100, 0), length: 24 }])
  expect(fib.generation.value).toBe(before + 1)
  expect(errors.map((error) => error.message)).toEqual(['mine'])
  kernel.deliver(message(33, rule))
  expect(changes.at(-1)).toEqual({ type: 'all' })
  expect(fib.lookup({ dst })).toEqual({ type: 'none', why: 'no-route' })
})

test('messages cut off anywhere are skipped or read, and never thrown out of the watcher', async () => {
  const { kernel, fib } = await create([])
  const whole = route(1)
  for (let length = 0; length < whole.length; length++)
    for (const type of [20, RTM_NEWROUTE, 28, 32, 104]) kernel.deliver(message(type, whole.subarray(0, length)))
  kernel.deliver(message(RTM_NEWROUTE, Buffer.concat([whole, attribute(9, [255, 255, 0, 0, 1, 0, 0, 0])])))
  expect(fib.counters.malformed).toBeGreaterThan(0)
  kernel.deliver(message(RTM_NEWROUTE, route(2)))
  expect(fib.lookup({ dst })).toMatchObject({ type: 'found' })
})

test('what a dump after an overrun does not mention is gone', async () => {
  const { kernel, fib, at } = await create([route(1)])
  expect(fib.lookup({ dst })).toMatchObject({ via: Uint8Array.of(192, 0, 2, 1) })
  kernel.deliver(-1, message(RTM_NEWROUTE, route(3)))
  await answer(kernel, at, [route(2)])
  await fib.settled()
  expect(fib.counters.resyncs).toBe(1)
  expect([...fib.routes.entries()].map((entry) => entry.route.nexthops[0]?.via?.[3])).toEqual([2])
})

test('a link that goes down takes its IPv4 routes along at once, and a dump confirms it', async () => {
  const { kernel, fib, changes, at } = await create([route(1)])
  kernel.deliver(linkNews({ index: 2, name: 'v0', up: false }))
  expect(fib.lookup({ dst })).toEqual({ type: 'none', why: 'no-route' })
  expect(fib.counters.inferred).toBe(1)
  expect(changes).toContainEqual({ type: 'prefix', bytes: Uint8Array.of(198, 51, 100, 0), length: 24 })
  kernel.expire()
  await answer(kernel, at, [])
  await fib.settled()
  expect(fib.routes.size).toBe(0)
  expect(kernel.requests.slice(at).map((request) => request.type)).toContain(RTM_GETROUTE)
})
