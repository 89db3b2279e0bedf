import { describe, expect, test } from 'vitest'
import {
  FRAG_ANY,
  K_ARP_HW,
  K_DL_TYPE,
  K_ETH,
  K_NW,
  K_NW_DST,
  K_NW_SRC,
  K_RECIRC_ID,
  K_TP,
  K_VLAN0,
  K_VLAN1,
  type Match,
} from '../../../src/flow/key.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'
import { explain } from '../../../src/offload/explain.ts'
import type { Refused, Verdict } from '../../../src/offload/verdict.ts'
import { createRig, matchOf, output } from './fakes.ts'

const refusal = (verdict: Verdict | undefined): Refused => {
  if (verdict?.state !== 'refused') throw new Error(`refused expected, not ${JSON.stringify(verdict)}`)
  return verdict
}

type Edit = (match: Match) => void

const word =
  (at: number, value: number, mask: number): Edit =>
  (match) => {
    match.key[at] = (match.key[at]! & ~mask) | (value & mask)
    match.mask[at] = match.mask[at]! | mask
  }
const all =
  (...edits: Edit[]): Edit =>
  (match) => {
    for (const edit of edits) edit(match)
  }
const IP = word(K_DL_TYPE, 0x08000000, 0xffff0000 | 0)
const ARP = word(K_DL_TYPE, 0x08060000, 0xffff0000 | 0)
const proto = (no: number): Edit => word(K_NW, no << 24, 0xff000000 | 0)

const setIpv4: OdpAction = { type: 'set', header: 'ipv4', words: [{ word: K_NW, value: 0x1000, mask: 0xff00 }] }

describe('checks', () => {
  test('a flow between ports of one eswitch is offloaded', () => {
    const { put, module, rulesOf, clock } = createRig()
    const id = put(matchOf(1), [output(2), output(3)])
    const [held, ...more] = rulesOf(id)
    expect(module.verdict(id)).toEqual({
      state: 'offloaded',
      eswitch: 'nic0',
      rule: held!.rule.id,
      since: clock.now(),
    })
    expect(held!.rule.actions).toEqual([output(2), output(3)])
    expect(more).toEqual([])
  })

  test('a drop is offloaded: there is nothing that an output could forbid', () => {
    const { put, code } = createRig()
    expect(code(put(matchOf(1), []))).toBe('offloaded')
  })

  test('policy off, as a whole and by port', () => {
    const rig = createRig({ offload: { enabled: false } })
    const a = rig.put(matchOf(1), [output(2)])
    expect(refusal(rig.module.verdict(a))).toMatchObject({ check: 'policy', what: 'offload', retryOn: ['policy'] })
    rig.module.setPortPolicy(2, { enabled: false })
    rig.module.setPolicy({ enabled: true })
    rig.scheduler.drain()
    const b = rig.put(matchOf(2), [output(1)])
    expect(rig.code(a)).toBe('offloaded')
    expect(refusal(rig.module.verdict(b))).toMatchObject({ check: 'policy', what: 'vf1' })
  })

  test('ingress on no eswitch names the port and its kind', () => {
    const { put, module } = createRig()
    const v = refusal(module.verdict(put(matchOf(5), [output(1)])))
    expect(v).toMatchObject({ check: 'no-eswitch', what: 'tap9', retryOn: ['port-change'] })
    expect(v.eswitch).toBeUndefined()
    expect(v.detail).toContain('tap9 (port 5), is a port of kind tap')
    expect(refusal(module.verdict(put(matchOf(77), []))).detail).toContain('port 77, does not exist')
  })

  test('an output on another switch, on none, and to a port that is not there', () => {
    const { put, module } = createRig()
    const other = refusal(module.verdict(put(matchOf(1, 1), [output(2), output(4)])))
    expect(other).toMatchObject({
      check: 'switch-id',
      what: 'vf2',
      eswitch: 'nic0',
      retryOn: ['port-change', 'flow-change'],
    })
    expect(other.detail).toContain('0a:00:00:00:00:01')
    expect(other.detail).toContain('0a:00:00:00:00:02')
    const none = refusal(module.verdict(put(matchOf(1, 2), [{ type: 'clone', actions: [output(5)] }])))
    expect(none).toMatchObject({ check: 'switch-id', what: 'tap9' })
    expect(none.detail).toContain('on no switch')
    expect(refusal(module.verdict(put(matchOf(1, 3), [output(9)]))).what).toBe('port 9')
  })

  test.each<[string, Edit]>([
    ['nw_dst', all(IP, word(K_NW_DST, 0x0a000000, 0xff000000 | 0))],
    ['nw_src', all(IP, word(K_NW_SRC, 0x0a000001, -1))],
    ['arp_spa', all(ARP, word(K_NW_SRC, 0x0a000001, -1))],
    ['arp_op', all(ARP, word(K_NW, 1 << 24, 0xff000000 | 0))],
    ['arp_sha', all(ARP, word(K_ARP_HW, 0x02000000, -1))],
    ['nw_frag', all(IP, word(K_NW, FRAG_ANY, 3))],
    ['nw_proto', all(IP, proto(6))],
    ['tcp_dst', all(IP, proto(6), word(K_TP, 80, 0xffff))],
    ['udp_src', all(IP, proto(17), word(K_TP, 53 << 16, 0xffff0000 | 0))],
    ['vlan_tci', word(K_VLAN0, 0x100a, 0xffff)],
    ['inner_vlan', word(K_VLAN1, 0x8100100a | 0, -1)],
  ])('a profile without %s names it', (field, edit) => {
    const match = ['in_port', 'dl_src', 'dl_dst', 'dl_type']
    if (field.startsWith('tcp') || field.startsWith('udp')) match.push('nw_proto')
    const { put, module } = createRig({ profile: { match } })
    const v = refusal(module.verdict(put(matchOf(1, 0, edit), [output(2)])))
    expect(v).toMatchObject({ check: 'match-field', what: field, retryOn: ['flow-change'] })
    expect(v.detail).toBe(`profile test cannot match ${field}`)
  })

  test('overlapping names of a field stand for each other, aliases too', () => {
    const rig = createRig({ profile: { match: ['dl_dst', 'eth_type', 'ip_proto', 'tp_dst', 'vlan_vid'] } })
    const tcp = all(IP, proto(6), word(K_TP, 80, 0xffff))
    expect(rig.code(rig.put(matchOf(1, 1, tcp), [output(2)]))).toBe('offloaded')
    expect(rig.code(rig.put(matchOf(1, 2, word(K_VLAN0, 0x100a, 0x1fff)), [output(2)]))).toBe('offloaded')
    expect(refusal(rig.module.verdict(rig.put(matchOf(1, 3, word(K_VLAN0, 0x300a, 0xffff)), []))).what).toMatch(/vlan/)
  })

  test('no tag, or no second tag, is no look at tags; a tag is', () => {
    const rig = createRig({ profile: { match: ['dl_dst', 'dl_type', 'vlan_tci', 'vlan_tpid'] } })
    const tagged = word(K_VLAN0, 0x8100100a | 0, -1)
    expect(rig.code(rig.put(matchOf(1, 1, all(IP, tagged, word(K_VLAN1, 0, 0x1000))), [output(2)]))).toBe('offloaded')
    const two = all(IP, tagged, word(K_VLAN1, 0x81001000 | 0, 0xffff1000 | 0))
    expect(refusal(rig.module.verdict(rig.put(matchOf(1, 2, two), [output(2)]))).what).toBe('inner_vlan')
    const blind = createRig({ profile: { match: ['dl_dst', 'dl_type'] } })
    expect(blind.code(blind.put(matchOf(1, 1, word(K_VLAN0, 0, 0x1000)), [output(2)]))).toBe('offloaded')
    const typeless = (m: Match): void => {
      word(K_VLAN0, 0, 0x1000)(m)
      m.mask[K_DL_TYPE] = 0
    }
    expect(refusal(blind.module.verdict(blind.put(matchOf(1, 2, typeless), [output(2)]))).what).toBe('vlan_tci')
  })

  test('recirculated packets are not matched by who does not recirculate', () => {
    const { put, module } = createRig()
    const v = refusal(module.verdict(put(matchOf(1, 0, word(K_RECIRC_ID, 7, -1)), [output(2)])))
    expect(v).toMatchObject({ check: 'match-field', what: 'recirc_id' })
  })

  test('recirc_id 0 is for everyone', () => {
    const { put, code } = createRig({ profile: { match: ['dl_dst', 'dl_type'] } })
    expect(code(put(matchOf(1, 0, word(K_RECIRC_ID, 0, -1)), [output(2)]))).toBe('offloaded')
  })

  test('exact-only: whole or not at all', () => {
    const rig = createRig({ profile: { 'exact-only': ['nw_dst', 'eth_dst'] } })
    const mac = all(word(K_ETH, 0, -1), word(K_ETH + 1, 0, 0xffff0000 | 0))
    const some = all(mac, IP, word(K_NW_DST, 0x0a000000, 0xff000000 | 0))
    const v = refusal(rig.module.verdict(rig.put(matchOf(1, 1, some), [output(2)])))
    expect(v).toMatchObject({ check: 'match-mask', what: 'nw_dst', retryOn: ['flow-change'] })
    expect(v.detail).toContain('0xff000000')
    const whole = all(mac, IP, word(K_NW_DST, 0x0a000000, -1))
    expect(rig.code(rig.put(matchOf(1, 2, whole), [output(2)]))).toBe('offloaded')
    expect(rig.code(rig.put(matchOf(1, 3, mac), [output(2)]))).toBe('offloaded')
    expect(refusal(rig.module.verdict(rig.put(matchOf(1, 4), [output(2)]))).what).toBe('dl_dst')
  })

  test.each<[string, OdpAction]>([
    ['pop_mpls', { type: 'pop_mpls', ethertype: 0x800 }],
    ['trunc', { type: 'trunc', maxLen: 100 }],
    ['recirc', { type: 'recirc', id: 1 }],
    ['set(ipv4)', setIpv4],
    ['set(ipv4)', { type: 'clone', actions: [{ type: 'clone', actions: [setIpv4] }] }],
  ])('an unknown action %s is named', (what, act) => {
    const { put, module } = createRig({ profile: { set: ['eth'] } })
    expect(refusal(module.verdict(put(matchOf(1), [act, output(2)])))).toMatchObject({
      check: 'action',
      what,
      detail: `profile test has no action ${what}`,
      retryOn: ['flow-change'],
    })
  })

  test('outputs are counted through clones', () => {
    const rig = createRig({ profile: { 'max-outputs': 2 } })
    const three: OdpAction[] = [output(2), { type: 'clone', actions: [output(3)] }, output(2)]
    expect(refusal(rig.module.verdict(rig.put(matchOf(1, 1), three)))).toMatchObject({ check: 'outputs', what: '3' })
    expect(rig.code(rig.put(matchOf(1, 2), three.slice(1)))).toBe('offloaded')
  })

  test('a flow that can never go is not told to wait for the worker', () => {
    const rig = createRig({ profile: { actions: ['output'] } })
    rig.nic0.setState('restarting')
    expect(rig.code(rig.put(matchOf(1, 1), [{ type: 'pop_vlan' }]))).toBe('action')
    expect(refusal(rig.module.verdict(rig.put(matchOf(1, 2), [output(2)])))).toMatchObject({
      check: 'worker-gone',
      what: 'restarting',
      retryOn: ['eswitch-up'],
    })
  })

  test('explanations are one sentence with what would change it', () => {
    const rig = createRig()
    const id = rig.put(matchOf(1), [output(4)])
    rig.clock.advance(1500)
    expect(explain(rig.module.verdict(id)!, { now: rig.clock.now() })).toBe(
      'Not offloaded for 1.5 s: refused by eswitch nic0 by check switch-id (vf2): output to vf2 (port 4), which is on eswitch nic1, switch ID 0a:00:00:00:00:02; ' +
        'the ingress vf0 (port 1) is on switch ID 0a:00:00:00:00:01; it is offered again when a port is added, removed or moved or the flow gets another match or other actions.',
    )
    expect(explain(rig.module.wouldOffload(matchOf(1), [output(2)]), { would: true })).toBe(
      'Would be offloaded to eswitch nic0.',
    )
    expect(explain(rig.module.wouldOffload(matchOf(5), []), { would: true })).toMatch(
      /^Would not be offloaded: refused by check no-eswitch/,
    )
  })
})

test('a what-if changes nothing', () => {
  const rig = createRig({ profile: { 'table-size': 1 } })
  rig.put(matchOf(1), [output(2)])
  const before = [JSON.stringify(rig.module.summary()), rig.log.length]
  expect(rig.module.wouldOffload(matchOf(2), [output(1)])).toMatchObject({ check: 'table-full' })
  expect(rig.module.wouldOffload(matchOf(4), [])).toMatchObject({ state: 'offloaded', eswitch: 'nic1', rule: -1 })
  expect([JSON.stringify(rig.module.summary()), rig.log.length]).toEqual(before)
})
