/**
 * What encapsulation and decapsulation cost a frame, in the interpreter alone: outer header on, outer header off. Prints nanoseconds a frame. Run:
 * `node --import ./scripts/typescript.mjs bench/micro/tunnel.ts [--smoke]`
 */
import { encapRow } from '../../src/flow/encap-table.ts'
import { type ExecuteSink, Executor, TUNNEL_OK } from '../../src/flow/execute.ts'
import { put16 } from '../../src/packet/bytes.ts'
import { checksum } from '../../src/packet/checksum.ts'
import {
  createArena,
  HEADROOM,
  M_BASE,
  M_CSUM_OFF,
  M_CSUM_START,
  M_LEN,
  M_OFF,
  M_VFLAGS,
  META_WORDS,
  SlotPool,
} from '../../src/packet/slot.ts'
import { build } from '../../test/pipeline/tiers/frames.ts'
import { entryOf, OUTER, type Outer } from '../../test/unit/flow/tunnel-kit.ts'

const FRAMES = process.argv.includes('--smoke') ? 10_000 : 2_000_000
const SLOTS = 256
const WORDS = META_WORDS - M_OFF

const arena = createArena(1, SLOTS, 0)
const { bytes, meta } = arena
const nothing = (): void => {}
const sink: ExecuteSink = {
  emit: nothing,
  recirc: nothing,
  lost: nothing,
  copy: () => -1,
  noCopy: nothing,
  encapWait: nothing,
  tooBig: nothing,
  reenter: nothing,
}
const executor = new Executor(arena, sink)

const ETH = { dst: '02:00:00:00:00:02', src: '02:00:00:00:00:01' }
const payload = new Array<number>(1400).fill(0x5a)
const tcp = (src: number) => ({ ...ETH, ip: { src: '10.0.0.1', dst: '10.0.0.2' }, tcp: { src, dst: 5201 }, payload })

/** `SLOTS` frames with a partial checksum or a complete one, and their metadata, to be put back after each turn. */
const fill = (partial: boolean): { slots: Int32Array; before: Int32Array } => {
  const pool = new SlotPool(arena, 0)
  const slots = Int32Array.from({ length: SLOTS }, (_, i) => {
    const frame = build(tcp(1000 + i), partial)
    const slot = pool.take(frame.length)
    const m = slot * META_WORDS
    meta[m + M_OFF] = meta[m + M_BASE]! + HEADROOM
    bytes.set(frame, meta[m + M_OFF]!)
    meta.fill(0, m + M_LEN, m + META_WORDS)
    meta[m + M_LEN] = frame.length
    if (partial) {
      meta[m + M_VFLAGS] = 1
      meta[m + M_CSUM_START] = 34
      meta[m + M_CSUM_OFF] = 16
    }
    return slot
  })
  return { slots, before: meta.slice() }
}

/** Nanoseconds of `turn`, beyond those of putting the metadata of `before` back. */
const measure = (slots: Int32Array, before: Int32Array, turn: (slot: number) => void): number => {
  const run = (n: number, act: (slot: number) => void): number => {
    // CPU time, for it hardly depends on who else runs.
    const start = process.cpuUsage()
    for (let i = 0; i < n; i++) {
      const slot = slots[i & (SLOTS - 1)]!
      const m = slot * META_WORDS + M_OFF
      for (let w = 0; w < WORDS; w++) meta[m + w] = before[m + w]!
      act(slot)
    }
    const used = process.cpuUsage(start)
    return ((used.user + used.system) * 1000) / n
  }
  const best = (act: (slot: number) => void): number => Math.min(...[1, 2, 3, 4].map(() => run(FRAMES / 4, act)))
  run(Math.min(FRAMES, 200_000), turn)
  return best(turn) - best(nothing)
}

const ns = (value: number): string => `${value.toFixed(0).padStart(5)} ns`

/** The pushed frames again, as they come from a wire: with a complete outer checksum. */
const complete = (slots: Int32Array): void => {
  for (const slot of slots) {
    const m = slot * META_WORDS
    const at = meta[m + M_OFF]! + meta[m + M_CSUM_START]!
    const sum = checksum(bytes, at, meta[m + M_OFF]! + meta[m + M_LEN]! - at)
    put16(bytes, at + meta[m + M_CSUM_OFF]!, sum || 0xffff)
    meta[m + M_VFLAGS] = 0
  }
}

for (const version of [4, 6] as const) {
  for (const csum of [false, true]) {
    for (const partial of [true, false]) {
      const outer: Outer = { ...OUTER, version, csum }
      executor.encaps.put(encapRow(entryOf(outer)))
      const { slots, before } = fill(partial)
      const what = `IPv${version}, ${csum ? 'outer checksum' : 'none'}, inner ${partial ? 'partial' : 'complete'}`
      const push = measure(slots, before, (slot) => executor.encapInto(slot, 3))
      const pushed = fill(partial)
      for (const slot of pushed.slots)
        if (executor.encapInto(slot, 3) !== TUNNEL_OK) throw new Error('a frame could not be encapsulated')
      const pushedMeta = meta.slice()
      const pop = (): number => measure(pushed.slots, meta.slice(), (slot) => executor.pop(slot, 4))
      const trusted = pop()
      let verified = ''
      if (csum && !partial) {
        meta.set(pushedMeta)
        complete(pushed.slots)
        verified = `   with the payload verified ${ns(pop())}`
      }
      console.log(`${what.padEnd(44)} push ${ns(push)}   pop ${ns(trusted)}${verified}`)
    }
  }
}
