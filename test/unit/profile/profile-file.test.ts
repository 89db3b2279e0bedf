import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { PROFILE_FIELDS, profileFieldByName } from '../../../src/eswitch/profile-fields.ts'
import { builtInProfiles, loadProfile, ProfileError, parseProfile } from '../../../src/eswitch/profile-file.ts'
import { K_DP_WORDS, K_VLAN0 } from '../../../src/flow/key.ts'
import { FIELDS } from '../../../src/flow/registry.ts'

describe('built-in', () => {
  test('all of them load, under their own names', () => {
    expect(builtInProfiles()).toEqual(['cx5-like', 'default', 'tiny', 'vlan-only'])
    for (const name of builtInProfiles()) expect(loadProfile(name).name).toBe(name)
  })

  test('default matches all and does all but recirculate', () => {
    const profile = loadProfile('default')
    expect(profile.match).toEqual(new Set(PROFILE_FIELDS.map((field) => field.name)))
    expect([...profile.actions].sort()).toEqual(
      [
        'clone',
        'drop',
        'output',
        'pop_mpls',
        'pop_vlan',
        'push_mpls',
        'push_vlan',
        'set',
        'tnl_pop',
        'tnl_push',
        'trunc',
      ].sort(),
    )
    for (const name of ['tun_id', 'tun_src', 'tun_dst', 'tun_ipv6_src', 'tun_ipv6_dst', 'tun_tos', 'tun_flags'])
      expect(profile.match.has(name), name).toBe(true)
    expect(profile.set.size).toBe(13)
    expect([profile.tableSize, profile.exactOnly.size]).toEqual([65536, 0])
  })

  test('tiny is default with room for 16', () => {
    expect({ ...loadProfile('tiny'), name: 'default', tableSize: 65536 }).toEqual(loadProfile('default'))
    expect(loadProfile('tiny').tableSize).toBe(16)
  })

  test('vlan-only knows no field of layer 3 or 4, besides whether it is a fragment', () => {
    const { match, actions, set } = loadProfile('vlan-only')
    expect(
      FIELDS.filter(
        (f) => /^(nw|ip|ipv6|arp|tcp|udp|sctp|tp|icmp|icmpv6|nd|mpls|ct|tun)_/.test(f.name) && match.has(f.name),
      ).map((f) => f.name),
    ).toEqual(['nw_frag'])
    expect([...actions].sort()).toEqual(['output', 'pop_vlan', 'push_vlan'])
    expect(set.size).toBe(0)
  })

  test('cx5-like has its limits', () => {
    const { match, actions, set, maxOutputs, exactOnly } = loadProfile('cx5-like')
    expect([match.has('arp_sha'), match.has('mpls_label'), match.has('nw_src'), actions.has('push_mpls')]).toEqual([
      false,
      false,
      true,
      false,
    ])
    expect([...set].sort()).toEqual(['eth', 'ipv4', 'tcp', 'udp'])
    expect(maxOutputs).toBe(2)
    expect(exactOnly.has('nw_proto')).toBe(true)
  })
})

describe('files', () => {
  const GOOD = 'name: mine\ntable-size: 8\nmatch: [eth_dst, tcp_dst]\nactions: all\nmax-outputs: 1\n'

  test('by path, relative to a directory', () => {
    const directory = mkdtempSync(join(tmpdir(), 'profile-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    writeFileSync(join(directory, 'mine.yaml'), GOOD)
    for (const path of ['mine.yaml', './mine.yaml', join(directory, 'mine.yaml')])
      expect(loadProfile(path, directory)).toMatchObject({ name: 'mine', tableSize: 8, maxOutputs: 1 })
    expect(() => loadProfile('./other.yaml', directory)).toThrow(/other\.yaml: no such file/)
    expect(() => loadProfile('./', directory)).toThrow(ProfileError)
    expect(() => loadProfile('mine')).toThrow(
      'no built-in profile "mine"; one of cx5-like, default, tiny, vlan-only or a file',
    )
  })

  test('aliases are taken for their fields; actions and set have their defaults', () => {
    const profile = parseProfile(GOOD, 'f')
    expect([...profile.match]).toEqual(['dl_dst', 'tcp_dst'])
    expect(profile.actions.has('recirc')).toBe(true)
    expect(profile.actions.has('reenter')).toBe(false)
    expect(profile.set.size).toBe(0)
  })

  test.each<[string, string, string]>([
    [
      'a wrong field',
      GOOD.replace('eth_dst', 'nw_srcc'),
      'f.yaml:3:9: match.0: no match field "nw_srcc" (did you mean nw_src?); names as in ovs-fields(7) expected',
    ],
    ['a field of the pipeline', GOOD.replace('eth_dst', 'reg0'), 'f.yaml:3:9: match.0: no match field "reg0"'],
    [
      'a wrong action',
      GOOD.replace('all', '[output, fly]'),
      'f.yaml:4:19: actions.1: no action "fly"; one of output, push_vlan,',
    ],
    [
      'an action of the datapath alone',
      GOOD.replace('all', '[output, reenter]'),
      'f.yaml:4:19: actions.1: no NIC does "reenter", a second pass through the datapath; one of output, push_vlan,',
    ],
    ['a wrong header', `${GOOD}set: [ip]\n`, 'f.yaml:6:7: set.0: no header "ip"; one of eth, mpls,'],
    ['a wrong number', GOOD.replace('8', 'many'), 'f.yaml:2:13: table-size: a number of rules, 1..1048576, expected'],
    ['a number out of range', GOOD.replace('8', '0'), 'f.yaml:2:13: table-size: 1..1048576 expected'],
    [
      'an unknown key',
      `${GOOD}speed: 9\n`,
      'f.yaml:6:1: profile: unknown key "speed"; one of name, table-size, match, exact-only, actions, set, max-outputs expected',
    ],
    ['a missing key', GOOD.replace(/max.*\n/, ''), 'max-outputs: missing; a number of outputs, 1..1024, expected'],
    [
      'a wrong form',
      GOOD.replace('[eth_dst, tcp_dst]', 'some'),
      'f.yaml:3:8: match: "all" or a list of match fields expected',
    ],
    [
      'exact-only without match',
      `${GOOD}exact-only: [dl_src]\n`,
      'f.yaml:6:14: exact-only.0: dl_src is not in "match"',
    ],
    ['no YAML', 'name: [', 'f.yaml:1:'],
    ['an empty file', '', 'f.yaml:1:1: name: missing'],
    ['a list', '- a\n', 'f.yaml:1:1: profile:'],
  ])('%s is named with its place and what was expected', (_what, text, message) => {
    let complaint = ''
    try {
      parseProfile(text, 'f.yaml')
    } catch (error) {
      if (!(error instanceof ProfileError)) throw error
      complaint = error.message
    }
    expect(complaint).toContain(message)
  })
})

describe('fields', () => {
  test('lie within the datapath key, each with bits', () => {
    for (const field of PROFILE_FIELDS)
      for (const { word, mask } of field.words) {
        expect(word).toBeLessThan(K_DP_WORDS)
        expect(mask).not.toBe(0)
      }
  })

  test('have the bits of the registry', () => {
    expect(profileFieldByName('vlan_tci')?.words).toEqual([{ word: K_VLAN0, mask: 0xffff }])
    expect(profileFieldByName('dl_vlan')?.words).toEqual([{ word: K_VLAN0, mask: 0x1fff }])
    expect(profileFieldByName('eth_src')?.words.map((w) => w.mask)).toEqual([0xffff, -1])
    for (const field of PROFILE_FIELDS) {
      const known = FIELDS.find((f) => f.name === field.name)
      if (!known || /vlan/.test(field.name)) continue
      const bits = field.words.reduce((n, { mask }) => n + (mask >>> 0).toString(2).replaceAll('0', '').length, 0)
      expect([field.name, bits]).toEqual([field.name, known.bits])
    }
  })
})
