import { expect, test } from 'vitest'
import type { NamespaceMirror } from '../../../src/netlink/namespace.ts'
import {
  NUD_FAILED,
  NUD_REACHABLE,
  NUD_STALE,
  parseNeighbour,
  RTM_DELNEIGH,
  RTM_NEWNEIGH,
} from '../../../src/netlink/neighbour.ts'
import { NetlinkSocket } from '../../../src/netlink/socket.ts'
import { Neighbours } from '../../../src/tunnel/neighbours.ts'
import { done, FakeKernel, message } from '../netlink/fake-kernel.ts'
import { ip } from './fakes.ts'

/** 10.0.0.2 on link 2. */
const neighbour = (state: number, last?: number): Buffer => {
  const fixed = Buffer.from([2, 0, 0, 0, 2, 0, 0, 0, state, 0, 0, 1])
  const dst = Buffer.from([8, 0, 1, 0, 10, 0, 0, 2])
  const lladdr = last === undefined ? [] : [10, 0, 2, 0, 2, 0, 0, 0, 0, last, 0, 0]
  return Buffer.concat([fixed, dst, Buffer.from(lladdr)])
}

const create = async () => {
  const kernel = new FakeKernel()
  const socket = new NetlinkSocket({ transport: kernel, timers: kernel })
  const attached: NamespaceMirror[] = []
  socket.listen({
    message: (news) => attached[0]?.message(news),
    overrun: () => attached[0]?.overrun(),
    failed: () => {},
  })
  const neighbours = new Neighbours(
    {
      socket,
      attach: (mirror) => {
        attached.push(mirror)
        return () => attached.splice(0)
      },
    },
    {
      timers: kernel,
      onError: (error) => {
        throw error
      },
    },
  )
  const started = neighbours.start()
  kernel.deliver(done(kernel.last))
  await started
  const told: string[] = []
  neighbours.on(({ result }) => told.push(result.type))
  return { kernel, neighbours, told }
}

test('what is the same is told once, but a failure each time that the kernel tells it', async () => {
  const { kernel, neighbours, told } = await create()
  for (const payload of [neighbour(NUD_REACHABLE, 2), neighbour(NUD_REACHABLE, 2), neighbour(NUD_STALE, 2)])
    kernel.deliver(message(RTM_NEWNEIGH, payload))
  expect(told).toEqual(['found', 'found'])
  kernel.deliver(message(RTM_NEWNEIGH, neighbour(NUD_FAILED)), message(RTM_NEWNEIGH, neighbour(NUD_FAILED)))
  expect(told.slice(2)).toEqual(['failed', 'failed'])
  kernel.deliver(message(RTM_DELNEIGH, neighbour(NUD_FAILED)), message(RTM_DELNEIGH, neighbour(NUD_FAILED)))
  expect(told.slice(4)).toEqual(['none'])
  expect(neighbours.lookup(2, ip('10.0.0.2'))).toEqual({ type: 'none' })
})

test('what a dump after a loss does not mention is gone', async () => {
  const { kernel, neighbours, told } = await create()
  kernel.deliver(message(RTM_NEWNEIGH, neighbour(NUD_REACHABLE, 2)))
  kernel.deliver(-1)
  kernel.deliver(done(kernel.last))
  await neighbours.settled()
  expect(told).toEqual(['found', 'none'])
  expect(neighbours.counters.resyncs).toBe(1)
})

test('the message is read whole', () => {
  const data = neighbour(NUD_STALE, 7)
  expect(parseNeighbour({ type: RTM_NEWNEIGH, flags: 0, seq: 0, port: 0, data })).toMatchObject({
    ifindex: 2,
    state: NUD_STALE,
    lladdr: Uint8Array.of(2, 0, 0, 0, 0, 7),
  })
})
