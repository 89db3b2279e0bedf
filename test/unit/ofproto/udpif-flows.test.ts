import { describe, expect, it } from 'vitest'
import { createMatch, K_IN_PORT, type Match } from '../../../src/flow/key.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { CachedFlows, equalActions } from '../../../src/ofproto/udpif-flows.ts'
import { ufidOf } from '../../../src/ofproto/ufid.ts'
import { FakeDpif } from '../../pipeline/ofproto/fake-dpif.ts'

const onPort = (port: number): Match => {
  const match = createMatch()
  match.key[K_IN_PORT] = port
  match.mask[K_IN_PORT] = -1
  return match
}

const parts = (port: number, actions: readonly OdpAction[] = []) => ({
  match: onPort(port),
  actions,
  effects: [],
  version: 0,
})

describe('cached flows', () => {
  it('leaves a flow alone whose name another match turns out to have', () => {
    const dpif = new FakeDpif(new ManualClock())
    const flows = new CachedFlows(dpif, { hold: () => {}, release: () => {} }, () => 'always the same')
    expect(flows.install(parts(1, [{ type: 'output', port: 2 }]), 1)).toBe('new')
    expect(flows.install(parts(2, [{ type: 'output', port: 3 }]), 1)).toBe('collision')
    expect(flows.install(parts(1, [{ type: 'output', port: 4 }]), 1)).toBe('known')
    expect(dpif.flows().map(({ actions }) => actions)).toEqual([[{ type: 'output', port: 4 }]])
  })
})

describe('names', () => {
  it('tell keys, masks and words apart', () => {
    const names = new Set<string>()
    for (let word = 0; word < 59; word++) {
      for (let bit = 0; bit < 32; bit++) {
        for (const value of [0, 1 << bit]) {
          const match = createMatch()
          match.mask[word] = 1 << bit
          match.key[word] = value
          names.add(ufidOf(match))
        }
      }
    }
    expect(names.size).toBe(59 * 32 * 2)
  })

  it('do not depend on what is outside of the mask', () => {
    const match = onPort(1)
    const other = onPort(1)
    other.key[30] = 5
    expect(ufidOf(match)).toBe(ufidOf(other))
  })
})

describe('equality of actions', () => {
  it('goes by value and order', () => {
    const set = (value: number): OdpAction => ({ type: 'set', header: 'eth', words: [{ word: 1, value, mask: -1 }] })
    const out: OdpAction = { type: 'output', port: 1 }
    expect(equalActions([set(1), out], [set(1), out])).toBe(true)
    expect(equalActions([set(1), out], [set(2), out])).toBe(false)
    expect(equalActions([set(1), out], [out, set(1)])).toBe(false)
    expect(equalActions([out], [out, out])).toBe(false)
    expect(equalActions([{ type: 'clone', actions: [out] }], [{ type: 'clone', actions: [] }])).toBe(false)
  })
})
