import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FlowSyntaxError, formatActions, formatFlowStats, formatMatch, parseFlow } from '../../../src/flow/ofp-text.ts'
import { ofpMatch } from '../../unit/flow/match-arbitrary.ts'
import { ACCEPTED, REFUSED, STRICTER } from './corpus.ts'
import { DummyOvs, hasVswitchd } from './dummy-ovs.ts'
import { asFlowMod, hasOfctl, ofctlParse, ofctlParseAll } from './ofctl.ts'

const ours = (rule: string): string => {
  try {
    return asFlowMod(parseFlow(rule))
  } catch (error) {
    if (!(error instanceof FlowSyntaxError)) throw error
    return `refused: ${error.message}`
  }
}

describe.skipIf(!hasOfctl)('rules, next to ovs-ofctl', () => {
  test.each(ACCEPTED)('understood alike: %s', (rule) => {
    const theirs = ofctlParse(rule)
    expect(ours(rule)).toBe(theirs.ok ? theirs.text : `refused: ${theirs.error}`)
  })

  test('random matches are understood alike', () => {
    const matches = fc
      .sample(ofpMatch, { numRuns: 600, seed: 20 })
      .map((match) => formatMatch(match))
      // ovs-ofctl has no names for these two fields.
      .filter((text) => !/tun_tos|tun_ttl/.test(text))
    expect(matches.length).toBeGreaterThan(100)
    const rules = matches.map((text) => `${text}${text === '' ? '' : ','}actions=drop`)
    expect(rules.map(ours)).toEqual(ofctlParseAll(rules))
  })

  test('random loads and moves are understood alike', () => {
    const register = fc.integer({ min: 0, max: 15 }).map((n) => `NXM_NX_REG${n}`)
    const range = fc
      .tuple(fc.integer({ min: 0, max: 31 }), fc.integer({ min: 0, max: 31 }))
      .map(([a, b]) => (a < b ? [a, b] : [b, a]))
    const action = fc.tuple(register, register, range, fc.nat(), fc.boolean()).map(([a, b, [from, to], n, isLoad]) => {
      const bits = `[${from}..${to}]`
      const value = BigInt(n) & ((1n << BigInt(to! - from! + 1)) - 1n)
      return isLoad ? `load:${value}->${a}${bits}` : `move:${a}${bits}->${b}${bits}`
    })
    const rules = fc
      .sample(fc.array(action, { minLength: 1, maxLength: 6 }), { numRuns: 200, seed: 21 })
      .map((list) => `actions=${list.join(',')}`)
    expect(rules.map(ours)).toEqual(ofctlParseAll(rules))
  })

  test.each(REFUSED)('refused by both: %s', (rule) => {
    expect(ofctlParse(rule).ok).toBe(false)
    expect(() => parseFlow(rule)).toThrow(FlowSyntaxError)
  })

  test.each(STRICTER)('refused by us alone: %s (%s)', (rule) => {
    expect(ofctlParse(rule).ok).toBe(true)
    expect(() => parseFlow(rule)).toThrow(FlowSyntaxError)
  })
})

describe.skipIf(!hasOfctl || !hasVswitchd)('dump-flows, next to ovs-ofctl', () => {
  let ovs: DummyOvs

  beforeAll(() => {
    ovs = new DummyOvs()
    ovs.start()
  }, 30_000)

  afterAll(() => ovs.stop())

  const RULES = [
    'priority=0,actions=NORMAL',
    'actions=drop',
    'table=3,priority=32768,in_port=1,tcp,tp_dst=80,cookie=0x15,idle_timeout=100,hard_timeout=3000,actions=load:5->NXM_NX_REG0[],resubmit(,4)',
    'table=253,reg3=5,dl_vlan=7,actions=mod_nw_src:1.2.3.4,LOCAL',
    'idle_timeout=60,ipv6,actions=output:2,CONTROLLER:128',
  ]

  /** Our line for the rule that their line is about, with the numbers that theirs has. */
  const oursFor = (line: string, stats: boolean): string => {
    const number = (name: string): number => Number(new RegExp(`[ ,]${name}=([0-9.a-fx]+)`).exec(line)?.[1] ?? 0)
    const actions = / actions=(.*)$/.exec(line)![1]!
    const rule = RULES.map((text) => parseFlow(text)).find((spec) => formatActions(spec.actions) === actions)!
    const aged = line.includes('hard_age=') ? { hardMs: number('hard_age') * 1000 } : {}
    const flow = {
      ...rule,
      durationMs: Math.round(number('duration') * 1000),
      idleMs: number('idle_age') * 1000,
      packets: BigInt(number('n_packets')),
      bytes: BigInt(number('n_bytes')),
      ...aged,
    }
    return formatFlowStats(flow, { stats })
  }

  const dump = (...options: string[]): string[] => {
    const { text } = ovs.ofctl(...options, 'dump-flows', 'br0')
    return text.split('\n').filter((line) => line.includes('actions='))
  }

  test('the same lines, with statistics and without', () => {
    ovs.rules()
    expect(ovs.appctl('time/stop')).toMatchObject({ ok: true })
    for (const rule of RULES) expect(ovs.ofctl('add-flow', 'br0', rule)).toEqual({ ok: true, text: '' })
    expect(ovs.appctl('time/warp', '7000', '1000')).toMatchObject({ ok: true })
    // A modification is younger than its rule: hard_age.
    expect(ovs.ofctl('--strict', 'mod-flows', 'br0', RULES[0]!)).toEqual({ ok: true, text: '' })
    expect(ovs.appctl('time/warp', '3000', '1000')).toMatchObject({ ok: true })
    const withStats = dump()
    expect(withStats.length).toBe(RULES.length)
    expect(withStats.some((line) => line.includes('hard_age='))).toBe(true)
    expect(withStats.map((line) => oursFor(line, true))).toEqual(withStats)
    expect(ovs.appctl('time/warp', '20', '20')).toMatchObject({ ok: true })
    const later = dump()
    expect(later.map((line) => oursFor(line, true))).toEqual(later)
    expect([withStats, later].map((lines) => / duration=([^,]*),/.exec(lines[0]!)![1])).toEqual(['10s', '10.020s'])
    const without = dump('--no-stats')
    expect(without.length).toBe(RULES.length)
    expect(without.map((line) => oursFor(line, false))).toEqual(without)
  })
})
