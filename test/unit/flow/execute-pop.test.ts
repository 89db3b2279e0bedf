/** Decapsulation: of outer frames that are built from fields, of what push made, and of such that are wrong in one way or in many. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  LOST_DECAP_CHECKSUM,
  LOST_DECAP_ECN,
  LOST_DECAP_MALFORMED,
  LOST_OUTER_FRAGMENT,
  POP_NEEDS_ECN,
  TUNNEL_OK,
} from '../../../src/flow/execute.ts'
import { compileActions } from '../../../src/flow/program.ts'
import { TUN_F_CSUM, TUN_F_DF, TUN_F_KEY } from '../../../src/flow/tunnel-flags.ts'
import {
  GSO_TCPV4,
  GSO_UDP_L4,
  HEADROOM,
  M_BASE,
  M_CSUM_OFF,
  M_CSUM_START,
  M_CT_LABEL,
  M_FIRST_PIPE,
  M_GSO_SIZE,
  M_GSO_TYPE,
  M_HASH,
  M_HDR_LEN,
  M_INNER_NH,
  M_LEN,
  M_MARK,
  M_OFF,
  M_OUTER_TH,
  M_PORT,
  M_RECIRC_ID,
  M_TUN_DST,
  M_TUN_ID,
  M_TUN_META,
  M_TUN_SRC,
  M_TUN_TP,
  M_VFLAGS,
  META_WORDS,
  SMALL_SIZE,
} from '../../../src/packet/slot.ts'
import { build, type FrameFields, sum } from '../../pipeline/tiers/frames.ts'
import { build as buildSuper, shapes } from '../native/super-frame.ts'
import { Bench, entryOf, OUTER, type Outer, wrap } from './tunnel-kit.ts'

const ETH = { dst: '02:00:00:00:00:02', src: '02:00:00:00:00:01' }
const POP = [{ type: 'tnl_pop', port: 4 } as const]
const TCP: FrameFields = {
  ...ETH,
  ip: { src: '10.0.0.1', dst: '10.0.0.2' },
  tcp: { src: 1, dst: 2 },
  payload: [1, 2, 3, 4, 5],
}
const inner = [...build(TCP)]
const outers: fc.Arbitrary<Outer> = fc.record({
  version: fc.constantFrom(4 as const, 6 as const),
  vni: fc.nat(0xffffff),
  dstPort: fc.nat(0xffff),
  // No ECN outside, so that any inner packet goes.
  tos: fc.nat(63).map((dscp) => dscp * 4),
  ttl: fc.nat(255),
  df: fc.boolean(),
  csum: fc.boolean(),
})
const pop = (frame: readonly number[], words: Record<number, number> = {}) => new Bench().run(frame, POP, words)[0]!
const lost = (value: number) => ({ what: 'lost', value })

/** Writes bytes and brings the outer IPv4 header's checksum in line. */
const edit = (frame: readonly number[], bytes: Record<number, number>): number[] => {
  const out = [...frame]
  for (const [at, value] of Object.entries(bytes)) out[Number(at)] = value
  const header = out.slice(14, 14 + (out[14]! & 15) * 4)
  header[10] = 0
  header[11] = 0
  const s = ~sum(header) & 0xffff
  out[24] = s >> 8
  out[25] = s & 255
  return out
}

describe('pop', () => {
  it('takes the outer headers off and notes all of them, of any combination', () => {
    fc.assert(
      fc.property(outers, fc.nat(0xffff), fc.nat(20), (outer, sourcePort, padding) => {
        const frame = [...wrap(outer, inner, sourcePort), ...new Array<number>(padding).fill(0xee)]
        const words = { [M_MARK]: 1, [M_HASH]: 2, [M_RECIRC_ID]: 3, [M_CT_LABEL + 3]: 4 }
        const fate = pop(frame, words)
        expect(fate).toMatchObject({ what: 'reenter', value: 4, data: inner })
        const { meta } = fate
        const flags = TUN_F_KEY | (outer.df && outer.version === 4 ? TUN_F_DF : 0) | (outer.csum ? TUN_F_CSUM : 0)
        const addresses =
          outer.version === 4
            ? [0, 0, 0xffff, 0xc0a80001, 0, 0, 0xffff, 0xc0a80002]
            : [0xfd000000, 0, 0, 1, 0xfd000000, 0, 0, 2]
        const wanted = new Int32Array(META_WORDS)
        wanted.set([0, outer.vni, (outer.tos << 24) | (outer.ttl << 16) | flags], M_TUN_ID)
        wanted[M_TUN_TP] = (sourcePort << 16) | outer.dstPort
        wanted.set(addresses, M_TUN_SRC)
        expect(meta.slice(M_FIRST_PIPE, M_TUN_DST + 4)).toEqual(wanted.slice(M_FIRST_PIPE, M_TUN_DST + 4))
        expect(meta[M_PORT]).toBe(4)
      }),
    )
  })

  it('ignores reserved bits and unknown flags, as RFC 7348 says', () => {
    expect(pop(wrap(OUTER, inner, 5, { flags: 0xff, reserved: 0xff }))).toMatchObject({ what: 'reenter', data: inner })
    expect(pop(wrap(OUTER, inner, 5, { flags: 0xf7 }))).toMatchObject(lost(LOST_DECAP_MALFORMED))
  })

  it('goes through VLAN tags and IPv4 options of the outer frame', () => {
    const outer = wrap(OUTER, inner, 5)
    expect(pop([...outer.slice(0, 12), 0x81, 0, 0, 5, ...outer.slice(12)])).toMatchObject({ data: inner })
    const options = [...outer.slice(0, 34), 1, 1, 1, 1, ...outer.slice(34)]
    expect(pop(edit(options, { 14: 0x46, 17: outer[17]! + 4 }))).toMatchObject({ what: 'reenter', data: inner })
  })

  it('takes inner frames of 14 bytes, not of 13', () => {
    const tiny = inner.slice(0, 12).concat([0x88, 0xb5])
    expect(pop(wrap(OUTER, tiny, 5))).toMatchObject({ what: 'reenter', data: tiny })
    expect(pop(wrap(OUTER, tiny.slice(0, 13), 5))).toMatchObject(lost(LOST_DECAP_MALFORMED))
  })

  it('takes a zero checksum, over IPv6 too, and no wrong one', () => {
    for (const version of [4, 6] as const) {
      for (const csum of [true, false]) {
        const outer = { ...OUTER, version, csum }
        expect(pop(wrap(outer, inner, 5))).toMatchObject({ what: 'reenter' })
        const spoiled = [...wrap(outer, inner, 5)]
        spoiled[spoiled.length - 1]! ^= 1
        expect(pop(spoiled)).toMatchObject(csum ? lost(LOST_DECAP_CHECKSUM) : { what: 'reenter' })
        // Who gave the frame vouches for it.
        expect(pop(spoiled, { [M_VFLAGS]: 2 })).toMatchObject({ what: 'reenter' })
      }
    }
  })

  it('names what is wrong with an outer IPv4 header', () => {
    const outer = wrap(OUTER, inner, 5)
    expect(pop(edit(outer, { 22: 63 }))).toMatchObject({ what: 'reenter' })
    expect(pop(edit(outer, { 14: 0x44 }))).toMatchObject(lost(LOST_DECAP_MALFORMED))
    expect(pop(edit(outer, { 14: 0x55 }))).toMatchObject(lost(LOST_DECAP_MALFORMED))
    expect(pop(edit(outer, { 23: 6 }))).toMatchObject(lost(LOST_DECAP_MALFORMED))
    expect(pop(edit(outer, { 16: 2 }))).toMatchObject(lost(LOST_DECAP_MALFORMED))
    expect(pop(edit(outer, { 16: 0, 17: 19 }))).toMatchObject(lost(LOST_DECAP_MALFORMED))
    expect(pop(edit(outer, { 20: 0x20 }))).toMatchObject(lost(LOST_OUTER_FRAGMENT))
    expect(pop(edit(outer, { 21: 1 }))).toMatchObject(lost(LOST_OUTER_FRAGMENT))
    const wrong = [...outer]
    wrong[22] = 3
    expect(pop(wrong)).toMatchObject(lost(LOST_DECAP_CHECKSUM))
    expect(pop(edit(outer, { 12: 0x08, 13: 0x06 }))).toMatchObject(lost(LOST_DECAP_MALFORMED))
  })

  it('names what is wrong with an outer IPv6 or UDP header', () => {
    const six = wrap({ ...OUTER, version: 6 }, inner, 5)
    const spoil = (frame: readonly number[], at: number, value: number) => frame.map((b, i) => (i === at ? value : b))
    expect(pop(spoil(six, 20, 44))).toMatchObject(lost(LOST_DECAP_MALFORMED))
    expect(pop(spoil(six, 18, 3))).toMatchObject(lost(LOST_DECAP_MALFORMED))
    expect(pop(spoil(six, 19, 20))).toMatchObject(lost(LOST_DECAP_MALFORMED))
    expect(pop(spoil(six, 14, 0x40))).toMatchObject(lost(LOST_DECAP_MALFORMED))
    for (const [frame, at] of [
      [six, 58],
      [wrap(OUTER, inner, 5), 38],
    ] as const) {
      expect(pop(spoil(frame, at, 1))).toMatchObject(lost(LOST_DECAP_MALFORMED))
      expect(pop(spoil(spoil(frame, at, 0), at + 1, 29))).toMatchObject(lost(LOST_DECAP_MALFORMED))
      expect(pop(spoil(spoil(frame, at, 0), at + 1, 0))).toMatchObject(lost(LOST_DECAP_MALFORMED))
    }
  })

  it('is of every length a named loss until the frame is whole', () => {
    for (const version of [4, 6] as const) {
      const frame = wrap({ ...OUTER, version, csum: true }, inner, 5)
      for (let length = 1; length < frame.length; length++) {
        expect(pop(frame.slice(0, length))).toMatchObject(lost(LOST_DECAP_MALFORMED))
      }
    }
  })

  it('on a copy leaves the packet to what follows', () => {
    const frame = wrap(OUTER, inner, 5)
    const fates = new Bench().run(frame, [...POP, { type: 'output', port: 9 }])
    expect(fates.map((f) => [f.what, f.value])).toEqual([
      ['reenter', 4],
      ['out', 9],
    ])
    expect(fates[1]!.data).toEqual(frame)
  })
})

describe('ECN at pop (RFC 6040, figure 4)', () => {
  const X = 'drop'
  /** By outer field, then by inner one; both in the order of the bits: not-ECT, ECT(1), ECT(0), CE. */
  const TABLE: readonly (readonly (number | 'drop')[])[] = [
    [0, 1, 2, 3],
    [0, 1, 1, 3],
    [0, 1, 2, 3],
    [X, 3, 3, 3],
  ]
  for (const version of [4, 6] as const) {
    for (const innerVersion of [4, 6] as const) {
      it(`all 16 combinations, IPv${innerVersion} in IPv${version}, also behind a tag`, () => {
        for (let outerEcn = 0; outerEcn < 4; outerEcn++) {
          for (let innerEcn = 0; innerEcn < 4; innerEcn++) {
            for (const vlans of [[], [{ tpid: 0x8100, tci: 7 }]]) {
              const made = (ecn: number): number[] => {
                const tos = 0xb8 | ecn
                return innerVersion === 4
                  ? [...build({ ...TCP, vlans, ip: { ...TCP.ip!, tos } })]
                  : [
                      ...build({
                        ...ETH,
                        vlans,
                        ip6: { src: 'fd01::1', dst: 'fd01::2', tclass: tos, label: 0xabcde },
                        tcp: { src: 1, dst: 2 },
                      }),
                    ]
              }
              const frame = wrap({ ...OUTER, version, tos: 0x28 | outerEcn }, made(innerEcn), 5)
              const bench = new Bench()
              const [fate] = bench.run(frame, POP)
              const wanted = TABLE[outerEcn]![innerEcn]!
              if (wanted === 'drop') expect(fate).toMatchObject(lost(LOST_DECAP_ECN))
              else expect(fate).toMatchObject({ what: 'reenter', data: made(wanted) })

              const slot = bench.load(frame)
              const code = bench.executor.pop(slot, -1)
              const writes = wanted !== innerEcn
              expect(code).toBe(wanted === 'drop' ? LOST_DECAP_ECN : writes ? POP_NEEDS_ECN : TUNNEL_OK)
              if (code !== TUNNEL_OK) expect(bench.frameOf(slot)).toEqual(frame)
            }
          }
        }
      })
    }
  }

  it('says nothing of what is no IP', () => {
    const arp = [...build({ ...ETH, arp: { op: 1, sha: ETH.src, spa: '1.2.3.4', tha: ETH.dst, tpa: '1.2.3.5' } })]
    expect(pop(wrap({ ...OUTER, tos: 3 }, arp, 5))).toMatchObject({ what: 'reenter', data: arp })
  })
})

describe('facts', () => {
  it('a partial inner checksum stays partial, and vouches for the outer one', () => {
    const partial = [...build(TCP, true)]
    const frame = wrap({ ...OUTER, csum: true }, inner, 5)
    const given = [...frame.slice(0, 50), ...partial]
    const fate = pop(given, { [M_VFLAGS]: 1, [M_CSUM_START]: 84, [M_CSUM_OFF]: 16 })
    expect(fate).toMatchObject({ what: 'reenter', data: partial })
    expect([fate.meta[M_VFLAGS], fate.meta[M_CSUM_START], fate.meta[M_CSUM_OFF]]).toEqual([1, 34, 16])
    expect(fate.meta[M_TUN_META]! & TUN_F_CSUM).toBe(TUN_F_CSUM)
  })

  it('a partial outer checksum goes with the outer header', () => {
    const fate = pop(wrap({ ...OUTER, csum: true }, inner, 5), { [M_VFLAGS]: 1, [M_CSUM_START]: 34, [M_CSUM_OFF]: 6 })
    expect(fate).toMatchObject({ what: 'reenter', data: inner })
    expect([fate.meta[M_VFLAGS], fate.meta[M_CSUM_START], fate.meta[M_CSUM_OFF]]).toEqual([0, 0, 0])
  })

  it('in between or behind they are malformed, as are super-frames of another kind', () => {
    const frame = wrap(OUTER, inner, 5)
    const facts = (words: Record<number, number>) => pop(frame, { [M_VFLAGS]: 1, [M_CSUM_OFF]: 16, ...words })
    expect(facts({ [M_CSUM_START]: 84 })).toMatchObject({ what: 'reenter' })
    expect(facts({ [M_CSUM_START]: 34 })).toMatchObject(lost(LOST_DECAP_MALFORMED))
    expect(facts({ [M_CSUM_START]: 63 })).toMatchObject(lost(LOST_DECAP_MALFORMED))
    expect(facts({ [M_CSUM_START]: frame.length - 17 })).toMatchObject(lost(LOST_DECAP_MALFORMED))
    const gso = { [M_CSUM_START]: 84, [M_GSO_SIZE]: 2, [M_OUTER_TH]: 34, [M_INNER_NH]: 64 }
    expect(facts({ ...gso, [M_GSO_TYPE]: GSO_TCPV4 | 0x20 })).toMatchObject({ what: 'reenter' })
    expect(facts({ ...gso, [M_GSO_TYPE]: GSO_TCPV4 | 0x40 })).toMatchObject(lost(LOST_DECAP_MALFORMED))
    expect(facts({ ...gso, [M_GSO_TYPE]: GSO_TCPV4 })).toMatchObject(lost(LOST_DECAP_MALFORMED))
    expect(facts({ ...gso, [M_GSO_TYPE]: GSO_UDP_L4 })).toMatchObject(lost(LOST_DECAP_MALFORMED))
    expect(facts({ ...gso, [M_GSO_TYPE]: GSO_TCPV4 | 0x20, [M_OUTER_TH]: 36 })).toMatchObject(
      lost(LOST_DECAP_MALFORMED),
    )
    expect(facts({ ...gso, [M_GSO_TYPE]: GSO_TCPV4 | 0x20, [M_VFLAGS]: 0 })).toMatchObject(lost(LOST_DECAP_MALFORMED))
  })
})

/** What pop(push(x)) gives back: all but flags that only speak of the way, and what a receive would not have set. */
const factWords = [M_VFLAGS, M_GSO_TYPE, M_GSO_SIZE, M_HDR_LEN, M_CSUM_START, M_CSUM_OFF, M_OUTER_TH, M_INNER_NH]

describe('pop and push', () => {
  it('pop(push(x)) is x, with its facts, for super-frames, partial and complete frames', () => {
    fc.assert(
      fc.property(shapes, outers, fc.constantFrom('super', 'partial', 'complete'), (shape, outer, kind) => {
        const { frame, facts, headers } = buildSuper({ ...shape, tunnel: null })
        const bench = new Bench().put(entryOf(outer, { actions: [{ type: 'reenter', port: 2 }] }))
        const words: Record<number, number> =
          kind === 'complete'
            ? {}
            : {
                [M_VFLAGS]: facts.flags,
                [M_CSUM_START]: facts.csumStart,
                [M_CSUM_OFF]: facts.csumOff,
                ...(kind === 'super'
                  ? { [M_GSO_TYPE]: facts.gsoType, [M_GSO_SIZE]: facts.gsoSize, [M_HDR_LEN]: headers }
                  : {}),
              }
        const slot = bench.load(frame, words)
        const before = bench.metaOf(slot)
        expect(bench.executor.encapInto(slot, 3)).toBe(TUNNEL_OK)
        const pushed = bench.metaOf(slot)
        const bytes = bench.frameOf(slot)
        expect(bench.executor.pop(slot, -1)).toBe(TUNNEL_OK)
        const after = bench.metaOf(slot)
        expect(bench.frameOf(slot)).toEqual(frame)
        for (const word of [M_OFF, M_LEN, M_PORT, ...factWords])
          expect([word, after[word]]).toEqual([word, before[word]])
        expect(after[M_TUN_ID + 1]).toBe(outer.vni)
        expect((after[M_TUN_META]! & TUN_F_CSUM) !== 0).toBe(outer.csum)
        bench.executor.unpop(slot)
        expect(bench.metaOf(slot)).toEqual(pushed)
        expect(bench.frameOf(slot)).toEqual(bytes)
      }),
      { numRuns: 300 },
    )
  })

  it('outer frames with any bytes changed, cut anywhere, with any facts: never a throw, nothing outside read into or written, always a name', () => {
    const damage = fc.array(fc.record({ at: fc.nat(130), value: fc.nat(255) }), { maxLength: 4 })
    const word = fc.oneof(fc.nat(200), fc.integer())
    const facts = fc.oneof(
      fc.constant({}),
      fc.record({
        [M_VFLAGS]: fc.nat(15),
        [M_GSO_TYPE]: fc.oneof(fc.constant(0), fc.nat(255)),
        [M_GSO_SIZE]: fc.nat(100),
        [M_CSUM_START]: word,
        [M_CSUM_OFF]: word,
        [M_OUTER_TH]: word,
        [M_INNER_NH]: word,
      }),
    )
    const names = new Set([LOST_DECAP_CHECKSUM, LOST_DECAP_ECN, LOST_DECAP_MALFORMED, LOST_OUTER_FRAGMENT])
    const seen = new Set<number>()
    const bench = new Bench()
    const program = compileActions(POP)
    fc.assert(
      fc.property(outers, damage, fc.nat(140), facts, fc.boolean(), (outer, hits, length, words, tail) => {
        const frame = wrap(outer, inner, 5)
        for (const { at, value } of hits) if (at < frame.length) frame[at] = value
        const given = tail ? frame.slice(0, length) : frame
        if (given.length === 0) return
        const fates = [0xee, 0x11].map((around) => {
          const slot = bench.load(given, words as Record<number, number>)
          const base = bench.arena.meta[slot * META_WORDS + M_BASE]!
          const off = base + HEADROOM
          const region = bench.arena.bytes.subarray(base, base + SMALL_SIZE)
          region.fill(around)
          bench.arena.bytes.set(given, off)
          bench.fates = []
          bench.executor.run(program, slot)
          const untouched = [...region.subarray(0, HEADROOM), ...region.subarray(HEADROOM + given.length)]
          expect(untouched.every((b) => b === around)).toBe(true)
          return bench.fates
        })
        expect(fates[0]).toEqual(fates[1])
        const [fate, ...others] = fates[0]!
        expect(others).toEqual([])
        if (fate!.what === 'lost') {
          expect(names.has(fate!.value)).toBe(true)
          seen.add(fate!.value)
        } else {
          const off = fate!.meta[M_BASE]! + HEADROOM
          expect(fate!.what).toBe('reenter')
          expect(fate!.data.length).toBeGreaterThanOrEqual(14)
          expect(fate!.meta[M_OFF]).toBeGreaterThanOrEqual(off)
          expect(fate!.meta[M_OFF]! + fate!.meta[M_LEN]!).toBeLessThanOrEqual(off + given.length)
        }
      }),
      { numRuns: 3000 },
    )
    expect(seen.size).toBeGreaterThanOrEqual(3)
  })
})
