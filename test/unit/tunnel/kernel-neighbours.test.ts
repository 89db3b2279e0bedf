import { describe, expect, test } from 'vitest'
import { ManualScheduler } from '../../../src/lib/scheduler.ts'
import { NetlinkError } from '../../../src/netlink/error.ts'
import {
  type Neighbour,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_NOARP,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
  NUD_VALID,
  neighbourUsePayload,
  RTM_NEWNEIGH,
} from '../../../src/netlink/neighbour.ts'
import { KernelNeighbours } from '../../../src/tunnel/kernel-neighbours.ts'
import type { NeighbourChange, NeighbourResult } from '../../../src/tunnel/neighbours.ts'
import { ip, mac } from './fakes.ts'

const peer = ip('10.0.0.2')

const create = () => {
  const scheduler = new ManualScheduler()
  const table = new Map<string, Neighbour>()
  const listeners = new Set<(change: NeighbourChange) => void>()
  const requests: string[] = []
  const errors: string[] = []
  let error: Error | undefined
  const keyOf = (ifindex: number, address: Uint8Array): string => `${ifindex} ${Buffer.from(address).toString('hex')}`
  const lookup = (ifindex: number, address: Uint8Array): NeighbourResult => {
    const entry = table.get(keyOf(ifindex, address))
    if (!entry) return { type: 'none' }
    const { state, lladdr, managed } = entry
    if ((state & NUD_VALID) !== 0 && lladdr) return { type: 'found', lladdr, state, managed }
    return { type: (state & NUD_INCOMPLETE) !== 0 ? 'pending' : (state & NUD_FAILED) !== 0 ? 'failed' : 'none' }
  }
  const source = new KernelNeighbours({
    neighbours: {
      lookup,
      on: (listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    },
    socket: {
      change: async (type, flags, payload) => {
        expect([type, flags]).toEqual([RTM_NEWNEIGH, 0x400])
        requests.push(Buffer.from(payload).toString('hex'))
        if (error) throw error
      },
    },
    scheduler,
    onError: (failure) => errors.push(failure.message),
  })
  /** News of the kernel; 0: removed. */
  const news = (state: number, change: { lladdr?: Uint8Array; managed?: boolean; address?: Uint8Array } = {}): void => {
    const { address = peer, managed = false, lladdr = mac(2) } = change
    const valid = (state & NUD_VALID) !== 0
    const neighbour: Neighbour = {
      ifindex: 2,
      version: 4,
      address,
      state,
      flags: 0,
      managed,
      ...(valid ? { lladdr } : {}),
    }
    if (state === 0) table.delete(keyOf(2, address))
    else table.set(keyOf(2, address), neighbour)
    for (const listener of listeners) listener({ neighbour, result: lookup(2, address) })
  }
  const told: string[] = []
  source.onChange((ifindex, address) => told.push(`${ifindex} ${source.lookup(ifindex, address).type}`))
  return {
    scheduler,
    source,
    requests,
    errors,
    told,
    news,
    listeners,
    refuse: (failure: Error | undefined) => {
      error = failure
    },
    shown: () => source.lookup(2, peer).type,
  }
}

test('the request is the one by which the kernel behaves as if it had a packet', () => {
  expect(neighbourUsePayload(2, peer).toString('hex')).toBe('02000000020000000000010008000100' + '0a000002')
  expect(neighbourUsePayload(0x102, ip('fe80::2')).toString('hex')).toBe(
    '0a000000020100000000010014000100' + 'fe800000000000000000000000000002',
  )
})

describe('resolve', () => {
  test('asks once, is pending at once, found with the answer, and then forgotten', () => {
    const { source, requests, news, shown, told } = create()
    expect(shown()).toBe('none')
    for (let i = 0; i < 100; i++) source.resolve(2, peer)
    expect(requests).toEqual([neighbourUsePayload(2, peer).toString('hex')])
    expect(shown()).toBe('pending')
    news(NUD_REACHABLE)
    expect(source.lookup(2, peer)).toEqual({ type: 'found', lladdr: mac(2) })
    expect(told).toEqual(['2 pending', '2 found'])
    expect(source.size).toBe(0)
    source.resolve(2, peer)
    expect(requests).toHaveLength(1)
  })

  test('fails by the news of the kernel; the failure stands for a while, then it may be asked for again', () => {
    const { source, requests, news, shown, told, scheduler } = create()
    source.resolve(2, peer)
    news(NUD_FAILED)
    expect(shown()).toBe('failed')
    for (let i = 0; i < 100; i++) source.resolve(2, peer)
    expect(requests).toHaveLength(1)
    scheduler.advance(999)
    source.resolve(2, peer)
    expect(requests).toHaveLength(1)
    scheduler.advance(1)
    expect(source.size).toBe(0)
    // The kernel's own entry still says so.
    expect(shown()).toBe('failed')
    source.resolve(2, peer)
    expect([shown(), requests.length]).toEqual(['pending', 2])
    expect(told.slice(0, 2)).toEqual(['2 pending', '2 failed'])
  })

  test('fails by silence', () => {
    const { source, shown, told, scheduler } = create()
    source.resolve(2, peer)
    scheduler.advance(4999)
    expect(shown()).toBe('pending')
    scheduler.advance(1)
    expect(shown()).toBe('failed')
    scheduler.advance(1000)
    // Nobody cared, and the kernel knows nothing.
    expect(shown()).toBe('none')
    expect(told).toEqual(['2 pending', '2 failed', '2 none'])
  })

  test('fails when the kernel refuses, and says what it said', async () => {
    const { source, shown, errors, refuse } = create()
    refuse(new NetlinkError('RTM_NEWNEIGH', 'ENETDOWN', 100, 'down'))
    source.resolve(2, peer)
    expect(shown()).toBe('pending')
    await new Promise((resolve) => setImmediate(resolve))
    expect(shown()).toBe('failed')
    expect(errors).toHaveLength(1)
  })

  test('a deleted entry while it is asked for changes nothing; a late answer after a failure does', () => {
    const { source, shown, news } = create()
    source.resolve(2, peer)
    news(0)
    expect(shown()).toBe('pending')
    news(NUD_FAILED)
    news(0)
    expect(shown()).toBe('failed')
    news(NUD_STALE)
    expect(shown()).toBe('found')
  })

  test('two interfaces and two addresses are asked for each for itself', () => {
    const { source, requests } = create()
    source.resolve(2, peer)
    source.resolve(3, peer)
    source.resolve(2, ip('10.0.0.3'))
    source.resolve(2, ip('fe80::2'))
    expect(new Set(requests).size).toBe(4)
  })

  test('no more than 200 at once and a second, the rest in time', () => {
    const { source, requests, scheduler } = create()
    for (let i = 0; i < 500; i++) source.resolve(2, ip(`10.1.${i >> 8}.${i & 255}`))
    expect(requests).toHaveLength(200)
    expect(source.lookup(2, ip('10.1.1.200')).type).toBe('pending')
    scheduler.advance(1000)
    expect(requests.length).toBeGreaterThan(395)
    expect(requests.length).toBeLessThanOrEqual(400)
    scheduler.advance(520)
    expect(new Set(requests).size).toBe(500)
    expect(source.counters).toMatchObject({ asked: 500 })
  })
})

describe('keepAlive', () => {
  test('asks for what is not known, and asks again with growing pauses while it fails; it stays failed until it answers', () => {
    const { source, requests, news, shown, told, scheduler } = create()
    source.keepAlive(2, peer, true)
    expect([shown(), requests.length]).toEqual(['pending', 1])
    const pauses: number[] = []
    for (let i = 0; i < 6; i++) {
      news(NUD_FAILED)
      expect(shown()).toBe('failed')
      const from = scheduler.elapsed()
      const before = requests.length
      while (requests.length === before) scheduler.advance(100)
      pauses.push(Math.round(scheduler.elapsed() - from))
      expect(shown()).toBe('failed')
    }
    expect(pauses).toEqual([1000, 2000, 4000, 8000, 8000, 8000])
    news(NUD_REACHABLE)
    expect(shown()).toBe('found')
    told.length = 0
    // And the pauses are short again.
    news(NUD_FAILED)
    expect(shown()).toBe('failed')
    scheduler.advance(1000)
    expect(requests).toHaveLength(8)
    source.keepAlive(2, peer, false)
    news(NUD_FAILED)
    scheduler.advance(60_000)
    expect([requests.length, source.size]).toEqual([8, 0])
  })

  test('what is already stale is confirmed at once, what grows stale when it does', () => {
    const { source, requests, news, shown, scheduler } = create()
    news(NUD_STALE)
    source.keepAlive(2, peer, true)
    expect([shown(), requests.length]).toEqual(['found', 1])
    news(NUD_PROBE)
    news(NUD_REACHABLE)
    scheduler.advance(60_000)
    expect(requests).toHaveLength(1)
    news(NUD_STALE)
    expect(requests).toHaveLength(2)
    expect(source.counters).toMatchObject({ asked: 0, confirmed: 2 })
  })

  test('a request to confirm that leads to nothing is made again', () => {
    const { source, requests, news, scheduler } = create()
    news(NUD_STALE)
    source.keepAlive(2, peer, true)
    scheduler.advance(9999)
    expect(requests).toHaveLength(1)
    scheduler.advance(1)
    expect(requests).toHaveLength(2)
    source.keepAlive(2, peer, false)
    scheduler.advance(60_000)
    expect(requests).toHaveLength(2)
  })

  test('what goes is asked for at once; what is probed without answer fails', () => {
    const { source, requests, news, shown } = create()
    news(NUD_REACHABLE)
    source.keepAlive(2, peer, true)
    expect(requests).toHaveLength(0)
    news(0)
    expect([shown(), requests.length]).toEqual(['pending', 1])
    news(NUD_REACHABLE)
    news(NUD_PROBE)
    news(NUD_FAILED)
    expect(shown()).toBe('failed')
  })

  test('what somebody deletes is asked for at once, though the kernel tells of a failure first', () => {
    const { source, requests, news, shown, scheduler } = create()
    news(NUD_REACHABLE)
    source.keepAlive(2, peer, true)
    news(NUD_FAILED)
    news(0)
    expect([shown(), requests.length]).toEqual(['pending', 1])
    // But not what did not answer.
    news(NUD_FAILED)
    news(0)
    expect([shown(), requests.length]).toEqual(['failed', 1])
    scheduler.advance(1000)
    expect([shown(), requests.length]).toEqual(['failed', 2])
  })

  test('needs nothing of what is permanent, without ARP, or managed by the kernel', () => {
    const { source, requests, news, scheduler } = create()
    news(NUD_PERMANENT)
    source.keepAlive(2, peer, true)
    news(NUD_NOARP)
    news(NUD_STALE, { managed: true })
    scheduler.advance(60_000)
    expect(requests).toHaveLength(0)
  })

  test('without use nothing is confirmed', () => {
    const { requests, news, source } = create()
    news(NUD_REACHABLE)
    news(NUD_STALE)
    source.keepAlive(2, peer, true)
    source.keepAlive(2, peer, false)
    news(NUD_REACHABLE)
    news(NUD_STALE)
    news(0)
    expect(requests).toHaveLength(1)
    expect(source.size).toBe(0)
  })
})

test('a new MAC address is told', () => {
  const { source, news, told } = create()
  news(NUD_REACHABLE)
  news(NUD_REACHABLE, { lladdr: mac(3) })
  expect(source.lookup(2, peer)).toEqual({ type: 'found', lladdr: mac(3) })
  expect(told).toEqual(['2 found', '2 found'])
})

test('after the end nothing is asked and nothing heard', () => {
  const { source, news, requests, told, scheduler, listeners } = create()
  source.keepAlive(2, peer, true)
  news(NUD_FAILED)
  const before = told.length
  source.close()
  expect(listeners.size).toBe(0)
  source.resolve(2, peer)
  source.keepAlive(2, ip('10.0.0.3'), true)
  scheduler.advance(60_000)
  expect([requests.length, told.length, scheduler.timers]).toEqual([1, before, 0])
})
