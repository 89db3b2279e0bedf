/** What every port must do (src/port/contract.ts). Run over memory ports here, over TAPs in the system tests. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type Arena,
  createArena,
  HEADROOM,
  M_BASE,
  M_FIRST_PIPE,
  M_LEN,
  M_OFF,
  M_PORT,
  META_WORDS,
  SlotPool,
} from '../../src/packet/slot.ts'
import {
  createPortStats,
  PORT_STAT_WORDS,
  type Port,
  PS_DROPS,
  PS_RX_BYTES,
  PS_RX_FRAMES,
  PS_RX_PACKETS,
  PS_TX_BYTES,
  PS_TX_FRAMES,
  PS_TX_PACKETS,
} from '../../src/port/contract.ts'
import { dropIndex } from '../../src/port/drop.ts'
import { RX_ROOM } from '../../src/port/thread-status.ts'
import { numbered } from '../pipeline/tiers/frames.ts'

export const NO = 5

/** A port with number NO and the far side of its link. */
export interface PortSubject {
  readonly port: Port
  /** The far side sends; resolves when the port has it. */
  send(frame: Uint8Array): Promise<void>
  /** Complete wire frames that the far side has got since the last call, at least `n`. */
  receive(n: number): Promise<Uint8Array[]>
  close(): Promise<void>
}

/** Frames told apart from what a kernel sends by itself. */
/** Each of a flow of its own, or a receiver may merge them. */
const frameOf = (n: number): Uint8Array => numbered(n, n)

export const portCompliance = (
  name: string,
  open: (arena: Arena, stats: Float64Array) => Promise<PortSubject>,
): void => {
  describe(`${name} as a port`, () => {
    let s: PortSubject
    let arena: Arena
    let pool: SlotPool
    let stats: Float64Array
    const out = new Int32Array(RX_ROOM)
    const stat = (at: number): number => stats[NO * PORT_STAT_WORDS + at]!

    beforeEach(async () => {
      arena = createArena(1, 8, 1)
      pool = new SlotPool(arena, 0)
      stats = createPortStats()
      s = await open(arena, stats)
    })
    afterEach(() => s.close())

    const frameIn = (slot: number): Uint8Array => {
      const off = arena.meta[slot * META_WORDS + M_OFF]!
      return arena.bytes.slice(off, off + arena.meta[slot * META_WORDS + M_LEN]!)
    }

    it('gives nothing when there is nothing', () => {
      expect(s.port.rx(pool, NO, out, 64)).toBe(0)
      expect([s.port.dead, pool.smallFree, pool.bigFree]).toEqual([false, 8, 1])
    })

    it('reads frames in order into fresh slots, stamped, with headroom and clean metadata', async () => {
      arena.meta.fill(-1, M_FIRST_PIPE, META_WORDS)
      for (let n = 0; n < 5; n++) await s.send(frameOf(n))
      expect(s.port.rx(pool, NO, out, 3)).toBe(3)
      expect(s.port.rx(pool, NO, out.subarray(3), 64)).toBe(2)
      for (let n = 0; n < 5; n++) {
        const m = out[n]! * META_WORDS
        expect(frameIn(out[n]!)).toEqual(frameOf(n))
        expect(arena.meta[m + M_PORT]).toBe(NO)
        expect(arena.meta[m + M_OFF]! - arena.meta[m + M_BASE]!).toBe(HEADROOM)
        expect([...arena.meta.subarray(m + M_FIRST_PIPE, m + META_WORDS)].every((w) => w === 0)).toBe(true)
      }
      expect(pool.smallFree).toBe(3)
      expect([stat(PS_RX_PACKETS), stat(PS_RX_FRAMES), stat(PS_RX_BYTES)]).toEqual([5, 5, 5 * frameOf(0).length])
    })

    it('counts frames for which there is no slot, or leaves them until there is one', async () => {
      for (let n = 0; n < 12; n++) await s.send(frameOf(n))
      let n = s.port.rx(pool, NO, out, 64)
      expect(n).toBeGreaterThanOrEqual(8)
      expect(s.port.rx(pool, NO, out.subarray(64), 64)).toBe(0)
      for (let i = 0; i < n; i++) pool.give(out[i]!)
      n += s.port.rx(pool, NO, out, 64)
      expect(n + stat(PS_DROPS + dropIndex('rx-no-slot'))).toBe(12)
    })

    it('writes frames in order, leaving the slots as they were', async () => {
      for (let n = 0; n < 5; n++) await s.send(frameOf(n))
      s.port.rx(pool, NO, out, 64)
      const before = arena.meta.slice()
      s.port.tx(out, 1, 3)
      expect(await s.receive(3)).toEqual([frameOf(1), frameOf(2), frameOf(3)])
      expect(arena.meta).toEqual(before)
      expect([stat(PS_TX_PACKETS), stat(PS_TX_FRAMES), stat(PS_TX_BYTES)]).toEqual([3, 3, 3 * frameOf(0).length])
    })
  })
}
