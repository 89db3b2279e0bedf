import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EncapQueues, NEXT_HOP_FRAMES } from '../../../src/datapath/encap-queues.ts'
import {
  encapOf,
  lookupsOf,
  originOf,
  U_STATE,
  WAITING_LIMITS,
  Waiting,
  withEncap,
  withLookups,
} from '../../../src/datapath/waiting.ts'
import { MAX_ENCAPS } from '../../../src/flow/encap.ts'
import { META_WORDS } from '../../../src/packet/slot.ts'
import { MAX_PORTS } from '../../../src/port/contract.ts'

const world = (slots = 256) => {
  const meta = new Int32Array(slots * META_WORDS)
  const waiting = new Waiting(meta, WAITING_LIMITS)
  return { meta, waiting, queues: new EncapQueues(meta, waiting) }
}

describe("a frame's state", () => {
  test('keeps its parts apart', () => {
    const { meta, waiting } = world(1)
    const part = fc.tuple(fc.nat(MAX_PORTS - 1), fc.nat(7), fc.integer({ min: -1, max: MAX_ENCAPS - 1 }))
    fc.assert(
      fc.property(part, ([port, lookups, entry]) => {
        waiting.stamp(0, 1, port)
        let state = withEncap(withLookups(meta[U_STATE]!, lookups), entry)
        expect([originOf(state), lookupsOf(state), encapOf(state)]).toEqual([port, lookups, entry])
        state = withLookups(withEncap(state, -1), 0)
        expect(state).toBe(meta[U_STATE])
      }),
    )
  })
})

describe('frames at their next hop', () => {
  test('are told of in answers to markers, which wait for other frames of the port only', () => {
    const { waiting, queues } = world()
    const bits = (port: number) => [waiting.lateLow(port), waiting.lateHigh(port)]
    waiting.stamp(1, 7, 3)
    waiting.makeLate(1)
    queues.add(1, 5, 50, 0)
    waiting.stamp(2, 35, 3)
    waiting.makeLate(2)
    queues.add(2, 5, 50, 0)
    expect(waiting.lateOver(3)).toBe(false)
    expect([waiting.startGrace(3, 1), bits(3), bits(4)]).toEqual([true, [1 << 7, 1 << 3], [0, 0]])
    queues.take(5)
    expect([waiting.lateOver(3), bits(3)]).toEqual([false, [0, 1 << 3]])
    // Late it stays when tier 1 has it.
    expect(queues.take(5)).toBe(2)
    waiting.upcall(2)
    expect([waiting.lateOver(3), waiting.startGrace(3, 2), bits(3)]).toEqual([false, true, [0, 1 << 3]])
    waiting.answered(2)
    expect([waiting.lateOver(3), waiting.lateOver(3), bits(3)]).toEqual([true, false, [0, 0]])
  })

  test('hold markers up if their microflow is not the one that the eswitch knows', () => {
    const { waiting, queues } = world()
    waiting.stamp(1, 7, 3)
    queues.add(1, 5, 50, 0)
    expect([waiting.startGrace(4, 1), waiting.startGrace(3, 1)]).toEqual([true, false])
    // A later one does not.
    waiting.stamp(2, 7, 3)
    queues.add(2, 5, 50, 0)
    expect(waiting.graceOver(3)).toBe(-1)
    expect(queues.take(5)).toBe(1)
    expect(waiting.graceOver(3)).toBe(1)
  })

  test('agree with a plain list, whatever comes and goes', () => {
    const step = fc.oneof(
      fc.record({ what: fc.constant('add' as const), entry: fc.nat(3), ms: fc.nat(200) }),
      fc.record({ what: fc.constant('take' as const), entry: fc.nat(3) }),
      fc.record({ what: fc.constant('move' as const), entry: fc.nat(3), hop: fc.nat(2) }),
      fc.record({ what: fc.constant('expire' as const), ms: fc.nat(600) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: 'max' }), (steps) => {
        const { waiting, queues } = world()
        const hops = [0, 1, 0, 2]
        let now = 1_700_000_000_000
        let slot = 0
        let list: { slot: number; entry: number; since: number }[] = []
        for (const s of steps) {
          if (s.what === 'add') {
            now += s.ms
            const hop = hops[s.entry]!
            const there = list.filter((f) => hops[f.entry] === hop).length
            expect(queues.mayWait(hop)).toBe(there < NEXT_HOP_FRAMES)
            if (there >= NEXT_HOP_FRAMES) continue
            waiting.stamp(slot, 1, 1)
            queues.add(slot, s.entry, hop, now)
            list.push({ slot: slot++, entry: s.entry, since: now })
          } else if (s.what === 'take') {
            const first = list.find((f) => f.entry === s.entry)
            expect(queues.take(s.entry)).toBe(first?.slot ?? -1)
            list = list.filter((f) => f !== first)
          } else if (s.what === 'move') {
            hops[s.entry] = s.hop
            queues.move(s.entry, s.hop)
          } else {
            now += s.ms
            const due = list.filter((f) => now - f.since >= 1000).map((f) => f.slot)
            const got: number[] = []
            for (let f = queues.expired(now); f >= 0; f = queues.expired(now)) got.push(f)
            expect(got.sort((a, b) => a - b)).toEqual(due)
            list = list.filter((f) => !due.includes(f.slot))
            if (list.length > 0) expect(queues.patience(now)).toBeLessThanOrEqual(list[0]!.since + 1000 - now)
          }
          expect(queues.frames).toBe(list.length)
        }
      }),
    )
  })
})
