import { describe, expect, test } from 'vitest'
import { createMatch } from '../../../src/flow/key.ts'
import type { OfpAction } from '../../../src/flow/ofp.ts'
import { fieldNamed } from '../../../src/flow/registry.ts'
import { checkSpec, MAX_ACTIONS, MAX_DEPTH } from '../../../src/ofproto/flow-mod.ts'
import { type Fields, spec } from './rules.ts'

const sub = (name: string, start = 0, bits = fieldNamed(name).bits) => ({ field: fieldNamed(name), start, bits })
const setField = (name: string, value = 0n): OfpAction => {
  const field = fieldNamed(name)
  return { type: 'set_field', field, value, mask: (1n << BigInt(field.bits)) - 1n }
}
const mod = (name: string, field: string): OfpAction => ({ type: 'mod', name, field: fieldNamed(field), value: 1n })
const move = (from: string, to: string): OfpAction => ({ type: 'move', src: sub(from), dst: sub(to) })
const pushVlan = (ethertype = 0x8100): OfpAction => ({ type: 'push_vlan', ethertype })
const strip: OfpAction = { type: 'strip_vlan' }
const clone = (...actions: OfpAction[]): OfpAction => ({ type: 'clone', actions })

const IP: Fields = { dl_type: 0x0800 }
const TCP: Fields = { ...IP, nw_proto: 6 }
const MPLS: Fields = { dl_type: 0x8847 }

/** [what, match, actions]. Debian's `ovs-ofctl parse-flow` accepts these too. */
const good: [string, Fields, OfpAction[]][] = [
  ['drop', {}, []],
  ['a port that is not there', {}, [{ type: 'output', port: 4711 }]],
  ['set_field with its match', IP, [setField('nw_src')]],
  ['a field without prerequisite', {}, [setField('reg3'), setField('dl_dst'), setField('tun_id')]],
  ['mod_nw_src without a match', {}, [mod('mod_nw_src', 'nw_src')]],
  ['mod_tp_src and dec_ttl without a match', {}, [mod('mod_tp_src', 'tp_src'), { type: 'dec_ttl' }]],
  ['vlan_vid after push_vlan', {}, [pushVlan(), setField('vlan_vid')]],
  ['vlan_vid after mod_vlan_vid', {}, [{ type: 'mod_vlan_vid', vid: 5 }, setField('vlan_vid')]],
  ['vlan_pcp of a tagged packet', { vlan_tci: [0x1000, 0x1000] }, [setField('vlan_pcp')]],
  ['the inner tag after the outer one was removed', {}, [pushVlan(), pushVlan(), strip, setField('vlan_vid')]],
  ['a tag made by writing the TCI', {}, [setField('vlan_tci', 0x1005n), setField('vlan_pcp')]],
  ['IP below MPLS', MPLS, [{ type: 'pop_mpls', ethertype: 0x0800 }, setField('nw_src')]],
  ['an MPLS label that was pushed', {}, [{ type: 'push_mpls', ethertype: 0x8847 }, setField('mpls_label')]],
  ['move between registers', {}, [move('reg0', 'reg1')]],
  ['load of some bits', {}, [{ type: 'load', dst: sub('reg0', 8, 4), value: 15n }]],
  ['what clone changes, inside of it', {}, [clone(pushVlan(), setField('vlan_pcp'))]],
  ['goto_table forward', {}, [{ type: 'goto_table', table: 1 }]],
  ['resubmit to an earlier or the same table', {}, [{ type: 'resubmit', port: 0xfff8, table: 0 }]],
]

test.each(good)('accepts %s', (_what, fields, actions) => {
  expect(checkSpec(spec({ fields, actions }))).toBeNull()
})

/** [what, match, actions, code, message]. */
const bad: [string, Fields, OfpAction[], string, RegExp][] = [
  ['nw_src without ip', {}, [setField('nw_src')], 'OFPBAC_MATCH_INCONSISTENT', /^set_field: nw_src needs ip:/],
  ['nw_src of ARP', { dl_type: 0x0806 }, [setField('nw_src')], 'OFPBAC_MATCH_INCONSISTENT', /nw_src needs ip/],
  ['ipv6_src of IPv4', IP, [setField('ipv6_src')], 'OFPBAC_MATCH_INCONSISTENT', /ipv6_src needs ipv6/],
  ['tcp_dst without protocol', IP, [setField('tcp_dst')], 'OFPBAC_MATCH_INCONSISTENT', /tcp_dst needs tcp/],
  ['tp_dst of ICMP', { ...IP, nw_proto: 1 }, [setField('tp_dst')], 'OFPBAC_MATCH_INCONSISTENT', /tp_dst needs tcp/],
  [
    'load to a missing field',
    {},
    [{ type: 'load', dst: sub('nw_dst'), value: 1n }],
    'OFPBAC_MATCH_INCONSISTENT',
    /nw_dst/,
  ],
  ['move from a missing field', {}, [move('nw_src', 'reg0')], 'OFPBAC_MATCH_INCONSISTENT', /move: nw_src needs ip/],
  ['vlan_vid without tag', {}, [setField('vlan_vid')], 'OFPBAC_MATCH_INCONSISTENT', /vlan_vid needs a VLAN tag/],
  ['vlan_pcp after strip_vlan', { dl_vlan: 5 }, [strip, setField('vlan_pcp')], 'OFPBAC_MATCH_INCONSISTENT', /vlan_pcp/],
  [
    'vlan_pcp after clone pushed',
    {},
    [clone(pushVlan()), setField('vlan_pcp')],
    'OFPBAC_MATCH_INCONSISTENT',
    /vlan_pcp/,
  ],
  [
    'IP fields after push_mpls',
    TCP,
    [{ type: 'push_mpls', ethertype: 0x8847 }, setField('nw_src')],
    'OFPBAC_MATCH_INCONSISTENT',
    /nw_src/,
  ],
  [
    'set_field in the action set',
    {},
    [{ type: 'write_actions', actions: [setField('nw_src')] }],
    'OFPBAC_MATCH_INCONSISTENT',
    /nw_src/,
  ],
  ['three tags', {}, [pushVlan(), pushVlan(), pushVlan()], 'OFPBAC_BAD_TAG', /two VLAN tags/],
  [
    'push_vlan of another type',
    {},
    [pushVlan(0x9100)],
    'OFPBAC_BAD_ARGUMENT',
    /push_vlan:0x9100: expected 0x8100 or 0x88a8/,
  ],
  ['output to no port', {}, [{ type: 'output', port: 0xffff }], 'OFPBAC_BAD_OUT_PORT', /port 65535/],
  ['output to an unnamed reserved port', {}, [{ type: 'output', port: 65300 }], 'OFPBAC_BAD_OUT_PORT', /65300/],
  ['a VLAN above 4095', {}, [{ type: 'mod_vlan_vid', vid: 4096 }], 'OFPBAC_BAD_ARGUMENT', /expected 0\.\.4095/],
  ['a value too wide', {}, [setField('reg0', 1n << 32n)], 'OFPBAC_BAD_SET_ARGUMENT', /does not fit into reg0/],
  [
    'a load too wide',
    {},
    [{ type: 'load', dst: sub('reg0', 0, 4), value: 16n }],
    'OFPBAC_BAD_SET_ARGUMENT',
    /does not fit into reg0/,
  ],
  [
    'bits outside of a field',
    {},
    [{ type: 'output_reg', src: sub('reg0', 20, 16) }],
    'OFPBAC_BAD_ARGUMENT',
    /bits 20\.\.35/,
  ],
  ['a read-only field', IP, [setField('nw_proto')], 'OFPBAC_BAD_SET_ARGUMENT', /nw_proto is read-only/],
  ['widths that differ', {}, [move('metadata', 'reg0')], 'OFPBAC_BAD_ARGUMENT', /64 bits do not fit 32/],
  ['goto_table to itself', {}, [{ type: 'goto_table', table: 0 }], 'OFPBIC_BAD_TABLE_ID', /expected 1\.\.254/],
  ['goto_table in clone', {}, [clone({ type: 'goto_table', table: 3 })], 'OFPBIC_UNSUP_INST', /goto_table/],
]

test.each(bad)('refuses %s, and says what was expected', (_what, fields, actions, code, message) => {
  const error = checkSpec(spec({ fields, actions }))
  expect(error?.code).toBe(code)
  expect(error?.message).toMatch(message)
})

describe('numbers of the rule itself', () => {
  test.each([
    [{ table: 256 }, 'OFPFMFC_BAD_TABLE_ID', 'table 256 is out of range: expected 0..255'],
    [{ table: 255 }, 'OFPFMFC_BAD_TABLE_ID', 'table 255 stands for all tables and holds no rules: expected 0..254'],
    [{ table: 1.5 }, 'OFPFMFC_BAD_TABLE_ID', 'table 1.5 is out of range: expected 0..255'],
    [{ priority: -1 }, 'OFPFMFC_UNKNOWN', 'priority -1 is out of range: expected 0..65535'],
    [{ idleTimeout: 65536 }, 'OFPFMFC_BAD_TIMEOUT', 'idle timeout 65536 is out of range: expected 0..65535'],
    [{ hardTimeout: Number.NaN }, 'OFPFMFC_BAD_TIMEOUT', 'hard timeout NaN is out of range: expected 0..65535'],
  ])('%j', (parts, code, message) => {
    expect(checkSpec(spec(parts))).toMatchObject({ code, message })
  })

  test('a goto_table from the last table leads nowhere', () => {
    const error = checkSpec(spec({ table: 254, actions: [{ type: 'goto_table', table: 254 }] }))
    expect(error?.message).toContain('this is the last table')
  })

  test('a match of another layout', () => {
    const short = { key: new Int32Array(3), mask: createMatch().mask }
    expect(checkSpec(spec({ match: short }))?.message).toMatch(/3 and 80 words/)
  })
})

describe('sizes', () => {
  test('too many actions, also when spread over nested lists', () => {
    const output: OfpAction = { type: 'output', port: 1 }
    const many = (count: number): OfpAction[] => Array.from({ length: count }, () => output)
    expect(checkSpec(spec({ actions: many(MAX_ACTIONS) }))).toBeNull()
    expect(checkSpec(spec({ actions: many(MAX_ACTIONS + 1) }))?.code).toBe('OFPBAC_TOO_MANY')
    const nested = [clone(...many(MAX_ACTIONS / 2)), clone(...many(MAX_ACTIONS / 2))]
    expect(checkSpec(spec({ actions: nested }))?.code).toBe('OFPBAC_TOO_MANY')
  })

  test('nesting has an end', () => {
    const nest = (depth: number): OfpAction => (depth === 0 ? strip : clone(nest(depth - 1)))
    expect(checkSpec(spec({ actions: [nest(MAX_DEPTH)] }))).toBeNull()
    expect(checkSpec(spec({ actions: [nest(MAX_DEPTH + 1)] }))?.code).toBe('OFPBAC_TOO_MANY')
  })
})
