/** Wherever a frame lies in memory, its outer headers are the same. */
import { expect, it } from 'vitest'
import { TUNNEL_OK } from '../../../src/flow/execute.ts'
import { M_OFF, META_WORDS } from '../../../src/packet/slot.ts'
import { build } from '../../pipeline/tiers/frames.ts'
import { Bench, entryOf, OUTER, wrap } from './tunnel-kit.ts'

const frame = build({
  dst: '02:00:00:00:00:02',
  src: '02:00:00:00:00:01',
  ip: { src: '10.0.0.1', dst: '10.0.0.2' },
  udp: { src: 53, dst: 53 },
  payload: [1, 2, 3],
})

for (const version of [4, 6] as const)
  for (const place of [0, 1, 2, 3])
    it(`over IPv${version}, ${place} bytes behind a word`, () => {
      const outer = { ...OUTER, version }
      const bench = new Bench().put(entryOf(outer))
      const slot = bench.load(frame)
      const { bytes, meta } = bench.arena
      const off = meta[slot * META_WORDS + M_OFF]! + place
      bytes.set(frame, off)
      meta[slot * META_WORDS + M_OFF] = off
      const before = bytes.slice()
      expect(bench.executor.encapInto(slot, 3)).toBe(TUNNEL_OK)
      const pushed = bench.frameOf(slot)
      const sourcePort = pushed.slice(version === 4 ? 34 : 54).slice(0, 2)
      expect(pushed).toEqual([...wrap(outer, [...frame], sourcePort[0]! * 256 + sourcePort[1]!)])
      // Nothing else was written.
      const start = meta[slot * META_WORDS + M_OFF]!
      before.set(pushed, start)
      expect(Buffer.from(bytes.buffer).equals(Buffer.from(before))).toBe(true)
    })
