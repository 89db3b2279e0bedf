import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../../src/lib/clock.ts'
import type { Bundle } from '../../../src/ofproto/bundle.ts'
import { MacLearning } from '../../../src/ofproto/mac-learning.ts'
import { Ofproto } from '../../../src/ofproto/ofproto.ts'

const setUp = () => {
  const clock = new ManualClock()
  let changes = 0
  const macs = new MacLearning(clock, () => {
    changes++
  })
  const bridge = new Ofproto(clock).addBridge('br0')
  const port = (no: number): Bundle =>
    bridge.port(no)?.bundle ?? bridge.addPort({ name: `p${no}`, dpPort: no, ofport: no }).bundle
  const learn = (mac: number, no: number, vlan = 0, used = clock.now()): void =>
    macs.learn(mac, vlan, port(no), used, false)
  const where = (mac: number, vlan = 0): string | undefined => macs.lookup(mac, vlan)?.bundle.name
  return { clock, macs, learn, where, port, changes: () => changes }
}

const MULTICAST = 0x010000000000

describe('MAC learning', () => {
  it('remembers by VLAN and address', () => {
    const { learn, where } = setUp()
    learn(1, 1, 10)
    expect([where(1, 10), where(1, 20), where(2, 10)]).toEqual(['p1', undefined, undefined])
  })

  it('tells of changes, and not of what it knew', () => {
    const { learn, changes } = setUp()
    learn(1, 1)
    expect(changes()).toBe(1)
    learn(1, 1)
    expect(changes()).toBe(1)
    learn(1, 2)
    expect(changes()).toBe(2)
  })

  it('never learns a group address', () => {
    const { learn, macs } = setUp()
    learn(MULTICAST + 1, 1)
    expect(macs.size).toBe(0)
  })

  it('expires what was not used, only that', () => {
    const { learn, macs, clock, changes } = setUp()
    learn(1, 1)
    clock.advance(200_000)
    learn(2, 1)
    clock.advance(100_000)
    const before = changes()
    macs.expire()
    expect([...macs.entries()].map((e) => e.mac)).toEqual([2])
    expect(changes()).toBe(before + 1)
    expect(macs.counters.expired).toBe(1)
    expect(macs.age([...macs.entries()][0]!)).toBe(100)
  })

  it('applies a new ageing time to what it holds, within bounds', () => {
    const { learn, macs, clock } = setUp()
    learn(1, 1)
    macs.setAgeing(1)
    expect(macs.ageing).toBe(15)
    clock.advance(15_000)
    macs.expire()
    expect(macs.size).toBe(0)
    macs.setAgeing(99_999)
    expect(macs.ageing).toBe(3600)
  })

  it('does not learn what has aged out before it was told', () => {
    const { learn, macs, clock } = setUp()
    const long = clock.now()
    clock.advance(400_000)
    learn(1, 1, 0, long)
    expect(macs.size).toBe(0)
  })

  it('keeps to its bound at the cost of the port with most entries', () => {
    const { learn, macs, where } = setUp()
    macs.setMax(10)
    for (let i = 1; i <= 8; i++) learn(i, 1)
    learn(11, 2)
    learn(12, 2)
    learn(1, 1)
    learn(13, 3)
    expect(macs.size).toBe(10)
    // The least recently used of port 1, which was just used itself.
    expect([where(1), where(2), where(11), where(13)]).toEqual(['p1', undefined, 'p2', 'p3'])
    expect(macs.counters.evicted).toBe(1)
  })

  it('shrinks to a smaller bound', () => {
    const { learn, macs } = setUp()
    for (let i = 1; i <= 30; i++) learn(i, 1)
    macs.setMax(12)
    expect(macs.size).toBe(12)
  })

  it('follows moves, but not news that are older', () => {
    const { learn, macs, where, clock } = setUp()
    learn(1, 1)
    const old = clock.now()
    clock.advance(100)
    learn(1, 2)
    learn(1, 1, 0, old)
    expect(where(1)).toBe('p2')
    clock.advance(100)
    learn(1, 1)
    expect(where(1)).toBe('p1')
    expect(macs.counters.moved).toBe(2)
  })

  it('forgets a port, or all', () => {
    const { learn, macs } = setUp()
    learn(1, 1)
    learn(2, 2)
    macs.flushPort('p1')
    expect([...macs.entries()].map((e) => e.mac)).toEqual([2])
    macs.flush()
    expect(macs.size).toBe(0)
  })

  it('floods in flood VLANs, and forgets what it had learned there', () => {
    const { learn, macs, where } = setUp()
    learn(1, 1, 10)
    learn(1, 1, 20)
    macs.setFloodVlans([10])
    learn(2, 1, 10)
    expect([where(1, 10), where(2, 10), where(1, 20)]).toEqual([undefined, undefined, 'p1'])
  })

  it('locks an entry after a gratuitous ARP', () => {
    const { macs, port, clock } = setUp()
    macs.learn(1, 0, port(1), clock.now(), true)
    expect(macs.lookup(1, 0)!.gratArpUntil).toBe(clock.now() + 5000)
  })
})
