/** What the interpreter does with encap entries of each state; and entries on their way to a worker. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encapRecordWords, readEncapRecord, writeEncapRecord } from '../../../src/flow/encap-record.ts'
import { encapRow } from '../../../src/flow/encap-table.ts'
import {
  LOST_FLOW_DROP,
  LOST_MALFORMED,
  LOST_NO_ROUTE,
  LOST_OUTER_FRAGMENT,
  LOST_TAKEN,
  LOST_TRANSLATION,
  LOST_TUNNEL_LOOP,
  LOST_UNKNOWN_VNI,
} from '../../../src/flow/execute.ts'
import { compileActions, ProgramError } from '../../../src/flow/program.ts'
import { HEADROOM, M_BASE, M_MARK, M_OFF, M_RECIRC_ID, M_TUN_ID, META_WORDS } from '../../../src/packet/slot.ts'
import { build } from '../../pipeline/tiers/frames.ts'
import { Bench, choices, entryOf, OUTER, outers, PUSH, TCP4, wrap } from './tunnel-kit.ts'

describe('entries', () => {
  const inner = [...build(TCP4)]

  it('pending ones make frames wait, as they came; resumed they go', () => {
    const bench = new Bench().put(entryOf(OUTER, { state: 'pending', actions: [] }))
    expect(bench.run(inner, PUSH)).toMatchObject([{ what: 'wait', value: 11, data: inner }])
    bench.put(entryOf(OUTER))
    bench.fates = []
    bench.executor.resume(bench.load(inner), 3)
    expect(bench.fates).toMatchObject([{ what: 'out', value: 7 }])
  })

  it('lost ones say why; unknown ones and such without actions are counted', () => {
    const lost = (bench: Bench): unknown => bench.run(inner, PUSH)
    expect(lost(new Bench().put(entryOf(OUTER, { state: 'drop', lost: LOST_NO_ROUTE })))).toMatchObject([
      { what: 'lost', value: LOST_NO_ROUTE },
    ])
    expect(lost(new Bench())).toMatchObject([{ what: 'lost', value: LOST_TRANSLATION }])
    expect(lost(new Bench().put(entryOf(OUTER, { actions: [] })))).toMatchObject([
      { what: 'lost', value: LOST_FLOW_DROP },
    ])
    const gone = new Bench().put(entryOf(OUTER))
    gone.executor.encaps.del(3)
    expect(lost(gone)).toMatchObject([{ what: 'lost', value: LOST_TRANSLATION }])
  })

  it('one whose underlay pushes again is a loop', () => {
    const bench = new Bench().put(entryOf(OUTER, { actions: PUSH }))
    expect(bench.run(inner, PUSH)).toMatchObject([{ what: 'lost', value: LOST_TUNNEL_LOOP }])
    bench.put(
      entryOf(OUTER, {
        actions: [
          { type: 'clone', actions: PUSH },
          { type: 'output', port: 7 },
        ],
      }),
    )
    expect(bench.run(inner, PUSH).map((f) => f.what)).toEqual(['lost', 'out'])
  })

  it('run their underlay actions on the outer frame', () => {
    const bench = new Bench().put(
      entryOf(OUTER, {
        actions: [
          { type: 'output', port: 5 },
          { type: 'push_vlan', tpid: 0x8100, tci: 0x1063 },
          { type: 'output', port: 6 },
        ],
      }),
    )
    const [plain, tagged] = bench.run(inner, PUSH)
    expect([plain!.value, tagged!.value]).toEqual([5, 6])
    const { port } = choices(OUTER, plain!.data)
    const outer = wrap({ ...OUTER, tos: 2 }, inner, port)
    expect(plain!.data).toEqual(outer)
    expect(tagged!.data).toEqual([...outer.slice(0, 12), 0x81, 0, 0, 0x63, ...outer.slice(12)])
  })

  it('an ambiguous one enters again by LOCAL, without metadata but with its mark', () => {
    const bench = new Bench().put(entryOf(OUTER, { actions: [{ type: 'reenter', port: 2 }] }))
    const [fate] = bench.run(inner, PUSH, { [M_MARK]: 5, [M_RECIRC_ID]: 9, [M_TUN_ID + 1]: 6 })
    expect(fate).toMatchObject({ what: 'reenter', value: 2 })
    expect([fate!.meta[M_MARK], fate!.meta[M_RECIRC_ID], fate!.meta[M_TUN_ID + 1]]).toEqual([5, 0, 0])
  })

  it('push on a copy where the packet goes on', () => {
    const bench = new Bench().put(entryOf(OUTER))
    const fates = bench.run(inner, [...PUSH, { type: 'output', port: 9 }])
    expect(fates.map((f) => [f.what, f.value])).toEqual([
      ['out', 7],
      ['out', 9],
    ])
    expect(fates[1]!.data).toEqual(inner)
    expect(fates[0]!.data.slice(50)).toEqual(inner)
    while (bench.pool.take(100) >= 0);
    expect(bench.noCopies).toBe(0)
  })

  it('cut first where tier 1 says so', () => {
    const bench = new Bench().put(entryOf(OUTER))
    const fates = bench.run(inner, [{ type: 'trunc', maxLen: 20 }, ...PUSH, { type: 'output', port: 9 }])
    expect(fates[0]!.data.slice(50)).toEqual(inner.slice(0, 20))
    expect(fates[1]!.data).toEqual(inner)
  })

  it('without headroom the frame is malformed and untouched', () => {
    const bench = new Bench().put(entryOf(OUTER))
    const slot = bench.load(inner)
    const m = slot * META_WORDS
    bench.arena.bytes.set(inner, bench.arena.meta[m + M_BASE]! + 49)
    bench.arena.meta[m + M_OFF] = bench.arena.meta[m + M_BASE]! + 49
    bench.executor.run(compileActions(PUSH), slot)
    expect(bench.fates).toMatchObject([{ what: 'lost', value: LOST_MALFORMED, data: inner }])
    expect(HEADROOM).toBeGreaterThanOrEqual(70 + 8)
  })

  it('survive the ring', () => {
    fc.assert(
      fc.property(
        outers,
        fc.nat(65535),
        fc.constantFrom('ready', 'pending', 'drop'),
        fc.nat(3),
        (outer, id, state, n) => {
          const actions = Array.from({ length: n }, (_, i) => ({ type: 'output', port: i }) as const)
          const row = encapRow(entryOf(outer, { id, state, actions, lost: 4, nextHop: 70_000, mtu: 1500 }))
          const words = new Int32Array(encapRecordWords(row) + 8).fill(-1)
          writeEncapRecord(words, 4, row)
          expect([...words.slice(0, 4), ...words.slice(-4)]).toEqual(new Array<number>(8).fill(-1))
          expect(readEncapRecord(words, 4)).toEqual(row)
        },
      ),
    )
  })

  it('and reasons of tier 1 have names of their own', () => {
    const why = (reason: string): unknown => new Bench().run(inner, [{ type: 'drop', reason }])
    expect(why('unknown-vni')).toMatchObject([{ what: 'lost', value: LOST_UNKNOWN_VNI }])
    expect(why('outer-fragment')).toMatchObject([{ what: 'lost', value: LOST_OUTER_FRAGMENT }])
    expect(why('taken')).toMatchObject([{ what: 'lost', value: LOST_TAKEN }])
    expect(why('no-such-table')).toMatchObject([{ what: 'lost', value: LOST_TRANSLATION }])
  })

  it('out of range do not compile; nor a header of another length', () => {
    for (const entry of [-1, 65536, 1.5]) {
      expect(() => compileActions([{ type: 'tnl_push', entry }])).toThrow(ProgramError)
    }
    expect(() => encapRow({ ...entryOf(OUTER), version: 6 })).toThrow(RangeError)
  })
})
