/** Encapsulation against outer frames that are built from fields. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ENCAP_TOS_INHERIT, ENCAP_TTL_INHERIT } from '../../../src/flow/encap.ts'
import { encapRow } from '../../../src/flow/encap-table.ts'
import { LOST_MALFORMED, LOST_TRANSLATION, TUNNEL_OK } from '../../../src/flow/execute.ts'
import { Encapsulator } from '../../../src/flow/execute-push.ts'
import { compileActions } from '../../../src/flow/program.ts'
import { PUSH_TOO_BIG } from '../../../src/flow/tunnel-codes.ts'
import { native } from '../../../src/native/binding.ts'
import {
  GSO_TCPV4,
  GSO_UDP,
  GSO_UDP_TUNNEL_IPV4,
  HEADROOM,
  M_BASE,
  M_CSUM_OFF,
  M_CSUM_START,
  M_GSO_SIZE,
  M_GSO_TYPE,
  M_HDR_LEN,
  M_INNER_NH,
  M_MARK,
  M_OUTER_TH,
  M_PORT,
  M_TUN_ID,
  M_TUN_META,
  M_TUN_SRC,
  M_VFLAGS,
  META_WORDS,
  SMALL_SIZE,
} from '../../../src/packet/slot.ts'
import { build, type FrameFields, sum } from '../../pipeline/tiers/frames.ts'
import { build as buildSuper, shapes } from '../native/super-frame.ts'
import { Bench, be16At, choices, completed, entryOf, OUTER, outers, PUSH, TCP4, wrap } from './tunnel-kit.ts'

const ETH = { dst: '02:00:00:00:00:02', src: '02:00:00:00:00:01' }
const INNERS: Record<string, FrameFields> = {
  'TCP over IPv4': TCP4,
  'UDP over IPv6': {
    ...ETH,
    ip6: { src: 'fd01::1', dst: 'fd01::2', tclass: 0x49, hops: 9 },
    udp: { src: 53, dst: 53 },
    payload: [1, 2],
  },
  'tagged UDP over IPv4': {
    ...ETH,
    vlans: [{ tpid: 0x8100, tci: 100 }],
    ip: { src: '10.0.0.1', dst: '10.0.0.2', tos: 0xff, ttl: 1 },
    udp: { src: 5, dst: 6 },
    payload: [9],
  },
}
describe('push', () => {
  for (const [name, fields] of Object.entries(INNERS)) {
    for (const partial of [false, true]) {
      it(`puts the outer headers in front of ${name}${partial ? ' with a partial checksum' : ''}, with all options`, () => {
        const inner = [...build(fields, partial)]
        const complete = [...build(fields)]
        const l4 = (fields.vlans ? 18 : 14) + (fields.ip ? 20 : 40)
        const words = { [M_VFLAGS]: 1, [M_CSUM_START]: l4, [M_CSUM_OFF]: fields.tcp ? 16 : 6 }
        const innerTos = fields.ip?.tos ?? fields.ip6!.tclass!
        fc.assert(
          fc.property(outers, fc.boolean(), fc.boolean(), (outer, tosInherit, ttlInherit) => {
            const entry = entryOf(outer)
            const flags = entry.flags | (tosInherit ? ENCAP_TOS_INHERIT : 0) | (ttlInherit ? ENCAP_TTL_INHERIT : 0)
            const [fate, ...others] = new Bench().put({ ...entry, flags }).run(inner, PUSH, partial ? words : {})
            expect(others).toEqual([])
            expect(fate).toMatchObject({ what: 'out', value: 7 })
            const { port, id } = choices(outer, fate!.data)
            expect(port).toBeGreaterThanOrEqual(32768)
            expect(port).toBeLessThanOrEqual(61000)
            if (outer.df) expect(id).toBe(0)
            const tos = tosInherit ? innerTos : (outer.tos & 0xfc) | (innerTos & 3)
            const ttl = ttlInherit ? (fields.ip?.ttl ?? fields.ip6!.hops!) : outer.ttl
            expect(completed(fate!)).toEqual(wrap({ ...outer, tos, ttl }, complete, port, { id }))
          }),
          { numRuns: 60 },
        )
      })
    }
  }

  it('leaves a frame that is no IP its tos and ttl, also where they are inherited', () => {
    const inner = [...build({ ...ETH, arp: { op: 1, sha: ETH.src, spa: '1.2.3.4', tha: ETH.dst, tpa: '1.2.3.5' } })]
    const outer = { ...OUTER, tos: 0xb9, ttl: 33 }
    const entry = entryOf(outer)
    const bench = new Bench().put({ ...entry, flags: entry.flags | ENCAP_TOS_INHERIT | ENCAP_TTL_INHERIT })
    const [fate] = bench.run(inner, PUSH)
    expect(fate!.data).toEqual(wrap(outer, inner, choices(outer, fate!.data).port))
  })

  it('copies ECN in all 16 combinations with the entry (RFC 6040, normal mode)', () => {
    for (const version of [4, 6] as const) {
      for (let combination = 0; combination < 16; combination++) {
        const outer = { ...OUTER, version, tos: 0x50 | (combination >> 2) }
        const fields = { ...TCP4, ip: { src: '1.1.1.1', dst: '2.2.2.2', tos: combination & 3 } }
        const [fate] = new Bench().put(entryOf(outer)).run(build(fields), PUSH)
        const tos = version === 4 ? fate!.data[15]! : (be16At(fate!.data, 14) >> 4) & 0xff
        expect(tos).toBe(0x50 | (combination & 3))
      }
    }
  })

  it('counts identifications where fragmentation is allowed, one for each segment', () => {
    const outer = { ...OUTER, df: false }
    const bench = new Bench().put(entryOf(outer))
    const { frame, facts } = buildSuper({ ...SUPER, payload: new Array<number>(250).fill(1), gsoSize: 100 })
    const ids = [0, 1, 2].map((i) => {
      const words = i === 1 ? vnet(facts) : {}
      return choices(outer, bench.run(frame, PUSH, words)[0]!.data).id
    })
    expect((ids[1]! - ids[0]!) & 0xffff).toBe(1)
    expect((ids[2]! - ids[1]!) & 0xffff).toBe(3)
  })

  it('takes the source port from addresses, protocol and ports; not from the ports of a fragment', () => {
    const portOf = (fields: FrameFields): number =>
      choices(OUTER, new Bench().put(entryOf(OUTER)).run(build(fields), PUSH)[0]!.data).port
    const base = TCP4
    const ports = new Set<number>()
    for (let src = 0; src < 200; src++) ports.add(portOf({ ...base, tcp: { src, dst: 80 } }))
    expect(ports.size).toBeGreaterThan(190)
    expect(portOf({ ...base, payload: [7, 7, 7, 7, 7] })).toBe(portOf(base))
    expect(portOf({ ...base, dst: '02:00:00:00:00:99' })).toBe(portOf(base))
    expect(portOf({ ...base, ip: { ...base.ip!, dst: '10.0.0.3' } })).not.toBe(portOf(base))
    const fragment = (src: number, frag: number): number =>
      portOf({ ...base, ip: { ...base.ip!, frag }, tcp: { src, dst: 80 } })
    expect(fragment(1, 0x2000)).toBe(fragment(2, 0x2000))
    expect(fragment(1, 0x2000)).toBe(fragment(3, 0x00b9))
    const type = (dst: string): FrameFields => ({ ...ETH, dst, type: 0x88b5, payload: [1] })
    expect(portOf(type('02:00:00:00:00:07'))).not.toBe(portOf(type('02:00:00:00:00:08')))
  })

  it('keeps source ports in range and spread over it', () => {
    const bench = new Bench().put(entryOf(OUTER))
    const buckets = new Array<number>(16).fill(0)
    for (let i = 0; i < 3200; i++) {
      const fields = { ...TCP4, tcp: { src: i & 0xff, dst: i >> 8 } }
      const { port } = choices(OUTER, bench.run(build(fields), PUSH)[0]!.data)
      buckets[Math.floor(((port - 32768) * 16) / 28233)]!++
    }
    expect(Math.min(...buckets)).toBeGreaterThan(100)
    expect(Math.max(...buckets)).toBeLessThan(320)
  })

  it('takes no ports from a fragment of IPv6 either', () => {
    const portOf = (src: number, header: number): number => {
      const inner = [
        ...build({ ...ETH, ip6: { src: 'fd01::1', dst: 'fd01::2' }, udp: { src, dst: 5 }, payload: [1, 2] }),
      ]
      // A destination-options or fragment header of eight bytes, the first fragment of more.
      const frame = [
        ...inner.slice(0, 54),
        17,
        0,
        header === 44 ? 0 : 1,
        header === 44 ? 1 : 4,
        0,
        0,
        0,
        0,
        ...inner.slice(54),
      ]
      frame[20] = header
      frame[19] = 18
      return choices(OUTER, new Bench().put(entryOf(OUTER)).run(frame, PUSH)[0]!.data).port
    }
    expect(portOf(1, 60)).not.toBe(portOf(2, 60))
    expect(portOf(1, 44)).toBe(portOf(2, 44))
  })

  it('completes a partial checksum that starts at an odd byte, for the outer one cannot be made from it', () => {
    const outer = { ...OUTER, csum: true }
    const inner = [...build({ ...ETH, type: 0x88b5, payload: Array.from({ length: 31 }, (_, i) => i * 7) })]
    const [fate] = new Bench().put(entryOf(outer)).run(inner, PUSH, {
      [M_VFLAGS]: 1,
      [M_CSUM_START]: 17,
      [M_CSUM_OFF]: 2,
    })
    const sums = [...inner]
    const value = ~sum(inner.slice(17)) & 0xffff
    sums[19] = value >> 8
    sums[20] = value & 255
    expect(completed(fate!)).toEqual(wrap(outer, sums, choices(outer, fate!.data).port))
  })

  it('clears tunnel metadata; mark and port stay', () => {
    const bench = new Bench().put(entryOf(OUTER))
    const words = { [M_TUN_ID + 1]: 5, [M_TUN_META]: 6, [M_TUN_SRC + 3]: 7, [M_MARK]: 8, [M_PORT]: 9 }
    const [fate] = bench.run(build(TCP4), PUSH, words)
    expect(fate!.meta.slice(M_TUN_ID, M_TUN_SRC + 8)).toEqual(new Int32Array(12))
    expect([fate!.meta[M_MARK], fate!.meta[M_PORT]]).toEqual([8, 9])
  })
})

const SUPER = {
  vlans: 0,
  tunnel: null,
  ip: { version: 4 as const, extra: 0, id: 77 },
  tcp: true,
  tcpOptions: 3,
  tcpFlags: 0x18,
  seq: 1,
  gsoSize: 100,
  payload: new Array<number>(250).fill(3),
}
type Facts = ReturnType<typeof buildSuper>['facts']
const vnet = (facts: Facts, headers = 0): Record<number, number> => ({
  [M_VFLAGS]: facts.flags,
  [M_GSO_TYPE]: facts.gsoType,
  [M_GSO_SIZE]: facts.gsoSize,
  [M_HDR_LEN]: headers,
  [M_CSUM_START]: facts.csumStart,
  [M_CSUM_OFF]: facts.csumOff,
})

const OUT = new Uint8Array(600_000)
const LENS = new Int32Array(8192)
/** The slot's frame cut as on the wire; undefined when it cannot be. */
const cut = (bench: Bench, slot: number): number[][] | undefined => {
  const count = native.segment(bench.arena.bytes, bench.arena.meta, slot, OUT, LENS)
  if (count < 0) return undefined
  let at = 0
  return Array.from(LENS.subarray(0, count), (length) => {
    at += length
    return [...OUT.subarray(at - length, at)]
  })
}

describe('push of super-frames', () => {
  it('cut afterwards they are the segments of before, each with the outer headers', () => {
    fc.assert(
      fc.property(shapes, outers, fc.boolean(), fc.boolean(), (shape, outer, noPartial, tagged) => {
        const { frame, facts, headers } = buildSuper({ ...shape, tunnel: null })
        const bench = new Bench().put(
          entryOf(outer, {
            actions: [
              ...(tagged ? [{ type: 'push_vlan', tpid: 0x8100, tci: 0x1005 } as const] : []),
              { type: 'output', port: 7 },
            ],
          }),
        )
        const segments = cut(bench, bench.load(frame, vnet(facts, headers)))
        if (segments === undefined) return
        const words = vnet(noPartial ? { ...facts, flags: 0, csumStart: 0, csumOff: 0 } : facts, headers)
        const [fate] = bench.run(frame, PUSH, words)
        expect(fate).toMatchObject({ what: 'out', value: 7 })
        expect(fate!.meta[M_VFLAGS]).toBe(outer.csum ? 9 : 1)
        expect(fate!.meta[M_HDR_LEN]).toBe(headers + (outer.version === 4 ? 50 : 70) + (tagged ? 4 : 0))
        const again = bench.load(fate!.data)
        bench.arena.meta.set(fate!.meta.slice(M_VFLAGS, M_INNER_NH + 1), again * META_WORDS + M_VFLAGS)
        const wire = cut(bench, again)!
        expect(wire.length).toBe(segments.length)
        wire.forEach((w, i) => {
          const plain = tagged ? [...w.slice(0, 12), ...w.slice(16)] : w
          const { port, id } = choices(outer, plain)
          const ip = shape.vlans * 4 + 14
          const tos = shape.ip.version === 4 ? segments[i]![ip + 1]! : (be16At(segments[i]!, ip) >> 4) & 0xff
          const want = wrap({ ...outer, tos: (outer.tos & 0xfc) | (tos & 3) }, segments[i]!, port, { id })
          expect(plain).toEqual(want)
          if (outer.df && outer.version === 4) expect(id).toBe(i)
        })
      }),
      { numRuns: 150 },
    )
  })

  it('is refused for one that is in a tunnel, of UFO, cut off, or without size', () => {
    const { frame, facts } = buildSuper(SUPER)
    const fateOf = (words: Record<number, number>, bytes: number[] = frame): unknown =>
      new Bench().put(entryOf(OUTER)).run(bytes, PUSH, { ...vnet(facts), ...words })[0]
    expect(fateOf({})).toMatchObject({ what: 'out' })
    const malformed = { what: 'lost', value: LOST_MALFORMED, data: frame }
    expect(fateOf({ [M_GSO_TYPE]: GSO_TCPV4 | GSO_UDP_TUNNEL_IPV4, [M_OUTER_TH]: 34, [M_INNER_NH]: 64 })).toMatchObject(
      malformed,
    )
    expect(fateOf({ [M_GSO_TYPE]: GSO_UDP })).toMatchObject(malformed)
    expect(fateOf({ [M_GSO_TYPE]: 4 })).toMatchObject(malformed)
    expect(fateOf({ [M_GSO_SIZE]: 0 })).toMatchObject(malformed)
    expect(fateOf({ [M_CSUM_START]: 320 })).toMatchObject(malformed)
    expect(fateOf({}, frame.slice(0, 60))).toMatchObject({ what: 'lost', value: LOST_MALFORMED })
  })
})

describe('push of anything', () => {
  it('frames with any bytes changed, cut anywhere, with any facts: never a throw, nothing outside read or written, lost as they were', () => {
    const damage = fc.array(fc.record({ at: fc.nat(100), value: fc.nat(255) }), { maxLength: 4 })
    const facts = fc.record({
      [M_VFLAGS]: fc.nat(15),
      [M_GSO_TYPE]: fc.oneof(fc.constantFrom(0, 1, 4, 5), fc.nat(255)),
      [M_GSO_SIZE]: fc.nat(100),
      [M_HDR_LEN]: fc.nat(3000),
      [M_CSUM_START]: fc.nat(200),
      [M_CSUM_OFF]: fc.nat(200),
    })
    const bench = new Bench()
    const program = compileActions(PUSH)
    const inners = Object.values(INNERS).map((fields) => [...build(fields)])
    fc.assert(
      fc.property(
        outers,
        fc.constantFrom(...inners),
        damage,
        fc.nat(140),
        facts,
        (outer, inner, hits, length, words) => {
          // Identifications go on from frame to frame.
          bench.put(entryOf({ ...outer, df: true }))
          const given = inner.map((b, i) => hits.find(({ at }) => at === i)?.value ?? b).slice(0, length)
          const fates = [0xee, 0x11].map((around) => {
            const slot = bench.load(given, words)
            const base = bench.arena.meta[slot * META_WORDS + M_BASE]!
            const region = bench.arena.bytes.subarray(base, base + SMALL_SIZE)
            region.fill(around)
            bench.arena.bytes.set(given, base + HEADROOM)
            bench.fates = []
            bench.executor.run(program, slot)
            const n = outer.version === 4 ? 50 : 70
            const untouched = [...region.subarray(0, HEADROOM - n), ...region.subarray(HEADROOM + given.length)]
            expect(untouched.every((b) => b === around)).toBe(true)
            return bench.fates
          })
          expect(fates[0]).toEqual(fates[1])
          const [fate, ...others] = fates[0]!
          expect(others).toEqual([])
          if (fate!.what === 'lost') expect(fate).toMatchObject({ value: LOST_MALFORMED, data: given })
          else expect(fate).toMatchObject({ what: 'out', value: 7 })
        },
      ),
      { numRuns: 1500 },
    )
  })
})

describe('MTU', () => {
  it('is of the outer IP packet; what is longer stays as it is', () => {
    const inner = [...build({ ...TCP4, payload: new Array<number>(100).fill(1) })]
    for (const version of [4, 6] as const) {
      const whole = inner.length + (version === 4 ? 36 : 56)
      const fate = (mtu: number): unknown =>
        new Bench().put(entryOf({ ...OUTER, version }, { mtu })).run(inner, PUSH)[0]
      expect(fate(whole)).toMatchObject({ what: 'out' })
      expect(fate(whole - 1)).toMatchObject({ what: 'big', value: 3, data: inner })
    }
  })

  it("is of each segment, by the headers themselves and not by the guest's hint", () => {
    const { frame, facts, headers } = buildSuper(SUPER)
    const fate = (mtu: number, hint: number): unknown =>
      new Bench().put(entryOf(OUTER, { mtu })).run(frame, PUSH, vnet(facts, hint))[0]
    const segment = headers + 100 + 36
    expect(fate(segment, 0)).toMatchObject({ what: 'out' })
    expect(fate(segment, 5000)).toMatchObject({ what: 'out' })
    expect(fate(segment - 1, 0)).toMatchObject({ what: 'big', value: 3, data: frame })
  })

  it('is not looked at by who encapsulates on his own', () => {
    const bench = new Bench().put(entryOf(OUTER, { mtu: 60, state: 'pending' }))
    const inner = [...build(TCP4)]
    const slot = bench.load(inner)
    expect(bench.executor.encapInto(slot, 3)).toBe(TUNNEL_OK)
    const { port } = choices(OUTER, bench.frameOf(slot))
    expect(bench.frameOf(slot)).toEqual(wrap({ ...OUTER, tos: 2 }, inner, port))
    expect(bench.executor.encapInto(slot, 4)).toBe(LOST_TRANSLATION)
    const row = encapRow(entryOf(OUTER))
    expect(new Encapsulator(bench.arena).push(bench.load(inner), row, 60)).toBe(PUSH_TOO_BIG)
  })
})
