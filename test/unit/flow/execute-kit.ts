/** Runs actions on one frame, and keeps what comes out. */
import { expect } from 'vitest'
import { type ExecuteSink, Executor } from '../../../src/flow/execute.ts'
import type { OdpAction, SetHeader, SetWord } from '../../../src/flow/odp.ts'
import { compileActions } from '../../../src/flow/program.ts'
import { createArena, M_LEN, M_OFF, M_PORT, META_WORDS, SlotPool } from '../../../src/packet/slot.ts'

export interface Result {
  out: { port: number; data: Uint8Array; meta: Int32Array }[]
  recirc: number[]
  lost: number[]
  noCopy: number
}

/** Runs actions on a frame; checks that no slot is lost. */
export const execute = (
  frame: Uint8Array,
  actions: readonly OdpAction[],
  vnet: Record<number, number> = {},
  slots = 32,
): Result => {
  const arena = createArena(1, slots, 0)
  const pool = new SlotPool(arena, 0)
  const result: Result = { out: [], recirc: [], lost: [], noCopy: 0 }
  const take = (slot: number): { data: Uint8Array; meta: Int32Array } => {
    const m = slot * META_WORDS
    const off = arena.meta[m + M_OFF]!
    const taken = {
      data: arena.bytes.slice(off, off + arena.meta[m + M_LEN]!),
      meta: arena.meta.slice(m, m + META_WORDS),
    }
    pool.give(slot)
    return taken
  }
  const sink: ExecuteSink = {
    emit: (slot, port) => void result.out.push({ port, ...take(slot) }),
    recirc: (slot, id) => {
      take(slot)
      result.recirc.push(id)
    },
    lost: (slot, why) => {
      take(slot)
      result.lost.push(why)
    },
    copy: (slot) => pool.copy(slot),
    noCopy: () => void result.noCopy++,
    encapWait: take,
    tooBig: take,
    reenter: take,
  }
  const slot = pool.take(frame.length)
  const m = slot * META_WORDS
  arena.bytes.set(frame, arena.meta[m + M_OFF]!)
  arena.meta.fill(0, m + M_LEN, m + META_WORDS)
  arena.meta[m + M_LEN] = frame.length
  arena.meta[m + M_PORT] = 1
  for (const [word, value] of Object.entries(vnet)) arena.meta[m + Number(word)] = value
  new Executor(arena, sink).run(compileActions(actions), slot)
  expect(pool.smallFree).toBe(slots)
  return result
}

export const set = (header: SetHeader, ...words: [word: number, value: number, mask?: number][]): OdpAction => ({
  type: 'set',
  header,
  words: words.map(([word, value, mask = -1]): SetWord => ({ word, value: (value & mask) | 0, mask: mask | 0 })),
})
export const out: OdpAction = { type: 'output', port: 7 }
