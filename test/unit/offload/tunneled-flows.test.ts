import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addressText } from '../../../src/flow/address.ts'
import { FlowRecord } from '../../../src/offload/record.ts'
import { TunneledFlows } from '../../../src/offload/tunneled-flows.ts'
import { matchOf } from './fakes.ts'
import { FakeTunnels, ip } from './tunnel-rig.ts'

const recordOf = (id: number): FlowRecord =>
  new FlowRecord(
    { id, ufid: '', match: matchOf(1), actions: [] },
    { state: 'offloaded', eswitch: 'nic0', rule: id, since: 0 },
    0,
  )

const idsOf = (flows: TunneledFlows, prefix: string, length: number): number[] =>
  [...flows.under(ip(prefix), length)].flatMap(({ encap, decap }) => [
    ...[...encap].map(({ id }) => id),
    ...[...decap.values()].flatMap((set) => [...set].map(({ id }) => id)),
  ])

describe('flows by outer address', () => {
  test('are found by prefix, in the order of addresses', () => {
    const flows = new TunneledFlows()
    const peers = ['10.0.1.2', '10.0.0.255', 'fd00::1', '9.255.255.255', '10.0.1.0', '11.0.0.0', '10.0.0.0']
    for (const [i, peer] of peers.entries()) flows.tunneledFlowAdd(recordOf(i), ip(peer), ip('1.1.1.1'))
    const under = (prefix: string, length: number): string[] =>
      [...flows.under(ip(prefix), length)].map(({ peer }) => addressText(peer))
    expect(under('10.0.0.0', 23)).toEqual(['10.0.0.0', '10.0.0.255', '10.0.1.0', '10.0.1.2'])
    expect(under('10.0.1.77', 24)).toEqual(['10.0.1.0', '10.0.1.2'])
    expect(under('10.0.1.2', 32)).toEqual(['10.0.1.2'])
    expect(under('0.0.0.0', 0)).toHaveLength(6)
    expect(under('::', 0)).toEqual(['fd00::1'])
    expect([...flows.all()].map(({ peer }) => addressText(peer))).toEqual([
      '9.255.255.255',
      '10.0.0.0',
      '10.0.0.255',
      '10.0.1.0',
      '10.0.1.2',
      '11.0.0.0',
      'fd00::1',
    ])
  })

  test('of one peer: with one of our addresses, with all, with none yet', () => {
    const flows = new TunneledFlows()
    const peer = ip('10.0.0.2')
    flows.tunneledFlowAdd(recordOf(1), peer, ip('1.1.1.1'))
    flows.tunneledFlowAdd(recordOf(2), peer, ip('1.1.1.2'), 6)
    flows.tunneledFlowAdd(recordOf(3), peer, undefined)
    expect([...flows.of(peer, ip('1.1.1.2'))].map(({ decap }) => [...decap.keys()])).toEqual([[6]])
    expect([...flows.of(peer)]).toHaveLength(3)
    expect([...flows.of(ip('10.0.0.3'))]).toEqual([])
  })

  test('agree with a plain list, whatever comes and goes', () => {
    const address = fc.constantFrom(
      '10.0.0.1',
      '10.0.0.2',
      '10.0.1.1',
      '10.128.0.1',
      '11.0.0.1',
      'fd00::1',
      'fd00:1::1',
    )
    const step = fc.record({ id: fc.nat(15), peer: address, decap: fc.constantFrom(undefined, 6, 7) })
    const prefix = fc.record({ prefix: address, length: fc.nat(128) })
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60, size: 'max' }),
        fc.array(prefix, { maxLength: 8 }),
        (steps, prefixes) => {
          const flows = new TunneledFlows()
          const view = new FakeTunnels()
          flows.watchBy(view)
          const there = new Map<number, { record: FlowRecord; peer: string; decap: number | undefined }>()
          for (const { id, peer, decap } of steps) {
            const known = there.get(id)
            if (known) {
              flows.tunneledFlowDel(known.record)
              there.delete(id)
              continue
            }
            const record = recordOf(id)
            there.set(id, { record, peer, decap })
            flows.tunneledFlowAdd(record, ip(peer), ip('1.1.1.1'), decap)
          }
          expect(flows.size).toBe(there.size)
          const watched = new Set([...there.values()].flatMap(({ peer, decap }) => (decap === undefined ? [] : [peer])))
          expect(view.watched.size).toBe(watched.size)
          expect([...view.watched.values()].every((n) => n === 1)).toBe(true)
          for (const { prefix, length } of prefixes) {
            const bits = Math.min(length, ip(prefix).length * 8)
            const inside = (peer: string): boolean => {
              const [a, b] = [ip(prefix), ip(peer)]
              if (a.length !== b.length) return false
              for (let i = 0; i < bits; i++) if (((a[i >> 3]! ^ b[i >> 3]!) & (0x80 >> (i & 7))) !== 0) return false
              return true
            }
            const expected = [...there].filter(([, { peer }]) => inside(peer)).map(([id]) => id)
            expect(idsOf(flows, prefix, bits).sort()).toEqual(expected.sort())
          }
        },
      ),
      { numRuns: 300 },
    )
  })
})
