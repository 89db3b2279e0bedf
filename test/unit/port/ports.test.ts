import { describe, expect, it } from 'vitest'
import {
  createArena,
  M_CSUM_OFF,
  M_CSUM_START,
  M_GSO_SIZE,
  M_GSO_TYPE,
  M_HDR_LEN,
  M_LEN,
  M_OFF,
  M_VFLAGS,
  META_WORDS,
  SlotPool,
} from '../../../src/packet/slot.ts'
import { type CapturedFrame, CapturePort, PcapBuffer } from '../../../src/port/capture.ts'
import { createPortStats, PORT_STAT_WORDS, PS_DROPS } from '../../../src/port/contract.ts'
import { dropIndex } from '../../../src/port/drop.ts'
import { FaultPort } from '../../../src/port/fault.ts'
import { MemoryPort } from '../../../src/port/memory.ts'
import { wireBytes, wireLargest, wirePackets } from '../../../src/port/stats.ts'
import { build, numbered } from '../../pipeline/tiers/frames.ts'

const arena = createArena(1, 64, 2)
const open = (): { port: MemoryPort; pool: SlotPool; stats: Float64Array } => {
  const stats = createPortStats()
  return { port: new MemoryPort('m', 1, arena, stats), pool: new SlotPool(arena, 0), stats }
}

describe('counting as on the wire', () => {
  const count = (meta: Record<number, number>, frame: Uint8Array): number[] => {
    const pool = new SlotPool(arena, 0)
    const slot = pool.take(frame.length)
    const m = slot * META_WORDS
    arena.bytes.set(frame, arena.meta[m + M_OFF]!)
    arena.meta.fill(0, m + M_LEN, m + META_WORDS)
    arena.meta[m + M_LEN] = frame.length
    for (const [word, value] of Object.entries(meta)) arena.meta[m + Number(word)] = value
    const packets = wirePackets(arena.bytes, arena.meta, slot)
    return [packets, wireBytes(arena.bytes, arena.meta, slot, packets), wireLargest(arena.bytes, arena.meta, slot)]
  }
  const tcp = build({
    dst: '02:00:00:00:00:02',
    src: '02:00:00:00:00:01',
    ip: { src: '1.1.1.1', dst: '2.2.2.2' },
    tcp: { src: 1, dst: 2 },
    payload: Array<number>(2500).fill(1),
  })
  const partial = { [M_VFLAGS]: 1, [M_CSUM_START]: 34, [M_CSUM_OFF]: 16 }

  it('takes a plain frame for one packet', () => {
    expect(count({}, tcp)).toEqual([1, 2554, 2554])
  })

  it('cuts a TCP super-frame, each piece with its headers', () => {
    expect(count({ ...partial, [M_GSO_TYPE]: 1, [M_GSO_SIZE]: 1000 }, tcp)).toEqual([3, 2554 + 2 * 54, 1054])
    expect(count({ ...partial, [M_GSO_TYPE]: 0x81, [M_GSO_SIZE]: 2500 }, tcp)).toEqual([1, 2554, 2554])
  })

  it('cuts a UDP super-frame', () => {
    expect(count({ ...partial, [M_GSO_TYPE]: 5, [M_GSO_SIZE]: 1256 }, tcp)).toEqual([2, 2554 + 42, 1298])
  })

  it('believes no offset that lies outside of the frame', () => {
    expect(count({ ...partial, [M_CSUM_START]: 60000, [M_GSO_TYPE]: 1, [M_GSO_SIZE]: 10 }, tcp)).toEqual([
      1, 2554, 2554,
    ])
    expect(count({ [M_HDR_LEN]: 60000, [M_GSO_TYPE]: 1, [M_GSO_SIZE]: 10 }, tcp)).toEqual([1, 2554, 2554])
    expect(count({ ...partial, [M_GSO_TYPE]: 1, [M_GSO_SIZE]: 0 }, tcp)).toEqual([1, 2554, 2554])
  })
})

describe('MemoryPort', () => {
  it('names what it cannot take', () => {
    const { port, pool, stats } = open()
    port.inject(new Uint8Array(13))
    port.inject(new Uint8Array(70_000))
    port.inject(new Uint8Array(60), { vflags: 1, csumStart: 50, csumOff: 16 })
    expect(port.rx(pool, 1, new Int32Array(8), 8)).toBe(0)
    for (const reason of ['rx-runt', 'rx-oversize', 'rx-bad-vnet'] as const)
      expect(stats[PORT_STAT_WORDS + PS_DROPS + dropIndex(reason)]).toBe(1)
    expect([pool.smallFree, pool.bigFree]).toEqual([64, 2])
  })

  it('is full when the test says so', () => {
    const { port, pool, stats } = open()
    const slots = new Int32Array(4)
    for (let i = 0; i < 4; i++) port.inject(numbered(0, i))
    port.rx(pool, 1, slots, 4)
    port.txRoom = 3
    port.tx(slots, 0, 4)
    expect([port.sent.length, stats[PORT_STAT_WORDS + PS_DROPS + dropIndex('tx-full')]]).toEqual([3, 1])
  })
})

describe('decorators', () => {
  it('capture shows both directions, cut to its length, and changes nothing', () => {
    const { port, pool } = open()
    const seen: CapturedFrame[] = []
    const capture = new CapturePort(port, arena, (frame) => void seen.push(frame), 20)
    const slots = new Int32Array(4)
    const frame = numbered(0, 1)
    port.inject(frame)
    capture.tx(slots, 0, capture.rx(pool, 1, slots, 4))
    expect(port.sent[0]!.data).toEqual(frame)
    expect(seen.map((f) => [f.direction, f.data.length, f.length])).toEqual([
      ['rx', 20, frame.length],
      ['tx', 20, frame.length],
    ])
  })

  it('a pcap buffer is bounded and counts what it misses', () => {
    const pcap = new PcapBuffer(24 + 16 + 46)
    const frame: CapturedFrame = { direction: 'rx', data: numbered(0, 1), length: 100, vflags: 0, gsoType: 0 }
    pcap.add(frame, 1234.5)
    pcap.add(frame, 1235)
    const view = new DataView(pcap.toBytes().buffer)
    expect([view.byteLength, pcap.missed]).toEqual([24 + 16 + 46, 1])
    expect([0, 20, 24, 28, 32, 36].map((at) => view.getUint32(at, true))).toEqual([0xa1b2c3d4, 1, 1, 234_500, 46, 100])
  })

  it('faults are the same for the same seed, and kept account of', () => {
    const run = (seed: number): [unknown, Uint8Array[]] => {
      const { port, pool } = open()
      const fault = new FaultPort(port, arena, { drop: 0.3, duplicate: 0.3, corrupt: 0.3 }, seed)
      const slots = new Int32Array(64)
      for (let i = 0; i < 60; i++) port.inject(numbered(0, i))
      const n = fault.rx(pool, 1, slots, 64)
      expect(n + fault.done.dropped).toBe(60)
      expect(pool.smallFree).toBe(64 - n)
      fault.tx(slots, 0, n)
      expect(port.sent.length).toBe(60 - fault.done.dropped + fault.done.duplicated)
      return [fault.done, port.sent.map((f) => f.data)]
    }
    expect(run(1)).toEqual(run(1))
    expect(run(1)).not.toEqual(run(2))
  })

  it('a failed port is dead', () => {
    const { port, pool } = open()
    const fault = new FaultPort(port, arena, {}, 1)
    port.inject(numbered(0, 0))
    fault.failed = true
    expect([fault.dead, fault.rx(pool, 1, new Int32Array(4), 4)]).toEqual([true, 0])
  })
})
