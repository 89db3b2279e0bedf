/** txBatch onto files and pipes: what it writes for which device, and how it counts. */
import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  KIND_TAP,
  native,
  TX_ERRNO,
  TX_ERROR,
  TX_FULL,
  TX_MALFORMED,
  TX_RESULT_WORDS,
  TX_WRITES,
  type TxContext,
} from '../../../src/native/binding.ts'
import { GSO_ECN, M_HDR_LEN, M_LEN, META_WORDS, setTunnelPorts } from '../../../src/packet/slot.ts'
import { arena, get, NO_FACTS, put } from './slot.ts'
import { build, type Shape, shapes } from './super-frame.ts'
import { type Facts, twinSegment } from './twin.ts'

const CSUM = 1
const TSO4 = 2
const TSO6 = 4
const TSO_ECN = 8
const USO4 = 0x20
const USO6 = 0x40
const TUNNEL = 0x80
const TUNNEL_CSUM = 0x100
const ALL = CSUM | TSO4 | TSO6 | TSO_ECN | USO4 | USO6 | TUNNEL | TUNNEL_CSUM

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tapswitch-tx-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Device {
  vnetHdr: number
  offloads: number
}

const result = new Int32Array(TX_RESULT_WORDS)

const open = (fd: number, device: Device, slots: ArrayLike<number>): TxContext =>
  native.txOpen(
    ...([fd, KIND_TAP, device.vnetHdr, device.offloads] as const),
    ...([arena.bytes, arena.meta, Int32Array.from(slots), result, arena.tunnels] as const),
  )

const transmit = (fd: number, device: Device, slots: readonly number[]): void =>
  native.txBatch(open(fd, device, slots), 0, slots.length)

/** All bytes that the slots make on the device, one write behind the other. */
const written = (device: Device, ...slots: readonly number[]): number[] => {
  const path = join(folder, 'written')
  const fd = openSync(path, 'w')
  try {
    transmit(fd, device, slots)
  } finally {
    closeSync(fd)
  }
  return [...readFileSync(path)]
}

const le16 = (value: number): number[] => [value & 0xff, value >> 8]

const header = (size: number, facts: Facts, hdrLen = 0): number[] =>
  [
    ...[facts.flags, facts.gsoType, ...le16(hdrLen), ...le16(facts.gsoSize)],
    ...[...le16(facts.csumStart), ...le16(facts.csumOff), ...new Array<number>(10).fill(0)],
    ...[...le16(facts.outerTh), ...le16(facts.innerNh)],
  ].slice(0, size)

/** What software makes of it: each wire frame behind a header of zeros. */
const cut = (size: number, frame: number[], facts: Facts): number[] =>
  twinSegment(frame, facts)!.flatMap((piece) => [...header(size, NO_FACTS), ...piece])

const tcp4: Shape = {
  vlans: 0,
  tunnel: null,
  ip: { version: 4, extra: 0, id: 7 },
  tcp: true,
  tcpOptions: 3,
  tcpFlags: 0x18,
  seq: 1,
  gsoSize: 100,
  payload: Array.from({ length: 350 }, (_, i) => i & 0xff),
}
const six = { version: 6, extra: 0, id: 0 } as const
const four = { version: 4, extra: 0, id: 9 } as const

describe('a frame that needs an offload', () => {
  const partial = { ...build(tcp4).facts, gsoType: 0, gsoSize: 0 }
  const cases: [string, number[], Facts, number][] = [
    ['partial checksum', build(tcp4).frame, partial, CSUM],
    ['TCP over IPv4', ...of(tcp4), CSUM | TSO4],
    ['TCP over IPv6', ...of({ ...tcp4, ip: six }), CSUM | TSO6],
    ['TCP with ECN', ...ecn(tcp4), CSUM | TSO4 | TSO_ECN],
    ['UDP over IPv4', ...of({ ...tcp4, tcp: false }), CSUM | USO4],
    ['UDP over IPv6, tagged', ...of({ ...tcp4, tcp: false, ip: six, vlans: 2 }), CSUM | USO6],
    ['tunnel', ...of({ ...tcp4, tunnel: { ip: six, csum: false } }), CSUM | TSO4 | TUNNEL],
    ['tunnel, checksum', ...of({ ...tcp4, tunnel: { ip: four, csum: true } }), CSUM | TSO4 | TUNNEL | TUNNEL_CSUM],
    [
      'UDP in a tunnel',
      ...of({ ...tcp4, tcp: false, ip: six, tunnel: { ip: four, csum: false } }),
      CSUM | USO6 | TUNNEL,
    ],
  ]

  function of(shape: Shape): [number[], Facts] {
    const { frame, facts } = build(shape)
    return [frame, facts]
  }
  function ecn(shape: Shape): [number[], Facts] {
    const [frame, facts] = of(shape)
    return [frame, { ...facts, gsoType: facts.gsoType | GSO_ECN }]
  }

  it.each(cases)('%s: goes as it is where the device has exactly what it needs', (_, frame, facts, needs) => {
    const slot = put(1, frame, facts)
    expect(written({ vnetHdr: 24, offloads: needs }, slot)).toEqual([...header(24, facts), ...frame])
    expect(result[TX_WRITES]).toBe(1)
    expect(get(slot)).toEqual(frame)
  })

  it.each(cases)('%s: is made in software where any one of its offloads is missing', (_, frame, facts, needs) => {
    const slot = put(1, frame, facts)
    const wanted = cut(24, frame, facts)
    for (let bit = 1; bit <= needs; bit <<= 1) {
      if ((needs & bit) === 0) continue
      // With UDP segmentation, tunnelled segments would be packed (below).
      const packing = facts.outerTh > 0 ? USO4 | USO6 : 0
      expect(written({ vnetHdr: 24, offloads: ALL & ~bit & ~packing }, slot)).toEqual(wanted)
      expect(result[TX_WRITES]).toBe(twinSegment(frame, facts)!.length)
    }
    expect(get(slot)).toEqual(frame)
  })

  it.each([
    ['without a word for tunnels', CSUM | USO4, true],
    ['but for the other IP version', CSUM | USO6, false],
    ['but for checksums', USO4, false],
  ])('a tunnel with a checksum is packed where the device segments UDP, %s', (_, offloads, packs) => {
    const [frame, facts] = of({ ...tcp4, tunnel: { ip: four, csum: true } })
    const slot = put(1, frame, facts)
    const bytes = written({ vnetHdr: 12, offloads }, slot)
    if (!packs) {
      expect(bytes).toEqual(cut(12, frame, facts))
      return
    }
    expect(result[TX_WRITES]).toBe(1)
    const pieces = twinSegment(frame, facts)!
    const outer = facts.outerTh + 8
    const unit = pieces[0]!.length - outer
    expect(bytes.slice(0, 10)).toEqual(
      header(10, { ...NO_FACTS, flags: 1, gsoType: 5, gsoSize: unit, csumStart: facts.outerTh, csumOff: 6 }, outer),
    )
    // What is behind the outer header is what was behind those of the packets.
    expect(bytes.slice(12 + outer)).toEqual(pieces.flatMap((piece) => piece.slice(outer)))
    expect(get(slot)).toEqual(frame)
  })

  it.each(cases)('%s: is made in software where there is no virtio-net header', (_, frame, facts) => {
    expect(written({ vnetHdr: 0, offloads: ALL }, put(1, frame, facts))).toEqual(cut(0, frame, facts))
  })

  it('a tunnel needs the header that can tell of it', () => {
    const [frame, facts] = of({ ...tcp4, tunnel: { ip: four, csum: false } })
    expect(written({ vnetHdr: 12, offloads: ALL }, put(1, frame, facts))).toEqual(cut(12, frame, facts))
  })

  it('a tunnel goes whole only while its outer IP header can say how long it is', () => {
    for (const version of [4, 6] as const) {
      const shape: Shape = { ...tcp4, gsoSize: 1400, tunnel: { ip: { version, extra: 0, id: 9 }, csum: false } }
      const { headers } = build({ ...shape, payload: [] })
      for (const longer of [0, 1]) {
        const payload = new Array<number>(65535 + 14 - headers + longer).fill(3)
        const { frame, facts } = build({ ...shape, payload })
        written({ vnetHdr: 24, offloads: ALL }, put(1, frame, facts))
        expect(result[TX_WRITES]).toBe(longer === 0 ? 1 : Math.ceil(payload.length / 1400))
        expect(result[TX_MALFORMED]).toBe(0)
      }
    }
  })

  it('a super-frame with neither a partial nor a valid checksum is completed by us', () => {
    const { frame, facts } = build(tcp4)
    const none = { ...facts, flags: 0, csumStart: 0, csumOff: 0 }
    expect(written({ vnetHdr: 12, offloads: ALL }, put(1, frame, none))).toEqual(cut(12, frame, none))
    const valid = { ...none, flags: 2 }
    expect(written({ vnetHdr: 12, offloads: ALL }, put(1, frame, valid))).toEqual([...header(12, valid), ...frame])
  })

  it('any shape comes out of software as the twin has it', () => {
    fc.assert(
      fc.property(shapes, fc.constantFrom(0, 10, 12, 24), (shape, vnetHdr) => {
        const { frame, facts } = build(shape)
        expect(written({ vnetHdr, offloads: 0 }, put(1, frame, facts))).toEqual(cut(vnetHdr, frame, facts))
      }),
    )
  })
})

describe('short tunnelled packets of one flow that follow each other', () => {
  const { frame, facts } = build({ ...tcp4, tunnel: { ip: six, csum: true } })
  const packets = twinSegment(frame, facts)!
  const outer = facts.outerTh + 8
  const slots = (): number[] => packets.map((packet, i) => put(i + 1, packet))
  const device = { vnetHdr: 12, offloads: CSUM | USO6 }
  beforeEach(() => setTunnelPorts(arena, [4789]))
  afterEach(() => setTunnelPorts(arena, []))

  it('go as one where the device segments UDP', () => {
    const bytes = written(device, ...slots())
    expect([...result]).toEqual([1, 0, 0, 0, 0, 0, 0, 0])
    const gsoSize = packets[0]!.length - outer
    const wanted = { ...NO_FACTS, flags: 1, gsoType: 5, gsoSize, csumStart: facts.outerTh, csumOff: 6 }
    expect(bytes.slice(0, 10)).toEqual(header(10, wanted, outer))
    expect(bytes.slice(12 + outer)).toEqual(packets.flatMap((packet) => packet.slice(outer)))
    packets.forEach((packet, i) => {
      expect(get(i + 1)).toEqual(packet)
    })
  })

  it.each([
    ['UDP of the other IP version', CSUM | USO4],
    ['no checksums', USO6],
  ])('go one by one where it does %s', (_, offloads) => {
    const alone = packets.flatMap((packet) => [...header(12, NO_FACTS), ...packet])
    expect(written({ vnetHdr: 12, offloads }, ...slots())).toEqual(alone)
    expect(result[TX_WRITES]).toBe(packets.length)
  })

  it('go one by one to a port of no tunnel, as those of a guest do', () => {
    setTunnelPorts(arena, [4790])
    written(device, ...slots())
    expect(result[TX_WRITES]).toBe(packets.length)
  })

  it('do not wait for each other behind one of another flow', () => {
    const [one, two] = slots()
    written(device, one!, put(4, new Array(60).fill(9)), two!)
    expect(result[TX_WRITES]).toBe(3)
  })

  it('fail together', () => {
    const fd = openSync('/dev/full', 'w')
    transmit(fd, device, slots())
    closeSync(fd)
    expect([...result]).toEqual([0, 0, 0, packets.length, 28, 0, 0, 0])
  })
})

it('a length hint beyond the frame is cut, since the kernel refuses it', () => {
  const slot = put(1, new Array(60).fill(5))
  arena.meta[slot * META_WORDS + M_HDR_LEN] = 61
  expect(written({ vnetHdr: 10, offloads: 0 }, slot).slice(0, 10)).toEqual(header(10, NO_FACTS, 60))
  arena.meta[slot * META_WORDS + M_HDR_LEN] = 0
})

describe('counts', () => {
  const fine = new Array<number>(60).fill(9)

  it('drops malformed frames by count and sends the others', () => {
    const runt = put(1, new Array(13).fill(0))
    const bad = put(2, fine, { ...NO_FACTS, flags: 1, csumStart: 59 })
    const good = put(3, fine)
    const broken = put(4, fine, { ...build(tcp4).facts, gsoType: 3 })
    expect(written({ vnetHdr: 0, offloads: 0 }, runt, bad, good, broken, good)).toEqual([...fine, ...fine])
    expect([...result]).toEqual([2, 0, 3, 0, 0, 0, 0, 0])
  })

  it('does not follow metadata out of the arena', () => {
    const slot = put(1, fine)
    for (const length of [-1, 0x7fffffff, arena.bytes.length]) {
      arena.meta[slot * META_WORDS + M_LEN] = length
      expect(written({ vnetHdr: 0, offloads: 0 }, slot)).toEqual([])
      expect(result[TX_MALFORMED]).toBe(1)
    }
  })

  it('sends the part of the slots that was asked for', () => {
    const path = join(folder, 'part')
    const fd = openSync(path, 'w')
    const slots = Int32Array.of(-5, put(1, fine), put(2, fine.slice(1)), 99999)
    native.txBatch(open(fd, { vnetHdr: 0, offloads: 0 }, slots), 1, 2)
    closeSync(fd)
    expect(readFileSync(path)).toHaveLength(60 + 59)
  })

  it('tells a full queue from an error, and goes on', () => {
    const path = join(folder, 'pipe')
    execFileSync('mkfifo', [path])
    const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
    const slot = put(1, new Array(1000).fill(1))
    transmit(fd, { vnetHdr: 0, offloads: 0 }, new Array(100).fill(slot))
    closeSync(fd)
    expect(result[TX_WRITES]).toBeGreaterThan(10)
    expect(result[TX_WRITES]! + result[TX_FULL]!).toBe(100)
    expect(result[TX_FULL]).toBeGreaterThan(10)
    expect(result[TX_ERROR]).toBe(0)
  })

  it('keeps the last errno', () => {
    const fd = openSync('/dev/full', 'w')
    const { frame, facts } = build(tcp4)
    transmit(fd, { vnetHdr: 0, offloads: 0 }, [put(1, fine), put(2, frame, facts)])
    closeSync(fd)
    expect([...result]).toEqual([0, 0, 0, 2, 28, 0, 0, 0])
    transmit(fd, { vnetHdr: 0, offloads: 0 }, [1])
    expect([result[TX_ERROR], result[TX_ERRNO]]).toEqual([1, 9])
  })
})
