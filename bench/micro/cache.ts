/**
 * What one frame costs in the JavaScript of a tier, without I/O: extraction, look-up, action. Prints nanoseconds a frame. Run:
 * `node --import ./scripts/typescript.mjs bench/micro/cache.ts [--smoke]`
 */
import { FlowCache } from '../../src/flow/cache.ts'
import { type ExecuteSink, Executor } from '../../src/flow/execute.ts'
import { extractFrame } from '../../src/flow/extract-frame.ts'
import { createKey, createMatch, K_IN_PORT, K_NW_DST, K_TP } from '../../src/flow/key.ts'
import { compileActions } from '../../src/flow/program.ts'
import { createArena, M_LEN, M_OFF, META_WORDS, SlotPool } from '../../src/packet/slot.ts'
import { numbered } from '../../test/pipeline/tiers/frames.ts'

const FRAMES = process.argv.includes('--smoke') ? 10_000 : 2_000_000
const SLOTS = 256

const arena = createArena(1, SLOTS, 0)
const pool = new SlotPool(arena, 0)
const key = createKey()

/** Slots with frames of `flows` microflows. */
const fill = (flows: number): Int32Array => {
  pool.reset()
  return Int32Array.from({ length: SLOTS }, (_, i) => {
    const frame = numbered(i % flows, i)
    const slot = pool.take(frame.length)
    const m = slot * META_WORDS
    arena.bytes.set(frame, arena.meta[m + M_OFF]!)
    arena.meta.fill(0, m + M_LEN, m + META_WORDS)
    arena.meta[m + M_LEN] = frame.length
    return slot
  })
}

const report = (name: string, frame: (slot: number) => void, slots: Int32Array): void => {
  const run = (n: number): number => {
    const start = process.hrtime.bigint()
    for (let i = 0; i < n; i++) frame(slots[i & (SLOTS - 1)]!)
    return Number(process.hrtime.bigint() - start) / n
  }
  run(Math.min(FRAMES, 200_000))
  const best = Math.min(run(FRAMES / 4), run(FRAMES / 4), run(FRAMES / 4), run(FRAMES / 4))
  console.log(`${name.padEnd(60)} ${best.toFixed(0).padStart(6)} ns`)
}

const matchOn = (words: number[], values: number[]) => {
  const match = createMatch()
  words.forEach((w, i) => {
    match.mask[w] = -1
    match.key[w] = values[i]!
  })
  return match
}

let emitted = 0
const sink: ExecuteSink = {
  emit: () => void emitted++,
  recirc: () => {},
  lost: () => {},
  copy: () => -1,
  noCopy: () => {},
  encapWait: () => {},
  tooBig: () => {},
  reenter: () => {},
}
const executor = new Executor(arena, sink)
const program = compileActions([{ type: 'output', port: 2 }])

for (const flows of [1, 64]) {
  const slots = fill(flows)
  const cache = new FlowCache()
  const match = matchOn([K_IN_PORT], [0])
  cache.put(0, match.mask, match.key)
  report(`extract, ${flows} microflows`, (slot) => extractFrame(arena, slot, key), slots)
  report(
    `extract, exact-match cache, output, ${flows} microflows`,
    (slot) => {
      extractFrame(arena, slot, key)
      if (cache.lookup(key) === 0) executor.run(program, slot)
    },
    slots,
  )
}

for (const masks of [1, 8, 32]) {
  const slots = fill(64)
  // So small a cache that nearly every look-up goes on to the megaflows.
  const cache = new FlowCache(undefined, 4)
  for (let i = 0; i < masks; i++) {
    const match = matchOn([K_IN_PORT, K_NW_DST, K_TP], [i === masks - 1 ? 0 : 99, 0x0a000002, 0])
    match.mask[K_TP] = i === masks - 1 ? 0 : 1 << i
    cache.put(i, match.mask, match.key)
  }
  report(
    `extract, megaflow behind ${masks} masks, 64 microflows`,
    (slot) => {
      extractFrame(arena, slot, key)
      cache.lookup(key)
    },
    slots,
  )
}
