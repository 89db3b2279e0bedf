/** Frames written to a descriptor, and read from it, in one call. */
import { expect } from 'vitest'
import {
  native,
  RX_BIG_USED,
  RX_RESULT_WORDS,
  RX_SMALL_USED,
  RX_SPARE,
  type RxContext,
  TX_RESULT_WORDS,
  TX_WRITES,
} from '../../../src/native/binding.ts'
import {
  type Arena,
  createArena,
  M_CSUM_OFF,
  M_CSUM_START,
  M_GSO_SIZE,
  M_GSO_TYPE,
  M_INNER_NH,
  M_LEN,
  M_OFF,
  M_OUTER_TH,
  M_VFLAGS,
  META_WORDS,
  SlotPool,
  setTunnelPorts,
} from '../../../src/packet/slot.ts'
import type { Facts } from '../../unit/native/twin.ts'
import type { Side } from './splice.ts'

/** Frames that one read may give. */
export const MOST = 256

/** Returns how many writes it took. */
export const send = (side: Side, frames: readonly (readonly [number[], Facts])[]): number => {
  const arena = createArena(1, 0, frames.length)
  setTunnelPorts(arena, [4789])
  frames.forEach(([frame, facts], slot) => {
    const m = slot * META_WORDS
    arena.bytes.set(frame, arena.meta[m + M_OFF]!)
    const words = [M_LEN, M_VFLAGS, M_GSO_TYPE, M_GSO_SIZE, M_CSUM_START, M_CSUM_OFF, M_OUTER_TH, M_INNER_NH]
    const values = [
      frame.length,
      facts.flags,
      facts.gsoType,
      facts.gsoSize,
      facts.csumStart,
      facts.csumOff,
      facts.outerTh,
      facts.innerNh,
    ]
    words.forEach((word, i) => {
      arena.meta[m + word] = values[i]!
    })
  })
  const slots = Int32Array.from(frames, (_, i) => i)
  const result = new Int32Array(TX_RESULT_WORDS)
  const context = native.txOpen(
    ...([side.fd, side.kind, side.vnetHdr, side.offloads] as const),
    ...([arena.bytes, arena.meta, slots, result, arena.tunnels] as const),
  )
  native.txBatch(context, 0, slots.length)
  expect([...result].slice(1, 5)).toEqual([0, 0, 0, 0])
  return result[TX_WRITES]!
}

export class Reader {
  readonly pool: SlotPool
  /** RX_* of the last read. */
  readonly result = new Int32Array(RX_RESULT_WORDS)
  readonly #out = new Int32Array(MOST + RX_SPARE)
  readonly #context: RxContext

  constructor(side: Side, arena: Arena) {
    this.pool = new SlotPool(arena, 0)
    this.#context = native.rxOpen(
      ...([side.fd, side.kind, side.vnetHdr, 1, arena.bytes, arena.meta, this.pool.smallStack] as const),
      ...([this.pool.bigStack, this.#out, this.result, arena.tunnels] as const),
    )
  }

  /** The slots of `max` frames at most. */
  read(max: number): number[] {
    const { pool, result } = this
    const n = native.rxBatch(this.#context, pool.smallFree, pool.bigFree, max)
    pool.smallFree -= result[RX_SMALL_USED]!
    pool.bigFree -= result[RX_BIG_USED]!
    return [...this.#out.subarray(0, n)]
  }
}
