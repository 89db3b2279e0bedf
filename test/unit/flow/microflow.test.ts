import { describe, expect, it } from 'vitest'
import {
  createKey,
  FRAG_ANY,
  K_IN_PORT,
  K_NW,
  K_NW_SRC,
  K_TP,
  K_TUN_DST,
  K_TUN_ID,
  K_TUN_SRC,
  K_TUN_TP,
} from '../../../src/flow/key.ts'
import { microflow } from '../../../src/flow/microflow.ts'

const of = (words: Record<number, number>): number => {
  const key = createKey()
  key[K_IN_PORT] = 4
  key[K_NW] = 6 << 24
  for (const [word, value] of Object.entries(words)) key[Number(word)] = value
  return microflow(key)
}

describe('microflow', () => {
  it('tells tunnels apart by VNI and any part of the peer, and by our address', () => {
    const all = [
      of({}),
      of({ [K_TUN_ID + 1]: 5 }),
      of({ [K_TUN_ID + 1]: 6 }),
      ...[0, 1, 2, 3].map((i) => of({ [K_TUN_SRC + i]: 7 })),
      of({ [K_TUN_DST + 3]: 8 }),
      of({ [K_NW_SRC]: 9 }),
    ]
    expect(new Set(all).size).toBe(all.length)
    expect(of({ [K_TUN_TP]: 5 })).toBe(of({}))
  })

  it('does not look at the ports of fragments', () => {
    expect(of({ [K_TP]: 5 })).not.toBe(of({}))
    const fragment = (6 << 24) | FRAG_ANY
    expect(of({ [K_NW]: fragment, [K_TP]: 5 })).toBe(of({ [K_NW]: fragment }))
  })
})
