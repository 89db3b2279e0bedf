import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { EncapEntry } from '../../../src/flow/encap.ts'
import { K_DP_WORDS, type Match } from '../../../src/flow/key.ts'
import type { OdpAction, SetHeader, SetWord } from '../../../src/flow/odp.ts'
import {
  FlowSyntaxError,
  formatOdpActions,
  formatOdpFlow,
  formatOdpMatch,
  formatTcpFlagLetters,
  parseOdpActions,
  parseOdpMatch,
} from '../../../src/flow/odp-text.ts'
import { HEADERS, type HeaderPart } from '../../../src/flow/odp-text-headers.ts'
import { anyBits, dpMatch } from './match-arbitrary.ts'
import { entryOf, OUTER, type Outer } from './tunnel-kit.ts'

const words = (match: Match): SetWord[] =>
  Array.from({ length: K_DP_WORDS }, (_, word) => ({ word, value: match.key[word]!, mask: match.mask[word]! })).filter(
    ({ mask }) => mask !== 0,
  )

/** Bits of one part, cut into the key's words. */
const cut = (part: HeaderPart, value: bigint, mask: bigint): SetWord[] => {
  const out: SetWord[] = []
  for (let i = 0; i < part.bits; i++) {
    if (((mask >> BigInt(part.bits - 1 - i)) & 1n) === 0n) continue
    const bit = part.bit + i
    const one = 1 << (31 - (bit & 31))
    const set = ((value >> BigInt(part.bits - 1 - i)) & 1n) === 1n
    out.push({ word: bit >> 5, value: set ? one : 0, mask: one })
  }
  return out
}

const merge = (bits: SetWord[]): SetWord[] => {
  const merged = new Map<number, { word: number; value: number; mask: number }>()
  for (const { word, value, mask } of bits) {
    const at = merged.get(word) ?? { word, value: 0, mask: 0 }
    merged.set(word, { word, value: at.value | value, mask: at.mask | mask })
  }
  return [...merged.values()].sort((a, b) => a.word - b.word)
}

const set: fc.Arbitrary<OdpAction> = fc
  .constantFrom(...(Object.keys(HEADERS) as (keyof typeof HEADERS)[]))
  .chain((header) => {
    const parts: readonly HeaderPart[] = HEADERS[header].filter((part: HeaderPart) => part.format !== 'frag')
    return fc
      .tuple(fc.constantFrom(...parts), fc.constantFrom(...parts))
      .chain(([a, b]) => fc.tuple(anyBits(a.bits), anyBits(b.bits)).map(([x, y]) => ({ a, b, x, y })))
      .map(({ a, b, x, y }) => {
        const second = a === b ? [] : cut(b, y.value, y.mask)
        return { type: 'set', header: header as SetHeader, words: merge([...cut(a, x.value, x.mask), ...second]) }
      })
  })

const i32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const action: fc.Arbitrary<OdpAction> = fc.oneof<fc.Arbitrary<OdpAction>[]>(
  fc.nat({ max: 65535 }).map((port) => ({ type: 'output', port })),
  fc
    .record({ tpid: fc.constantFrom(0x8100, 0x88a8), tci: fc.nat({ max: 0xffff }) })
    .map(({ tpid, tci }) => ({ type: 'push_vlan', tpid, tci: tci | 0x1000 })),
  fc.constant({ type: 'pop_vlan' }),
  fc.record({ type: fc.constant('push_mpls'), ethertype: fc.constantFrom(0x8847, 0x8848), lse: i32 }),
  fc.nat({ max: 0xffff }).map((ethertype) => ({ type: 'pop_mpls', ethertype })),
  fc.integer({ min: 1, max: 2 ** 32 - 1 }).map((id) => ({ type: 'recirc', id })),
  fc.nat({ max: 65535 }).map((maxLen) => ({ type: 'trunc', maxLen })),
  fc.constant({ type: 'drop', reason: 'too many resubmits' }),
  i32.map((value) => ({ type: 'set', header: 'mpls', words: [{ word: 30, value, mask: -1 }] })),
  i32.map((value) => ({ type: 'set', header: 'skb_mark', words: [{ word: 2, value, mask: -1 }] })),
  set,
)
const list: fc.Arbitrary<OdpAction[]> = fc.array(
  fc.oneof(
    { weight: 9, arbitrary: action },
    {
      weight: 1,
      arbitrary: fc.array(action, { maxLength: 3 }).map((actions) => ({ type: 'clone' as const, actions })),
    },
  ),
  { maxLength: 6 },
)

describe('round trips', () => {
  test.each([false, true])('a match that is printed and parsed is the same (verbose: %s)', (verbose) => {
    fc.assert(
      fc.property(dpMatch, (match) => {
        const text = formatOdpMatch(match, { verbose })
        expect(words(parseOdpMatch(text)), text).toEqual(words(match))
      }),
      { numRuns: 1000 },
    )
  })

  test('actions that are printed and parsed are the same', () => {
    fc.assert(
      fc.property(list, (actions) => {
        expect(parseOdpActions(formatOdpActions(actions)), formatOdpActions(actions)).toEqual(actions)
      }),
      { numRuns: 1000 },
    )
  })
})

test('anything is parsed or refused with a position inside of the text', () => {
  const bag = [
    'eth(',
    'ipv4(',
    'src=',
    ')',
    ',',
    'vlan(',
    'encap(',
    'eth_type(0x8100)',
    'vid=5',
    '/',
    '0x5',
    'in_port(1)',
    'set(',
    'clone(',
    '=',
    '-',
  ]
  const text = fc.oneof(
    fc.string(),
    fc.array(fc.constantFrom(...bag), { maxLength: 30 }).map((w) => w.join('')),
  )
  fc.assert(
    fc.property(text, (t) => {
      for (const parse of [parseOdpMatch, parseOdpActions]) {
        try {
          parse(t)
        } catch (error) {
          if (!(error instanceof FlowSyntaxError)) throw error
          expect(error.position).toBeLessThanOrEqual(t.length)
        }
      }
    }),
    { numRuns: 3000 },
  )
})

test('a whole line, brief and verbose', () => {
  const match = parseOdpMatch('recirc_id(0),in_port(2),eth(src=00:00:00:00:00:01),eth_type(0x0800),ipv4(frag=no)')
  const flow = {
    ufid: '00000000-0000-0000-0000-000000000001',
    match,
    packets: 9,
    bytes: 882,
    usedMs: 104,
    tcpFlags: 0x1b,
    offloaded: 'yes',
    dp: 'tapswitch',
    actions: parseOdpActions('push_vlan(vid=10,pcp=0),3'),
  } as const
  const portName = (port: number): string => `p${port}`
  expect(formatOdpFlow(flow)).toBe(
    'recirc_id(0),in_port(2),eth(src=00:00:00:00:00:01),eth_type(0x0800),ipv4(frag=no), ' +
      'packets:9, bytes:882, used:0.104s, flags:SFP., offloaded:yes, actions:push_vlan(vid=10,pcp=0),3',
  )
  const verbose = formatOdpFlow(flow, { verbose: true, portName })
  expect(verbose).toMatch(/^ufid:00000000-0000-0000-0000-000000000001, skb_priority\(0\/0\)/)
  expect(verbose).toContain('in_port(p2)')
  expect(verbose).toMatch(/offloaded:yes, dp:tapswitch, actions:push_vlan\(vid=10,pcp=0\),p3$/)
  const unused = { ...flow, usedMs: undefined, tcpFlags: 0, offloaded: undefined, actions: [] }
  expect(formatOdpFlow(unused)).toMatch(/used:never, actions:drop$/)
})

test('ports by name', () => {
  const portByName = (name: string): number | undefined => (name === 'vf0.rep@nic' ? 7 : undefined)
  expect(parseOdpActions('vf0.rep@nic,2', { portByName })).toEqual([
    { type: 'output', port: 7 },
    { type: 'output', port: 2 },
  ])
  expect(formatOdpMatch(parseOdpMatch('in_port(vf0.rep@nic),eth()', { portByName }))).toBe('in_port(7),eth()')
  expect(() => parseOdpActions('nosuch')).toThrow("unknown action 'nosuch'")
})

test('tunnels: what is not ready says why; what cannot be written is refused by name', () => {
  const portName = (port: number): string | undefined => ({ 2: 'br-phy', 4: 'vxlan_sys_4789', 7: 'p0' })[port]
  const print = (more: Partial<EncapEntry>, outer: Partial<Outer> = {}): string =>
    formatOdpActions([{ type: 'tnl_push', entry: 3 }], {
      portName,
      encap: (id) => (id === 3 ? entryOf({ ...OUTER, ...outer }, more) : undefined),
    })
  expect(print({})).toBe(
    'clone(tnl_push(tnl_port(vxlan_sys_4789),header(size=50,type=4,eth(dst=02:aa:00:00:00:02,src=02:aa:00:00:00:01,dl_type=0x0800),' +
      'ipv4(src=192.168.0.1,dst=192.168.0.2,proto=17,tos=0,ttl=64,frag=0x4000),udp(src=0,dst=4789,csum=0x0),' +
      'vxlan(flags=0x8000000,vni=0x123456)),out_port(br-phy)),p0)',
  )
  expect(print({ reason: 'underlay-ambiguous', actions: [{ type: 'reenter', port: 2 }] })).toMatch(
    /out_port\(br-phy\)\),reenter\(br-phy\)\)$/,
  )
  expect(print({ state: 'pending', reason: 'neighbour-pending', actions: [] })).toBe(
    'tnl_push(tnl_port(vxlan_sys_4789),ipv4(dst=192.168.0.2),vxlan(vni=0x123456),pending(neighbour-pending))',
  )
  expect(print({ state: 'drop', reason: 'no-route', actions: [] }, { version: 6, vni: 5 })).toBe(
    'tnl_push(tnl_port(vxlan_sys_4789),ipv6(dst=fd00::2),vxlan(vni=0x5),drop(no-route))',
  )
  expect(formatOdpActions([{ type: 'tnl_push', entry: 9 }])).toBe('tnl_push(entry(9))')

  const portByName = (name: string): number | undefined => (name === 'br-phy' ? 2 : undefined)
  const list = [
    { type: 'tnl_pop', port: 4 },
    { type: 'reenter', port: 2 },
  ] as const
  expect(parseOdpActions('tnl_pop(4),reenter(br-phy)', { portByName })).toEqual(list)
  expect(parseOdpActions(formatOdpActions(list))).toEqual(list)
  expect(() => parseOdpActions('tnl_pop(nosuch)', { portByName })).toThrow("tnl_pop: 'nosuch' is not a port")
  expect(() => parseOdpActions(print({}))).toThrow('tnl_push: encap entries come from tunnel ports alone')
})

test('TCP flags as letters', () => {
  expect(formatTcpFlagLetters(0)).toBe('none')
  expect(formatTcpFlagLetters(0xfff)).toBe('SFPRU.ECN[200][400][800]')
})
