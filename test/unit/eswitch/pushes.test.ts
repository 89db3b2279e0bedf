import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isPop, PUSH_WORDS, pushesOf } from '../../../src/eswitch/pushes.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { compileActions } from '../../../src/flow/program.ts'

const output: OdpAction = { type: 'output', port: 2 }
const tag: OdpAction = { type: 'push_vlan', tpid: 0x8100, tci: 0x1005 }
const untag: OdpAction = { type: 'pop_vlan' }
const label: OdpAction = { type: 'push_mpls', ethertype: 0x8847, lse: 0x1140 }
const unlabel: OdpAction = { type: 'pop_mpls', ethertype: 0x0800 }
const push = (entry: number): OdpAction => ({ type: 'tnl_push', entry })

/** The same from the list of actions: entry, growth, limit. */
const obvious = (actions: readonly OdpAction[], before = 0): number[][] => {
  const out: number[][] = []
  let grown = before
  let cut = 0
  for (const a of actions) {
    if (a.type === 'push_vlan' || a.type === 'push_mpls') grown += 4
    else if (a.type === 'pop_vlan' || a.type === 'pop_mpls') grown -= 4
    else if (a.type === 'trunc') cut = a.maxLen
    else if (a.type === 'clone') out.push(...obvious(a.actions, grown))
    else if (a.type === 'tnl_push') out.push([a.entry, grown, cut])
    if (a.type === 'tnl_push' || a.type === 'output') cut = 0
  }
  return out
}

const found = (actions: readonly OdpAction[]): number[][] => {
  const pushes = [...pushesOf(compileActions(actions))]
  return Array.from({ length: pushes.length / PUSH_WORDS }, (_, i) =>
    pushes.slice(i * PUSH_WORDS, (i + 1) * PUSH_WORDS),
  )
}

describe('pushes of a program', () => {
  test('with what the frame has grown by before each', () => {
    expect(found([output])).toEqual([])
    expect(found([push(5)])).toEqual([[5, 0, 0]])
    expect(found([tag, push(5), untag, label, push(6), output])).toEqual([
      [5, 4, 0],
      [6, 4, 0],
    ])
    expect(found([{ type: 'clone', actions: [tag, push(5)] }, push(6)])).toEqual([
      [5, 4, 0],
      [6, 0, 0],
    ])
    expect(found([{ type: 'trunc', maxLen: 64 }, push(5), push(6)])).toEqual([
      [5, 0, 64],
      [6, 0, 0],
    ])
  })

  test('are those of its actions, whatever stands between them', () => {
    const plain = fc.constantFrom<OdpAction>(
      output,
      tag,
      untag,
      label,
      unlabel,
      push(1),
      push(65535),
      { type: 'set', header: 'eth', words: [{ word: 24, value: 1, mask: -1 }] },
      { type: 'set', header: 'skb_mark', words: [{ word: 2, value: 12, mask: -1 }] },
    )
    const list = fc.array(
      fc.oneof(
        plain,
        fc.array(plain, { maxLength: 4 }).map((actions) => ({ type: 'clone' as const, actions })),
      ),
    )
    fc.assert(
      fc.property(list, (actions) => {
        expect(found([...actions, output])).toEqual(obvious(actions))
      }),
    )
  })
})

test('a tnl_pop rule is one without anything else', () => {
  const pop: OdpAction = { type: 'tnl_pop', port: 9 }
  expect([[pop], [pop, output], [output, pop], [output], []].map((a) => isPop(compileActions(a)))).toEqual([
    true,
    false,
    false,
    false,
    false,
  ])
})
