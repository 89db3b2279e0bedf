/** The interpreter: single headers, lists of actions, and frames that are none. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type ExecuteSink,
  Executor,
  LOST_FLOW_DROP,
  LOST_MALFORMED,
  LOST_TRANSLATION,
} from '../../../src/flow/execute.ts'
import {
  K_ARP_HW,
  K_ETH,
  K_IPV6_LABEL,
  K_MPLS,
  K_ND_TARGET,
  K_NW,
  K_NW_DST,
  K_NW_SRC,
  K_TP,
} from '../../../src/flow/key.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { compileActions, ProgramError } from '../../../src/flow/program.ts'
import {
  createArena,
  M_BASE,
  M_CSUM_OFF,
  M_CSUM_START,
  M_GSO_SIZE,
  M_GSO_TYPE,
  M_LEN,
  M_OFF,
  M_VFLAGS,
  META_WORDS,
  SlotPool,
  SMALL_SIZE,
} from '../../../src/packet/slot.ts'
import { build, type FrameFields } from '../../pipeline/tiers/frames.ts'
import { execute, out, set } from './execute-kit.ts'

const base = { dst: '02:00:00:00:00:02', src: '02:00:00:00:00:01' }
const UDP4: FrameFields = {
  ...base,
  ip: { src: '10.0.0.1', dst: '10.0.0.2' },
  udp: { src: 1, dst: 2 },
  payload: [1, 2, 3],
}
const byte = fc.integer({ min: 0, max: 255 })

describe('headers', () => {
  it('sets ARP', () => {
    const arp = { op: 1, sha: '02:00:00:00:00:01', spa: '10.0.0.1', tha: '00:00:00:00:00:00', tpa: '10.0.0.2' }
    const want = { op: 2, sha: '0a:0b:0c:0d:0e:0f', spa: '1.2.3.4', tha: '1a:1b:1c:1d:1e:1f', tpa: '5.6.7.8' }
    const got = execute(build({ ...base, arp }), [
      set('arp', [K_NW, 2 << 24, 0xff << 24], [K_NW_SRC, 0x01020304], [K_NW_DST, 0x05060708]),
      set('arp', [K_ARP_HW, 0x0a0b0c0d], [K_ARP_HW + 1, 0x0e0f1a1b], [K_ARP_HW + 2, 0x1c1d1e1f]),
      out,
    ])
    expect(got.out[0]!.data).toEqual(build({ ...base, arp: want }))
  })

  it('sets ICMP and ICMPv6 types', () => {
    const four = { ...base, ip: { src: '10.0.0.1', dst: '10.0.0.2' }, payload: [9, 9, 9] }
    const got = execute(build({ ...four, icmp: { type: 8, code: 0 } }), [set('icmp', [K_TP, (0 << 16) | 5]), out])
    expect(got.out[0]!.data).toEqual(build({ ...four, icmp: { type: 0, code: 5 } }))
    const six = { ...base, ip6: { src: 'fe80::1', dst: 'ff02::1' } }
    const got6 = execute(build({ ...six, icmp6: { type: 128, code: 0, body: [0, 1, 0, 2, 7] } }), [
      set('icmpv6', [K_TP, (129 << 16) | 3]),
      out,
    ])
    expect(got6.out[0]!.data).toEqual(build({ ...six, icmp6: { type: 129, code: 3, body: [0, 1, 0, 2, 7] } }))
  })

  it('sets target and link-layer options of neighbour discovery', () => {
    const body = (target: number, sll: number, tll: number): number[] => [
      0,
      0,
      0,
      0,
      ...Array<number>(15).fill(0xfd),
      target,
      1,
      1,
      sll,
      2,
      3,
      4,
      5,
      6,
      14,
      1,
      1,
      2,
      3,
      4,
      5,
      6,
      2,
      1,
      tll,
      2,
      3,
      4,
      5,
      6,
    ]
    const nd = (target: number, sll: number, tll: number): Uint8Array =>
      build({
        ...base,
        ip6: { src: 'fe80::1', dst: 'ff02::1' },
        icmp6: { type: 135, code: 0, body: body(target, sll, tll) },
      })
    const got = execute(nd(1, 1, 1), [
      set('nd', [K_ND_TARGET + 3, 9, 0xff], [K_ARP_HW, 0xaa << 24, 0xff << 24], [K_ARP_HW + 1, 0xbb00, 0xff00]),
      out,
    ])
    expect(got.out[0]!.data).toEqual(nd(9, 0xaa, 0xbb))
  })

  it('pushes, sets and pops MPLS behind VLAN tags', () => {
    const plain: FrameFields = { ...UDP4, vlans: [{ tpid: 0x8100, tci: 5 }] }
    const label = (ttl: number): FrameFields => ({ ...plain, mpls: [0x00064100 | ttl] })
    const push: OdpAction = { type: 'push_mpls', ethertype: 0x8847, lse: 0x00064140 }
    const vnet = { [M_VFLAGS]: 1, [M_CSUM_START]: 38, [M_CSUM_OFF]: 6 }
    const pushed = execute(build(plain, true), [push, set('mpls', [K_MPLS, 0x3f, 0xff]), out], vnet)
    expect(pushed.out[0]!.data).toEqual(build(label(0x3f), true))
    expect(pushed.out[0]!.meta[M_CSUM_START]).toBe(42)
    const popped = execute(build(label(1)), [{ type: 'pop_mpls', ethertype: 0x0800 }, out])
    expect(popped.out[0]!.data).toEqual(build(plain))
  })

  it('leaves the payload of later fragments alone, and keeps the header right', () => {
    const later = (src: string): FrameFields => ({
      ...base,
      ip: { src, dst: '10.0.0.2', frag: 0x2010 },
      udp: { src: 1, dst: 2 },
      payload: [1],
    })
    const frame = build(later('10.0.0.1'))
    const got = execute(frame, [set('ipv4', [K_NW_SRC, 0x0a000009]), set('udp', [K_TP, 0x12345678]), out]).out[0]!.data
    expect(got.subarray(34)).toEqual(frame.subarray(34))
    expect(got.subarray(0, 34)).toEqual(build(later('10.0.0.9')).subarray(0, 34))
  })

  it('does not touch an outer UDP checksum of zero', () => {
    const zero: FrameFields = { ...UDP4, udp: { src: 1, dst: 2, zero: true } }
    const got = execute(build(zero), [set('ipv4', [K_NW_SRC, 0x0a000009]), set('udp', [K_TP, 0x00050006]), out])
    expect(got.out[0]!.data).toEqual(
      build({ ...zero, ip: { src: '10.0.0.9', dst: '10.0.0.2' }, udp: { src: 5, dst: 6, zero: true } }),
    )
  })

  it('cuts for the next output only, completing a partial checksum first', () => {
    const frame = build(UDP4)
    const vnet = { [M_VFLAGS]: 1, [M_CSUM_START]: 34, [M_CSUM_OFF]: 6 }
    const got = execute(build(UDP4, true), [{ type: 'trunc', maxLen: 43 }, { type: 'output', port: 1 }, out], vnet)
    expect(got.out[0]!.data).toEqual(frame.subarray(0, 43))
    expect(got.out[0]!.meta[M_VFLAGS]).toBe(0)
    expect(got.out[1]!.data).toEqual(build(UDP4, true))
    expect(got.out[1]!.meta[M_VFLAGS]).toBe(1)
  })

  it('cuts a super-frame to one packet', () => {
    const got = execute(build(UDP4), [{ type: 'trunc', maxLen: 20 }, out], { [M_GSO_TYPE]: 5, [M_GSO_SIZE]: 1 })
    expect([got.out[0]!.data.length, got.out[0]!.meta[M_GSO_TYPE], got.out[0]!.meta[M_GSO_SIZE]]).toEqual([20, 0, 0])
  })
})

describe('lists', () => {
  const tag = (tci: number): OdpAction => ({ type: 'push_vlan', tpid: 0x8100, tci: tci | 0x1000 })

  it('gives copies to all outputs but the last, each with the changes made before it', () => {
    const frame = build(UDP4)
    const got = execute(frame, [
      { type: 'output', port: 1 },
      tag(5),
      { type: 'output', port: 2 },
      { type: 'pop_vlan' },
      out,
      tag(9),
    ])
    expect(got.out.map((o) => [o.port, o.data.length])).toEqual([
      [1, frame.length],
      [2, frame.length + 4],
      [7, frame.length],
    ])
    expect(got.out[2]!.data).toEqual(frame)
  })

  it('runs clones on copies', () => {
    const frame = build(UDP4)
    const inner: OdpAction = {
      type: 'clone',
      actions: [tag(1), { type: 'clone', actions: [tag(2), out] }, { type: 'output', port: 3 }],
    }
    const got = execute(frame, [inner, { type: 'output', port: 4 }])
    expect(got.out.map((o) => [o.port, o.data.length - frame.length])).toEqual([
      [7, 8],
      [3, 4],
      [4, 0],
    ])
    expect(
      execute(frame, [
        { type: 'clone', actions: [{ type: 'recirc', id: 3 }] },
        { type: 'recirc', id: 4 },
      ]).recirc,
    ).toEqual([3, 4])
  })

  it('drops: by decision, for a reason, and nothing left to do', () => {
    expect(execute(build(UDP4), []).lost).toEqual([LOST_FLOW_DROP])
    expect(execute(build(UDP4), [tag(1), { type: 'clone', actions: [tag(2)] }]).lost).toEqual([LOST_FLOW_DROP])
    const got = execute(build(UDP4), [
      { type: 'output', port: 1 },
      { type: 'drop', reason: 'x' },
    ])
    expect([got.out.length, got.lost]).toEqual([1, [LOST_TRANSLATION]])
  })

  it('counts copies for which there is no slot and goes on', () => {
    const got = execute(build(UDP4), [{ type: 'output', port: 1 }, { type: 'clone', actions: [out] }, out], {}, 1)
    expect([got.noCopy, got.out.map((o) => o.port)]).toEqual([2, [7]])
  })

  it('has headroom for many tags, then gives up', () => {
    expect(execute(build(UDP4), [...Array(48).fill(tag(1)), out]).out.length).toBe(1)
    expect(execute(build(UDP4), [...Array(49).fill(tag(1)), out]).lost).toEqual([LOST_MALFORMED])
  })

  it('refuses lists that cannot be run', () => {
    expect(() => compileActions([{ type: 'recirc', id: 1 }, out])).toThrow(ProgramError)
    expect(() => compileActions([{ type: 'trunc', maxLen: 13 }, out])).toThrow(/14/)
    expect(() => compileActions([set('tcp', [K_NW, 1]), out])).toThrow(/cannot write/)
    expect(() => compileActions(Array(10_000).fill(out))).toThrow(/at most/)
  })
})

describe('malformed frames', () => {
  const anySet: OdpAction[] = [
    set('eth', [K_ETH, 1]),
    set('ipv4', [K_NW_SRC, 1], [K_NW, 0x050500, 0xffff00]),
    set('ipv6', [K_NW_SRC, 1], [K_NW_DST + 3, 1], [K_IPV6_LABEL, 1, 0xfffff]),
    set('arp', [K_NW_SRC, 1], [K_ARP_HW + 1, 1]),
    set('nd', [K_ND_TARGET, 1], [K_ARP_HW, 1]),
    set('tcp', [K_TP, 1]),
    set('udp', [K_TP, 1]),
    set('sctp', [K_TP, 1]),
    set('icmp', [K_TP, 1]),
    set('icmpv6', [K_TP, 1]),
    set('mpls', [K_MPLS, 1]),
    { type: 'push_mpls', ethertype: 0x8847, lse: 5 },
    { type: 'pop_mpls', ethertype: 0x0800 },
    { type: 'pop_vlan' },
    { type: 'push_vlan', tpid: 0x8100, tci: 0x1001 },
  ]

  it('cut anywhere, with any bytes changed, never make an action write outside of the frame', () => {
    const shapes: FrameFields[] = [
      UDP4,
      {
        ...UDP4,
        vlans: [
          { tpid: 0x8100, tci: 1 },
          { tpid: 0x8100, tci: 2 },
        ],
      },
      {
        ...base,
        ip6: { src: 'fe80::1', dst: 'fe80::2' },
        icmp6: { type: 136, code: 0, body: [...Array(20).fill(1), 2, 1, 1, 2, 3, 4, 5, 6] },
      },
      { ...base, ip6: { src: 'fe80::1', dst: 'fe80::2' }, sctp: { src: 1, dst: 2 } },
      { ...base, arp: { op: 1, sha: base.src, spa: '1.1.1.1', tha: base.dst, tpa: '2.2.2.2' } },
      { ...UDP4, mpls: [0x100, 0x200] },
    ]
    fc.assert(
      fc.property(
        fc.constantFrom(...shapes),
        fc.nat(100),
        fc.array(fc.tuple(fc.integer({ min: 12, max: 80 }), byte), { maxLength: 3 }),
        fc.array(fc.constantFrom(...anySet), { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        (shape, cut, changes, actions, needsCsum) => {
          const whole = build(shape)
          for (const [at, value] of changes) if (at < whole.length) whole[at] = value
          const frame = whole.subarray(0, Math.max(14, whole.length - cut))
          const arena = createArena(1, 3, 0)
          arena.bytes.fill(0xee)
          const pool = new SlotPool(arena, 0)
          pool.take(1)
          const slot = pool.take(1)
          const m = slot * META_WORDS
          const off = arena.meta[m + M_OFF]!
          arena.bytes.set(frame, off)
          arena.meta.fill(0, m + M_LEN, m + META_WORDS)
          arena.meta[m + M_LEN] = frame.length
          if (needsCsum) {
            arena.meta[m + M_VFLAGS] = 1
            arena.meta[m + M_CSUM_START] = 34
            arena.meta[m + M_CSUM_OFF] = 6
          }
          let ended = 0
          const sink: ExecuteSink = {
            emit: () => void ended++,
            recirc: () => void ended++,
            lost: () => void ended++,
            copy: () => -1,
            noCopy: () => {},
            encapWait: () => void ended++,
            tooBig: () => void ended++,
            reenter: () => void ended++,
          }
          new Executor(arena, sink).run(compileActions([...actions, out]), slot)
          expect(ended).toBe(1)
          const base = arena.meta[m + M_BASE]!
          expect(arena.bytes.subarray(0, base).every((b) => b === 0xee)).toBe(true)
          expect(arena.bytes.subarray(off + frame.length, base + SMALL_SIZE).every((b) => b === 0xee)).toBe(true)
          expect(arena.bytes.subarray(base + SMALL_SIZE).every((b) => b === 0xee)).toBe(true)
        },
      ),
      { numRuns: 2000 },
    )
  })

  it.each(['ipv4', 'ipv6', 'arp', 'nd', 'tcp', 'udp', 'sctp', 'icmp', 'icmpv6', 'mpls'] as const)(
    'without the header, set(%s) drops the frame as malformed',
    (header) => {
      const action = anySet.find((a) => a.type === 'set' && a.header === header)!
      expect(execute(build({ ...base, type: 0x88b5, payload: [1, 2, 3] }), [action, out]).lost).toEqual([
        LOST_MALFORMED,
      ])
      expect(execute(build({ ...base, type: 0x0800, payload: [0x45, 0, 0] }), [action, out]).lost).toEqual([
        LOST_MALFORMED,
      ])
    },
  )
})
