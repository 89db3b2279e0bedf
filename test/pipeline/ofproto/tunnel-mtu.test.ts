import { describe, expect, it } from 'vitest'
import { ENCAP_CSUM, ENCAP_DF } from '../../../src/flow/encap.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { TunnelMtu, type TunnelMtuCounters } from '../../../src/ofproto/tunnel-mtu.ts'
import { put16, put32 } from '../../../src/packet/bytes.ts'
import { checksum, checksumAdd, checksumFold, pseudoIpv4 } from '../../../src/packet/checksum.ts'
import {
  GSO_TCPV4,
  M_CSUM_OFF,
  M_CSUM_START,
  M_GSO_SIZE,
  M_GSO_TYPE,
  M_HDR_LEN,
  M_LEN,
  M_OFF,
  M_PORT,
  M_VFLAGS,
  META_WORDS,
  VNET_F_NEEDS_CSUM,
} from '../../../src/packet/slot.ts'
import { type FakeEntry, FakeTunnelLayer, ip, tunnelConfig } from './fake-tunnels.ts'
import { createLab, type Lab } from './kit.ts'

const VX = 50
const GUEST = 2
const PEER = ip(192, 168, 0, 2)
const US = ip(192, 168, 0, 1)

interface Executed {
  readonly port: number
  readonly frame: Uint8Array
  readonly actions: readonly OdpAction[]
}

interface World extends Lab {
  readonly layer: FakeTunnelLayer
  readonly mtu: TunnelMtu
  readonly executed: Executed[]
  /** Gives main a packet that is too big, and what was answered for it. */
  readonly tooBig: (frame: Uint8Array, facts?: ReadonlyMap<number, number>) => readonly OdpAction[] | undefined
  readonly counted: () => Partial<TunnelMtuCounters>
}

const be16 = (b: Uint8Array, at: number): number => (b[at]! << 8) | b[at + 1]!

/** As tunnels make it, for VNI 100. */
const header = (df: boolean): Uint8Array => {
  const h = new Uint8Array(50)
  h.set([2, 0, 0, 0, 0xbb, 0, 2, 0, 0, 0, 0xaa, 0, 8, 0, 0x45, 0, 0, 0, 0, 0, df ? 0x40 : 0, 0, 64, 17])
  h.set(US, 26)
  h.set(PEER, 30)
  put16(h, 36, 4789)
  h[42] = 8
  put32(h, 46, 100 << 8)
  return h
}

/** br-int: a guest and a tunnel to 192.168.0.2 whose underlay takes 1500 bytes and leaves by port 900. */
const world = (flags = ENCAP_DF, options: { tag?: number; segment?: boolean } = {}): World => {
  const lab = createLab()
  const layer = new FakeTunnelLayer('192.168.0.1')
  lab.ofproto.tunnels.use(layer)
  lab.ofproto.tunnels.ports.setDpPort(4789, VX)
  const bridge = lab.ofproto.addBridge('br-int')
  const vlan = options.tag === undefined ? {} : { tag: options.tag }
  bridge.addPort({ name: 'guest', dpPort: GUEST, ...vlan })
  bridge.addPort({ name: 'vx0', tunnel: tunnelConfig(PEER, 100) })
  layer.encap({ peer: PEER, local: US, vni: 100, dstPort: 4789, tos: 0, ttl: 64, df: true, csum: false }, false)
  const change = (over: Partial<FakeEntry>): void => {
    layer.entries.set(0, { ...layer.entries.get(0)!, ...over })
  }
  change({ header: header((flags & ENCAP_DF) !== 0), flags, mtu: 1500, tunnelPort: VX })
  const executed: Executed[] = []
  const { arena, pool } = lab.dpif
  const read = (slot: number): Uint8Array => {
    const m = slot * META_WORDS
    return arena.bytes.slice(arena.meta[m + M_OFF], arena.meta[m + M_OFF]! + arena.meta[m + M_LEN]!)
  }
  lab.dpif.execute = (slot, actions) => {
    executed.push({ port: arena.meta[slot * META_WORDS + M_PORT]!, frame: read(slot), actions })
    pool.give(slot)
  }
  let answered: readonly OdpAction[] | undefined
  lab.dpif.upcallDone = (slot, actions) => {
    answered = actions
    pool.give(slot)
  }
  // Two frames of half the payload each.
  const segment = (slot: number, out: Uint8Array, lengths: Int32Array): number => {
    const frame = read(slot)
    const half = (frame.length - 54) / 2
    for (let i = 0; i < 2; i++) {
      const part = new Uint8Array(54 + half)
      part.set(frame.subarray(0, 54))
      part.set(frame.subarray(54 + i * half, 54 + (i + 1) * half), 54)
      put16(part, 16, part.length - 14)
      out.set(part, i * part.length)
      lengths[i] = part.length
    }
    return 2
  }
  const mtu = new TunnelMtu({ ...lab, ...(options.segment ? { segment } : {}) })
  mtu.start()
  const tooBig: World['tooBig'] = (frame, facts = new Map()) => {
    const slot = pool.take(frame.length)
    const m = slot * META_WORDS
    arena.meta.fill(0, m + M_VFLAGS, m + META_WORDS)
    arena.bytes.set(frame, arena.meta[m + M_OFF]!)
    arena.meta[m + M_LEN] = frame.length
    for (const [word, value] of facts) arena.meta[m + word] = value
    answered = undefined
    lab.dpif.tooBig!(slot, 0)
    return answered
  }
  const counted = () => Object.fromEntries(Object.entries(mtu.counters).filter(([, n]) => n > 0))
  return { ...lab, layer, mtu, executed, tooBig, counted }
}

/** From 10.0.0.1 to 10.0.0.2, `size` bytes of IP, of which the payload counts up. */
const packet = ({ flags = 0x4000, proto = 17, size = 1500, last = 1, type = 0 } = {}): Uint8Array => {
  const f = new Uint8Array(14 + size)
  f.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0])
  put16(f, 16, size)
  put16(f, 20, flags)
  f.set([64, proto], 22)
  f.set([10, 0, 0, last, 10, 0, 0, 2], 26)
  put16(f, 24, checksum(f, 14, 20))
  for (let i = 34; i < f.length; i++) f[i] = i & 0xff
  if (proto === 17) f.set([0, 7, 0, 9, (size - 20) >> 8, (size - 20) & 0xff, 0, 0], 34)
  if (proto === 6) f[46] = 0x50
  if (proto === 1) f[34] = type
  return f
}

const LOST = [{ type: 'drop', reason: 'tunnel-mtu' }]

describe('a packet that may not be fragmented', () => {
  it('is answered to its sender, as if the tunnel had delivered the answer, with the size that fits', () => {
    const { tooBig, executed, counted, ofproto } = world()
    expect(tooBig(packet())).toEqual(LOST)
    expect(executed.length).toBe(1)
    const [{ port, frame, actions }] = executed as [Executed]
    expect(port).toBe(VX)
    expect([...frame.subarray(0, 12)]).toEqual([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2])
    expect([...frame.subarray(34, 36), be16(frame, 40)]).toEqual([3, 4, 1450])
    expect(actions).toEqual([{ type: 'output', port: GUEST }])
    expect(counted()).toEqual({ icmp: 1 })
    // It is not known where 10.0.0.2 is: the answer says nothing of that.
    expect(ofproto.bridge('br-int')!.macs.size).toBe(0)
  })

  it('gets an answer with the tags that it has in the tunnel, and those that its sender knows', () => {
    const { tooBig, executed } = world(ENCAP_DF, { tag: 10 })
    const f = packet()
    const tagged = Uint8Array.from([...f.subarray(0, 12), 0x81, 0, 0, 10, ...f.subarray(12)])
    expect(tooBig(tagged)).toEqual(LOST)
    const [{ frame, actions }] = executed as [Executed]
    expect([...frame.subarray(12, 16), be16(frame, 44)]).toEqual([0x81, 0, 0, 10, 1446])
    expect(actions).toEqual([{ type: 'pop_vlan' }, { type: 'output', port: GUEST }])
  })

  it('over IPv6 leaves 20 bytes less', () => {
    const { tooBig, executed, layer } = world()
    const entry = layer.entries.get(0)!
    const long = new Uint8Array(70)
    long.set(entry.header.subarray(34), 54)
    layer.entries.set(0, { ...entry, version: 6, header: long })
    tooBig(packet())
    expect(be16(executed[0]!.frame, 40)).toBe(1430)
  })

  it('is answered once when it is a super-frame, for its segments', () => {
    const { tooBig, executed } = world()
    const facts = new Map([
      [M_GSO_TYPE, GSO_TCPV4],
      [M_GSO_SIZE, 1460],
      [M_HDR_LEN, 54],
    ])
    expect(tooBig(packet({ proto: 6, size: 20000 }), facts)).toEqual(LOST)
    expect(executed.length).toBe(1)
    expect(be16(executed[0]!.frame, 44)).toBe(1500)
  })

  it('is not answered when it is an error itself; it goes in parts if the tunnel allows that', () => {
    const strict = world()
    expect(strict.tooBig(packet({ proto: 1, type: 3 }))).toEqual(LOST)
    expect([strict.executed.length, strict.counted()]).toEqual([0, { unanswered: 1 }])
    const lax = world(0)
    expect(lax.tooBig(packet({ proto: 1, type: 3 }))).toEqual([])
    expect(lax.counted()).toEqual({ fragmented: 1, fragments: 2 })
  })

  it('is answered so often and no more, each sender for itself', () => {
    const { tooBig, executed, counted, clock } = world()
    for (let i = 0; i < 30; i++) tooBig(packet())
    expect(executed.length).toBe(10)
    tooBig(packet({ last: 3 }))
    expect(executed.length).toBe(11)
    expect(counted()).toEqual({ icmp: 11, limited: 20 })
    clock.advance(200)
    for (let i = 0; i < 30; i++) tooBig(packet())
    expect(executed.length).toBe(13)
  })

  it('gets no answer by a tunnel that no port takes packets from', () => {
    const { tooBig, ofproto, executed, counted } = world()
    ofproto.bridge('br-int')!.reconfigurePort('vx0', { tunnel: tunnelConfig(PEER, 5) })
    expect(tooBig(packet())).toEqual(LOST)
    expect([executed.length, counted()]).toEqual([0, { unanswered: 1 }])
  })
})

/** The UDP datagram that fragments carry: payload of IP. */
const together = (parts: readonly Executed[]): Uint8Array => {
  const out = parts.flatMap(({ frame }, i) => {
    expect(frame.length - 14).toBeLessThanOrEqual(1500)
    expect(checksum(frame, 14, 20)).toBe(0)
    expect(be16(frame, 20) & 0x2000).toBe(i === parts.length - 1 ? 0 : 0x2000)
    expect(be16(frame, 18)).toBe(be16(parts[0]!.frame, 18))
    return [...frame.subarray(34)]
  })
  return Uint8Array.from(out)
}

describe('a packet that may be fragmented', () => {
  it('is lost when the tunnel says that outer packets may not', () => {
    const { tooBig, executed, counted } = world(ENCAP_DF)
    expect(tooBig(packet({ flags: 0 }))).toEqual(LOST)
    expect([executed.length, counted()]).toEqual([0, { df: 1 }])
  })

  it('goes in fragments of the outer one, by the way of the underlay', () => {
    const { tooBig, executed, counted, layer, dpif } = world(0)
    const free = dpif.pool.smallFree + dpif.pool.bigFree
    const inner = packet({ flags: 0 })
    expect(tooBig(inner)).toEqual([])
    expect(executed.map(({ port, actions }) => [port, actions])).toEqual([
      [layer.underlay.dpPort, [{ type: 'output', port: 900 }]],
      [layer.underlay.dpPort, [{ type: 'output', port: 900 }]],
    ])
    const datagram = together(executed)
    expect([be16(datagram, 2), be16(datagram, 4), be16(datagram, 6)]).toEqual([4789, datagram.length, 0])
    expect([...datagram.subarray(16)]).toEqual([...inner])
    expect(counted()).toEqual({ fragmented: 1, fragments: 2 })
    expect(dpif.pool.smallFree + dpif.pool.bigFree).toBe(free)
  })

  it('has complete checksums, inside and outside', () => {
    const { tooBig, executed } = world(ENCAP_CSUM)
    const inner = packet({ flags: 0 })
    const length = inner.length - 34
    put16(inner, 40, checksumFold(pseudoIpv4(inner, 14, 17, length)))
    const facts = new Map([
      [M_VFLAGS, VNET_F_NEEDS_CSUM],
      [M_CSUM_START, 34],
      [M_CSUM_OFF, 6],
    ])
    expect(tooBig(inner, facts)).toEqual([])
    const datagram = together(executed)
    const sum = (b: Uint8Array, ip: Uint8Array, at: number) =>
      checksumFold(checksumAdd(pseudoIpv4(ip, 14, 17, b.length), b, at, b.length))
    expect(be16(datagram, 6)).not.toBe(0)
    expect(sum(datagram, executed[0]!.frame, 0)).toBe(0xffff)
    expect(sum(datagram.slice(16 + 34), datagram.slice(16), 0)).toBe(0xffff)
  })

  it('is cut into segments first when it is a super-frame, and lost where that cannot be done', () => {
    const facts = new Map([
      [M_GSO_TYPE, GSO_TCPV4],
      [M_GSO_SIZE, 1460],
      [M_HDR_LEN, 54],
    ])
    const frame = packet({ flags: 0, proto: 6, size: 40 + 2920 })
    const without = world(0)
    expect(without.tooBig(frame, facts)).toEqual(LOST)
    expect([without.executed.length, without.counted()]).toEqual([0, { uncut: 1 }])
    const { tooBig, executed, counted } = world(0, { segment: true })
    expect(tooBig(frame, facts)).toEqual([])
    expect(counted()).toEqual({ fragmented: 2, fragments: 4 })
    expect(together(executed.slice(0, 2)).length).toBe(16 + 54 + 1460)
    expect([...together(executed.slice(2)).subarray(16 + 54)]).toEqual([...frame.subarray(54 + 1460)])
  })

  it('is lost, and counted, when there is no slot for its parts', () => {
    const { tooBig, dpif, counted } = world(0)
    const { pool } = dpif
    const frame = packet({ flags: 0 })
    while (pool.smallFree + pool.bigFree > 1) pool.take(100)
    expect(tooBig(frame)).toEqual(LOST)
    expect(counted()).toEqual({ noSlot: 1 })
  })

  it('is lost, and counted, when something is wrong with us', () => {
    const { tooBig, layer, counted } = world(0)
    layer.entries.set(0, { ...layer.entries.get(0)!, header: new Uint8Array(49) })
    expect(tooBig(packet({ flags: 0 }))).toEqual(LOST)
    expect(counted()).toEqual({ errors: 1 })
  })
})

describe('an entry that has changed since', () => {
  it('is used once more when the packet fits, or has to wait', () => {
    const { tooBig, layer, counted } = world()
    const entry = layer.entries.get(0)!
    const again = [{ type: 'tnl_push', entry: 0 }]
    layer.entries.set(0, { ...entry, mtu: 1550 })
    expect(tooBig(packet())).toEqual(again)
    layer.entries.set(0, { ...entry, state: 'pending' })
    expect(tooBig(packet())).toEqual(again)
    expect(counted()).toEqual({ retried: 2 })
    layer.entries.delete(0)
    expect(tooBig(packet())).toEqual(LOST)
  })
})
