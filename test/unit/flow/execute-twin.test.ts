/** The interpreter against a slow twin: the actions are applied to the fields, and the frame is built again with every checksum computed anew. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { K_ETH, K_IPV6_LABEL, K_NW, K_NW_DST, K_NW_SRC, K_TP } from '../../../src/flow/key.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { M_CSUM_OFF, M_CSUM_START, M_VFLAGS } from '../../../src/packet/slot.ts'
import { build, type FrameFields } from '../../pipeline/tiers/frames.ts'
import { execute, out, set } from './execute-kit.ts'

const byte = fc.integer({ min: 0, max: 255 })
const port = fc.integer({ min: 0, max: 65535 })
const mac = fc
  .array(byte, { minLength: 6, maxLength: 6 })
  .map((b) => b.map((x) => x.toString(16).padStart(2, '0')).join(':'))
const ip4 = fc.array(byte, { minLength: 4, maxLength: 4 }).map((b) => b.join('.'))
const ip6 = fc.array(port, { minLength: 8, maxLength: 8 }).map((w) => w.map((x) => x.toString(16)).join(':'))
const payload = fc.array(byte, { maxLength: 50 })
const vlan = fc.record({
  tpid: fc.constantFrom(0x8100, 0x88a8),
  tci: fc.integer({ min: 0, max: 0xefff }).map((t) => t & 0xefff),
})

const bytesOf = (address: string): number[] =>
  address.includes('.')
    ? address.split('.').map(Number)
    : address.split(':').flatMap((w) => [Number.parseInt(w, 16) >> 8, Number.parseInt(w, 16) & 255])
const macBytes = (m: string): number[] => m.split(':').map((x) => Number.parseInt(x, 16))
const word = (b: number[], at: number): number =>
  (b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]! | 0

const l4 = fc.oneof(
  fc.record({ udp: fc.record({ src: port, dst: port, zero: fc.boolean() }) }),
  fc.record({ tcp: fc.record({ src: port, dst: port, flags: byte }) }),
  fc.record({ sctp: fc.record({ src: port, dst: port }) }),
)
const l3 = fc.oneof(
  fc.record({ ip: fc.record({ src: ip4, dst: ip4, tos: byte, ttl: byte }) }),
  fc.record({
    ip6: fc.record({ src: ip6, dst: ip6, tclass: byte, label: fc.integer({ min: 0, max: 0xfffff }), hops: byte }),
  }),
)
const anyFrame: fc.Arbitrary<FrameFields> = fc
  .tuple(fc.record({ dst: mac, src: mac, payload, vlans: fc.array(vlan, { maxLength: 2 }) }), l3, l4)
  .map(([a, b, c]) => ({ ...a, ...b, ...c }) as FrameFields)

/** A change: what the action list says, and the same done to the fields. */
type Change = { actions: OdpAction[]; apply: (f: FrameFields) => FrameFields }

const changeFor = (f: FrameFields): fc.Arbitrary<Change> => {
  const kinds: fc.Arbitrary<Change>[] = [
    fc.tuple(mac, mac).map(([dst, src]) => {
      const b = [...macBytes(dst), ...macBytes(src)]
      return {
        actions: [set('eth', [K_ETH, word(b, 0)], [K_ETH + 1, word(b, 4)], [K_ETH + 2, word(b, 8)])],
        apply: (g) => ({ ...g, dst, src }),
      }
    }),
    vlan.map((v) => ({
      actions: [{ type: 'push_vlan', tpid: v.tpid, tci: v.tci | 0x1000 }],
      apply: (g) => ({ ...g, vlans: [v, ...(g.vlans ?? [])] }),
    })),
    fc.constant<Change>({ actions: [{ type: 'pop_vlan' }], apply: (g) => ({ ...g, vlans: (g.vlans ?? []).slice(1) }) }),
    fc.tuple(port, port).map(([src, dst]) => ({
      actions: [set(f.udp ? 'udp' : f.tcp ? 'tcp' : 'sctp', [K_TP, (src << 16) | dst])],
      apply: (g) =>
        g.udp
          ? { ...g, udp: { ...g.udp, src, dst } }
          : g.tcp
            ? { ...g, tcp: { ...g.tcp, src, dst } }
            : { ...g, sctp: { src, dst } },
    })),
  ]
  if (f.ip)
    kinds.push(
      fc.tuple(ip4, ip4, byte, byte).map(([src, dst, tos, ttl]) => ({
        actions: [
          set(
            'ipv4',
            [K_NW_SRC, word(bytesOf(src), 0)],
            [K_NW_DST, word(bytesOf(dst), 0)],
            [K_NW, (tos << 16) | (ttl << 8), 0xffff00],
          ),
        ],
        apply: (g) => ({ ...g, ip: { ...g.ip!, src, dst, tos, ttl } }),
      })),
      fc.tuple(byte, byte).map(([low, mask]) => ({
        actions: [set('ipv4', [K_NW_DST, low & mask, mask])],
        apply: (g) => {
          const b = bytesOf(g.ip!.dst)
          b[3] = (b[3]! & ~mask) | (low & mask)
          return { ...g, ip: { ...g.ip!, dst: b.join('.') } }
        },
      })),
    )
  else
    kinds.push(
      fc.tuple(ip6, ip6, byte, byte, fc.integer({ min: 0, max: 0xfffff })).map(([src, dst, tclass, hops, label]) => ({
        actions: [
          set(
            'ipv6',
            ...[0, 1, 2, 3].map((i): [number, number] => [K_NW_SRC + i, word(bytesOf(src), i * 4)]),
            ...[0, 1, 2, 3].map((i): [number, number] => [K_NW_DST + i, word(bytesOf(dst), i * 4)]),
            [K_NW, (tclass << 16) | (hops << 8), 0xffff00],
            [K_IPV6_LABEL, label, 0xfffff],
          ),
        ],
        apply: (g) => ({ ...g, ip6: { src, dst, tclass, hops, label } }),
      })),
    )
  return fc.oneof(...kinds)
}

const scenario = anyFrame.chain((f) =>
  fc.record({ fields: fc.constant(f), changes: fc.array(changeFor(f), { maxLength: 6 }) }),
)

describe('actions against a frame built again', () => {
  it('agree, with complete checksums', () => {
    fc.assert(
      fc.property(scenario, ({ fields, changes }) => {
        const want = changes.reduce((f, c) => c.apply(f), fields)
        const got = execute(build(fields), [...changes.flatMap((c) => c.actions), out])
        expect(got.lost).toEqual([])
        expect(got.out[0]!.data).toEqual(build(want))
      }),
      { numRuns: 1000 },
    )
  })

  it('agree, with partial checksums, whose place moves with the frame', () => {
    fc.assert(
      fc.property(
        scenario.filter(({ fields }) => !fields.sctp && !fields.udp?.zero),
        ({ fields, changes }) => {
          const start = 14 + fields.vlans!.length * 4 + (fields.ip ? 20 : 40)
          const off = fields.udp ? 6 : 16
          const want = changes.reduce((f, c) => c.apply(f), fields)
          const vnet = { [M_VFLAGS]: 1, [M_CSUM_START]: start, [M_CSUM_OFF]: off }
          const got = execute(build(fields, true), [...changes.flatMap((c) => c.actions), out], vnet)
          expect(got.out[0]!.data).toEqual(build(want, true))
          expect(got.out[0]!.meta[M_CSUM_START]).toBe(start + (want.vlans!.length - fields.vlans!.length) * 4)
        },
      ),
      { numRuns: 500 },
    )
  })
})
