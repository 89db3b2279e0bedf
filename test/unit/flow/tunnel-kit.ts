/** Tunnel entries and outer frames for tests, built from fields; and one slot with an interpreter around it that keeps what comes out. */
import fc from 'fast-check'
import { ENCAP_CSUM, ENCAP_DF, type EncapEntry } from '../../../src/flow/encap.ts'
import { encapRow } from '../../../src/flow/encap-table.ts'
import { type ExecuteSink, Executor } from '../../../src/flow/execute.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { compileActions } from '../../../src/flow/program.ts'
import {
  type Arena,
  createArena,
  M_CSUM_OFF,
  M_CSUM_START,
  M_LEN,
  M_OFF,
  M_PORT,
  M_VFLAGS,
  META_WORDS,
  SlotPool,
  VNET_F_NEEDS_CSUM,
} from '../../../src/packet/slot.ts'
import { build, type FrameFields, sum } from '../../pipeline/tiers/frames.ts'

export interface Outer {
  version: 4 | 6
  vni: number
  dstPort: number
  tos: number
  ttl: number
  df: boolean
  csum: boolean
}

export const OUTER: Outer = { version: 4, vni: 0x123456, dstPort: 4789, tos: 0, ttl: 64, df: true, csum: false }
export const LOCAL4 = '192.168.0.1'
export const PEER4 = '192.168.0.2'
export const LOCAL6 = 'fd00::1'
export const PEER6 = 'fd00::2'

/** The outer frame around `inner`, complete, with every checksum computed over the whole. */
export const wrap = (
  outer: Outer,
  inner: readonly number[],
  sourcePort: number,
  more: { id?: number; flags?: number; reserved?: number; frag?: number } = {},
): number[] => {
  const { vni } = outer
  const reserved = more.reserved ?? 0
  const vxlan = [more.flags ?? 8, reserved, reserved, reserved, vni >> 16, (vni >> 8) & 255, vni & 255, reserved]
  return [
    ...build({
      dst: '02:aa:00:00:00:02',
      src: '02:aa:00:00:00:01',
      ...(outer.version === 4
        ? {
            ip: {
              src: LOCAL4,
              dst: PEER4,
              tos: outer.tos,
              ttl: outer.ttl,
              id: more.id ?? 0,
              frag: more.frag ?? (outer.df ? 0x4000 : 0),
            },
          }
        : { ip6: { src: LOCAL6, dst: PEER6, tclass: outer.tos, hops: outer.ttl } }),
      udp: { src: sourcePort, dst: outer.dstPort, zero: !outer.csum },
      payload: [...vxlan, ...inner],
    }),
  ]
}

const address = (text: string, version: 4 | 6): Uint8Array =>
  version === 4
    ? Uint8Array.from(text.split('.').map(Number))
    : Uint8Array.from([0xfd, 0, ...new Array<number>(13).fill(0), Number(text.at(-1))])

/** An entry that sends to port 7, as the tunnel layer would make it. */
export const entryOf = (outer: Outer, more: Partial<EncapEntry> = {}): EncapEntry => {
  const header = Uint8Array.from(wrap(outer, [], 0)).slice(0, outer.version === 4 ? 50 : 70)
  const udp = header.length - 16
  if (outer.version === 4) for (const at of [16, 17, 24, 25]) header[at] = 0
  else for (const at of [18, 19]) header[at] = 0
  for (const at of [0, 1, 4, 5, 6, 7]) header[udp + at] = 0
  return {
    id: 3,
    state: 'ready',
    reason: 'valid',
    detail: '',
    lost: 0,
    nextHop: 11,
    flags: (outer.csum ? ENCAP_CSUM : 0) | (outer.df && outer.version === 4 ? ENCAP_DF : 0),
    version: outer.version,
    header,
    mtu: 0,
    actions: [{ type: 'output', port: 7 }],
    peer: address(outer.version === 4 ? PEER4 : PEER6, outer.version),
    local: address(outer.version === 4 ? LOCAL4 : LOCAL6, outer.version),
    tunnelPort: 4,
    underlayPort: 2,
    generation: 1,
    ...more,
  }
}

/** What became of a frame: 'out' with a port, 'wait' with a next hop, 'big' with an entry, 'lost' with LOST_*. */
export interface Fate {
  what: 'out' | 'recirc' | 'lost' | 'wait' | 'big' | 'reenter'
  value: number
  data: number[]
  /** The slot's metadata. */
  meta: Int32Array
}

export class Bench implements ExecuteSink {
  readonly arena: Arena = createArena(1, 8, 2)
  readonly pool = new SlotPool(this.arena, 0)
  readonly executor = new Executor(this.arena, this)
  fates: Fate[] = []
  noCopies = 0

  put(...entries: EncapEntry[]): this {
    for (const entry of entries) this.executor.encaps.put(encapRow(entry))
    return this
  }

  /** A slot with the frame; `words`: metadata, everything else zero. */
  load(frame: ArrayLike<number>, words: Record<number, number> = {}): number {
    const slot = this.pool.take(frame.length)
    const { meta, bytes } = this.arena
    const m = slot * META_WORDS
    bytes.set(frame, meta[m + M_OFF]!)
    meta.fill(0, m + M_LEN, m + META_WORDS)
    meta[m + M_LEN] = frame.length
    meta[m + M_PORT] = 1
    for (const [word, value] of Object.entries(words)) meta[m + Number(word)] = value
    return slot
  }

  /** Runs the actions on the frame; all fates, oldest first. */
  run(frame: ArrayLike<number>, actions: readonly OdpAction[], words: Record<number, number> = {}): Fate[] {
    this.fates = []
    this.executor.run(compileActions(actions), this.load(frame, words))
    return this.fates
  }

  frameOf(slot: number): number[] {
    const { meta, bytes } = this.arena
    const off = meta[slot * META_WORDS + M_OFF]!
    return [...bytes.subarray(off, off + meta[slot * META_WORDS + M_LEN]!)]
  }

  metaOf(slot: number): Int32Array {
    return this.arena.meta.slice(slot * META_WORDS, (slot + 1) * META_WORDS)
  }

  #end(what: Fate['what'], slot: number, value: number): void {
    this.fates.push({ what, value, data: this.frameOf(slot), meta: this.metaOf(slot) })
    this.pool.give(slot)
    // The next user of the slot must not see this frame's place.
    this.arena.meta[slot * META_WORDS + M_OFF] = this.arena.meta[slot * META_WORDS]! + 192
  }

  emit(slot: number, port: number): void {
    this.#end('out', slot, port)
  }
  recirc(slot: number, id: number): void {
    this.#end('recirc', slot, id)
  }
  lost(slot: number, why: number): void {
    this.#end('lost', slot, why)
  }
  encapWait(slot: number, _entry: number, nextHop: number): void {
    this.#end('wait', slot, nextHop)
  }
  tooBig(slot: number, entry: number): void {
    this.#end('big', slot, entry)
  }
  reenter(slot: number): void {
    this.#end('reenter', slot, this.arena.meta[slot * META_WORDS + M_PORT]!)
  }
  copy(slot: number): number {
    return this.pool.copy(slot)
  }
  noCopy(): void {
    this.noCopies++
  }
}

/** The frame as it is on the wire when the partial checksum that its facts speak of is completed. */
export const completed = (fate: Pick<Fate, 'data' | 'meta'>): number[] => {
  const data = [...fate.data]
  if ((fate.meta[M_VFLAGS]! & VNET_F_NEEDS_CSUM) === 0) return data
  const start = fate.meta[M_CSUM_START]!
  const at = start + fate.meta[M_CSUM_OFF]!
  const value = ~sum(data.slice(start)) & 0xffff || (fate.meta[M_CSUM_OFF] === 6 ? 0xffff : 0)
  data[at] = value >> 8
  data[at + 1] = value & 255
  return data
}

export const be16At = (data: readonly number[], at: number): number => data[at]! * 256 + data[at + 1]!

/** A packet to be encapsulated. */
export const TCP4: FrameFields = {
  dst: '02:00:00:00:00:02',
  src: '02:00:00:00:00:01',
  ip: { src: '10.0.0.1', dst: '10.0.0.2', tos: 0x2e, ttl: 17 },
  tcp: { src: 1, dst: 2 },
  payload: [1, 2, 3],
}

/** Pushes the headers of entryOf's entry. */
export const PUSH = [{ type: 'tnl_push', entry: 3 } as const]

export const outers: fc.Arbitrary<Outer> = fc.record({
  version: fc.constantFrom(4 as const, 6 as const),
  vni: fc.nat(0xffffff),
  dstPort: fc.nat(0xffff),
  tos: fc.nat(0xff),
  ttl: fc.integer({ min: 1, max: 255 }),
  df: fc.boolean(),
  csum: fc.boolean(),
})

/** Where the outer UDP header is. */
const udpAt = (outer: Outer): number => (outer.version === 4 ? 34 : 54)
/** What the pushed frame's own choices were: source port and identification. */
export const choices = (outer: Outer, data: readonly number[]): { port: number; id: number } => ({
  port: be16At(data, udpAt(outer)),
  id: outer.version === 4 ? be16At(data, 18) : 0,
})
