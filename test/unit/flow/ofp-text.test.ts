import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createMatch } from '../../../src/flow/key.ts'
import { OFPP_LOCAL, OFPP_NONE } from '../../../src/flow/ofp.ts'
import {
  FlowSyntaxError,
  formatActions,
  formatFlowStats,
  formatMatch,
  formatRule,
  parseActions,
  parseFlow,
  parseMatch,
} from '../../../src/flow/ofp-text.ts'
import { ofpMatch } from './match-arbitrary.ts'
import { ofpActions } from './ofp-actions-arbitrary.ts'

const errorOf = (f: () => unknown): FlowSyntaxError => {
  try {
    f()
  } catch (error) {
    if (error instanceof FlowSyntaxError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('round trips', () => {
  test('a match that is printed and parsed is the same', () => {
    fc.assert(
      fc.property(ofpMatch, (match) => {
        expect(parseMatch(formatMatch(match)), formatMatch(match)).toEqual(match)
      }),
      { numRuns: 1000 },
    )
  })

  test('actions that are printed and parsed are the same', () => {
    fc.assert(
      fc.property(ofpActions, (actions) => {
        expect(parseActions(formatActions(actions)), formatActions(actions)).toEqual(actions)
      }),
      { numRuns: 1000 },
    )
  })

  test('a rule that is printed and parsed is the same', () => {
    const spec = fc.record({
      table: fc.integer({ min: 0, max: 254 }),
      priority: fc.integer({ min: 0, max: 65535 }),
      cookie: fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }),
      cookieMask: fc.constant(0n),
      idleTimeout: fc.integer({ min: 0, max: 65535 }),
      hardTimeout: fc.integer({ min: 0, max: 65535 }),
      checkOverlap: fc.boolean(),
      resetCounts: fc.boolean(),
      match: ofpMatch,
      actions: fc.constant(parseActions('mod_dl_src:00:00:00:00:00:01,output:3')),
      outPort: fc.constant(OFPP_NONE),
    })
    fc.assert(
      fc.property(spec, (s) => {
        expect(parseFlow(formatRule(s)), formatRule(s)).toEqual(s)
      }),
    )
  })
})

describe('no text does harm', () => {
  const words = [
    'ip', 'tcp', 'nw_src', 'reg0', 'actions=', 'output', 'load', 'set_field', 'resubmit', 'clone(', ')', '(', '=', ':', ',', '/', '->', '[', ']',
    '..', '0x', '5', '10.0.0.1', 'fe80::1', '00:00:00:00:00:01', ' ', '-', '+', 'write_actions(', 'goto_table', '\t', 'NXM_NX_REG0', '"', '𝕏',
  ] // biome-ignore format: a bag of words
  test('anything is parsed or refused with a position inside of the text', () => {
    const text = fc.oneof(
      fc.string(),
      fc.array(fc.constantFrom(...words), { maxLength: 30 }).map((w) => w.join('')),
    )
    fc.assert(
      fc.property(text, (t) => {
        try {
          parseFlow(t)
        } catch (error) {
          if (!(error instanceof FlowSyntaxError)) throw error
          expect(error.position).toBeGreaterThanOrEqual(0)
          expect(error.position).toBeLessThanOrEqual(t.length)
        }
      }),
      { numRuns: 3000 },
    )
  })

  test('deep nesting is refused, long text is parsed', () => {
    expect(errorOf(() => parseFlow(`actions=${'clone('.repeat(100_000)}`)).message).toContain('nested too deeply')
    expect(parseFlow(`actions=${'1,'.repeat(10_000)}2`).actions.length).toBe(10_001)
  })
})

describe('errors say what is wrong, where, and what was expected', () => {
  test.each([
    ['nw_sr=1.2.3.4,ip,actions=1', 0, 'nw_sr', "did you mean 'nw_src'?"],
    ['ip,nw_src=1.2.3,actions=1', 10, '1.2.3', 'IPv4 address'],
    ['actions=outptu:1', 8, 'outptu', "did you mean 'output'?"],
    ['tcp_dst=80,actions=1', 0, 'tcp_dst', 'tcp_dst needs tcp or tcp6'],
    ['ip,tp_dst=80,actions=1', 3, 'tp_dst', 'tp_dst needs tcp, udp'],
    ['dl_vlan=5000,actions=1', 8, '5000', 'does not fit into 12 bits'],
    ['priority=70000,actions=1', 9, '70000', '0 to 65535'],
    ['actions=1,set_field:1.2.3.4->ip_src', 10, 'set_field', 'needs ip, arp or rarp'],
    ['table=5,actions=goto_table:5', 16, 'goto_table', 'a table above 5'],
    ['actions=clear_actions,1', 22, '1', 'comes after clear_actions'],
    ['actions=resubmit(1,300)', 17, '1,300', '0 to 255'],
    ['actions=1,clone(2,load:5->nope[])', 26, 'nope[]', "unknown field 'nope'"],
    ['in_port=eth9,actions=1', 8, 'eth9', 'no port'],
    ['ip', 2, '', 'no actions'],
    ['ip,actions=ct(commit)', 11, 'ct', 'ct is not supported'],
    ['send_flow_rem,actions=1', 0, 'send_flow_rem', 'not supported'],
    ['ip,ip,nw_frag=maybe,actions=1', 14, 'maybe', 'not_later'],
    ['actions=output:"vf0', 15, '"', 'quote is not closed'],
  ])('%s', (text, position, token, part) => {
    const error = errorOf(() => parseFlow(text))
    expect(error.message).toContain(part)
    expect([error.position, error.token]).toEqual([position, token])
  })
})

describe('ports by name', () => {
  const ports = new Map([
    ['vf0', 3],
    ['odd name', 4],
    ['local', 9],
  ])
  const names = {
    portByName: (name: string) => ports.get(name),
    portName: (port: number) => [...ports].find(([, no]) => no === port)?.[0],
  }

  test('in matches and in actions', () => {
    const spec = parseFlow('in_port=vf0,actions=vf0,output:"odd name",LOCAL,resubmit(vf0,2)', names)
    expect(formatMatch(spec.match)).toBe('in_port=3')
    expect(formatActions(spec.actions)).toBe('output:3,output:4,LOCAL,resubmit(3,2)')
    expect(formatActions(spec.actions, names)).toBe('output:vf0,output:"odd name",LOCAL,resubmit(vf0,2)')
    expect(parseActions(formatActions(spec.actions, names), names)).toEqual(spec.actions)
  })

  test('a port named as a reserved one is quoted', () => {
    const actions = [{ type: 'output', port: 9 }] as const
    expect(formatActions(actions, names)).toBe('output:"local"')
    expect(parseActions('output:"local",LOCAL', names)).toEqual([...actions, { type: 'output', port: OFPP_LOCAL }])
  })
})

describe('kinds of commands', () => {
  test('a deletion has no actions, all tables, a masked cookie and an output port', () => {
    const spec = parseFlow('cookie=0x15/0xf,out_port=3,ip', { kind: 'delete' })
    expect(spec).toMatchObject({ table: 255, cookie: 5n, cookieMask: 15n, outPort: 3, actions: [] })
    expect(parseFlow('cookie=1/-1', { kind: 'delete' }).cookieMask).toBe(0xffffffffffffffffn)
    expect(() => parseFlow('ip,actions=drop', { kind: 'delete' })).toThrow(FlowSyntaxError)
    expect(() => parseFlow('cookie=1', { kind: 'delete' })).toThrow(FlowSyntaxError)
  })

  test('a modification may restrict by cookie, an addition not', () => {
    expect(parseFlow('cookie=1/1,actions=1', { kind: 'modify' })).toMatchObject({
      table: 255,
      cookie: 1n,
      cookieMask: 1n,
    })
    expect(parseFlow('cookie=7,actions=1', { kind: 'modify' })).toMatchObject({ cookie: 7n, cookieMask: 0n })
    expect(() => parseFlow('cookie=1/1,actions=1')).toThrow(FlowSyntaxError)
  })
})

test('set_tunnel keeps its spelling, unless the number is too wide for it', () => {
  expect(formatActions(parseActions('set_tunnel:5,set_tunnel64:6,set_tunnel:0x100000000'))).toBe(
    'set_tunnel:0x5,set_tunnel64:0x6,set_tunnel64:0x100000000',
  )
})

describe('dump-flows', () => {
  const flow = {
    table: 0,
    priority: 0,
    cookie: 0n,
    idleTimeout: 0,
    hardTimeout: 0,
    durationMs: 1200,
    packets: 3n,
    bytes: 180n,
    idleMs: 999,
    match: createMatch(),
    actions: parseActions('NORMAL'),
  }

  test('a line with statistics, and one without', () => {
    expect(formatFlowStats(flow)).toBe(
      ' cookie=0x0, duration=1.200s, table=0, n_packets=3, n_bytes=180, idle_age=0, priority=0 actions=NORMAL',
    )
    expect(formatFlowStats(flow, { stats: false })).toBe(' priority=0 actions=NORMAL')
  })
})
