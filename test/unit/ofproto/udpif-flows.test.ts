import { describe, expect, it } from 'vitest'
import { createMatch, K_IN_PORT, K_NW_DST, K_NW_SRC, K_TP, type Match } from '../../../src/flow/key.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { CachedFlows, equalActions } from '../../../src/ofproto/udpif-flows.ts'
import { Namer, ufidOf } from '../../../src/ofproto/ufid.ts'
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
    const flows = new CachedFlows(dpif, { hold: () => {}, release: () => {} }, { name: (_, out) => out.fill(7) })
    expect(flows.install(parts(1, [{ type: 'output', port: 2 }]), 1)).toBe('new')
    expect(flows.install(parts(2, [{ type: 'output', port: 3 }]), 1)).toBe('collision')
    expect(flows.install(parts(1, [{ type: 'output', port: 4 }]), 1)).toBe('known')
    expect(dpif.flows().map(({ actions }) => actions)).toEqual([[{ type: 'output', port: 4 }]])
  })

  it('knows what is there, and nothing that has gone', () => {
    const dpif = new FakeDpif(new ManualClock())
    // Made for fewer: the limit is raised later.
    dpif.flowLimit = 10
    const flows = new CachedFlows(dpif, { hold: () => {}, release: () => {} })
    const ports = Array.from({ length: 5000 }, (_, port) => port)
    dpif.flowLimit = ports.length
    for (const port of ports) expect(flows.install(parts(port), 1)).toBe('new')
    for (const flow of [...flows.values()]) if (flow.match.key[K_IN_PORT]! % 2 === 0) flows.remove(flow)
    expect(flows.size).toBe(2500)
    expect([...flows.values()].map(({ ufid }) => ufid)).toEqual(
      ports.filter((port) => port % 2 === 1).map((port) => ufidOf(onPort(port))),
    )
    expect(ports.map((port) => flows.install(parts(port), 1))).toEqual(
      ports.map((port) => (port % 2 === 0 ? 'new' : 'known')),
    )
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

describe('words of names', () => {
  it('are the same whatever was named before', () => {
    const namer = new Namer()
    const named = new Int32Array(4)
    const afresh = new Int32Array(4)
    for (const port of [1, 2, 1]) {
      namer.name(onPort(port), named)
      new Namer().name(onPort(port), afresh)
      expect(named).toEqual(afresh)
    }
  })

  it('are what the text says', () => {
    const name = new Int32Array(4)
    new Namer().name(onPort(1), name)
    const digits = Array.from(name, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
    expect(ufidOf(onPort(1))).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    expect(ufidOf(onPort(1)).replaceAll('-', '')).toBe(digits)
  })

  it('are spread evenly for addresses and ports that count up', () => {
    const flows = 1 << 16
    const mask = createMatch().mask
    for (const word of [K_IN_PORT, K_NW_SRC, K_NW_DST, K_TP]) mask[word] = -1
    const namer = new Namer()
    const out = new Int32Array(4)
    const words = [0, 1, 2, 3].map(() => new Set<number>())
    const flips = new Int32Array(4 * 32)
    let before = new Int32Array(4)
    for (let n = 0; n < flows; n++) {
      const { key } = createMatch()
      key[K_NW_SRC] = 0x0a000001 + (n & 0xff)
      key[K_TP] = (n >>> 8) << 16
      namer.name({ key, mask }, out)
      for (const [i, word] of out.entries()) {
        words[i]!.add(word)
        for (let bit = 0; bit < 32; bit++) if (((word ^ before[i]!) >>> bit) & 1) flips[i * 32 + bit]!++
      }
      before = out.slice()
    }
    // By chance one pair of them has a word in common.
    for (const { size } of words) expect(size).toBeGreaterThan(flows - 10)
    for (const n of flips) expect(Math.abs(n / flows - 0.5)).toBeLessThan(0.02)
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
