import { describe, expect, test } from 'vitest'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { ActionLists } from '../../../src/ofproto/action-lists.ts'
import type { Bundle } from '../../../src/ofproto/bundle.ts'
import { EffectLists } from '../../../src/ofproto/effect-lists.ts'
import type { Port } from '../../../src/ofproto/port.ts'
import type { SideEffect } from '../../../src/ofproto/translate/effects.ts'
import type { TunnelLayer } from '../../../src/tunnel/contract.ts'

describe('lists of actions', () => {
  const output = (port: number): OdpAction => ({ type: 'output', port })
  const push = (entry: number): OdpAction => ({ type: 'tnl_push', entry })

  test('of one output, or one tunnel header, are one', () => {
    const lists = new ActionLists()
    for (const of of [output, push]) {
      const first = lists.share([of(3)])
      expect(lists.share([of(3)])).toBe(first)
      expect(lists.share([of(4)])).not.toBe(first)
      expect(lists.share([of(4)])).toEqual([of(4)])
    }
  })

  test('of more stay what they are', () => {
    const lists = new ActionLists()
    for (const list of [[], [output(1), output(2)], [{ type: 'pop_vlan' } as const]])
      expect(lists.share(list)).toBe(list)
  })
})

describe('lists of side effects', () => {
  // Compared by identity, never looked into.
  const [layer, otherLayer] = [{}, {}] as unknown as readonly TunnelLayer[]
  const [port, otherPort] = [{}, {}] as unknown as readonly Port[]
  const [bundle, otherBundle] = [{}, {}] as unknown as readonly Bundle[]
  const learn = { type: 'learn', bundle: bundle!, mac: 0x020000000001, vlan: 0, gratArp: false } as const
  const encap = { type: 'encap', layer: layer!, entry: 5, port: port! } as const
  const decap = { type: 'decap', port: port! } as const
  const patch = { type: 'patch', tx: port!, rx: otherPort! } as const
  const all: readonly SideEffect[] = [learn, encap, decap, patch]
  const others: readonly SideEffect[] = [
    { ...learn, bundle: otherBundle! },
    { ...learn, mac: 0x020000000002 },
    { ...learn, vlan: 1 },
    { ...learn, gratArp: true },
    { ...encap, layer: otherLayer! },
    { ...encap, entry: 6 },
    { ...encap, port: otherPort! },
    { ...decap, port: otherPort! },
    { ...patch, tx: otherPort! },
    { ...patch, rx: port! },
  ]

  test('that are equal are one', () => {
    const lists = new EffectLists()
    const first = lists.share(all)
    expect(first).toEqual(all)
    expect(lists.share(all.map((effect) => ({ ...effect })))).toBe(first)
  })

  test('that differ in anything are not', () => {
    for (const other of others) {
      const mixed = all.map((effect) => (effect.type === other.type ? other : effect))
      const lists = new EffectLists()
      lists.share(all)
      const shared = lists.share(mixed)
      expect(shared).toHaveLength(all.length)
      for (const [i, effect] of shared.entries()) expect(effect).toBe(mixed[i])
    }
    const lists = new EffectLists()
    lists.share(all)
    expect(lists.share(all.slice(0, 3))).toEqual(all.slice(0, 3))
  })
})
