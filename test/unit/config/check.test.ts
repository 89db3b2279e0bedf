import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/load.ts'

const good = `control: /run/x.ctl
eswitches:
  nic0: { profile: tiny, switch-id: "0a:00:00:00:00:01", ports: { vf0: { role: vf } } }
  nic1: { ports: {} }
bridges:
  br0:
    internal: { addresses: [10.0.0.1/24, "fd00::1/64"] }
    ports: { vf0: { ofport: 3 }, tap1: { type: tap } }
    flows:
      - "in_port=vf0,actions=output:tap1"
      - "in_port=LOCAL,actions=output:br0,3"
`
const complaint = (text: string, file = 'x.yaml'): string => {
  try {
    parseConfig(text, file)
  } catch (error) {
    return (error as Error).message
  }
  return 'accepted'
}

test('rules may name ports of their bridge, and the bridge itself', () => {
  expect(complaint(good)).toBe('accepted')
})

test.each([
  [
    'a rule with a wrong prerequisite',
    'in_port=LOCAL,actions',
    'tp_dst=80,actions',
    /^x\.yaml:11:9: bridges\.br0\.flows\.1: tp_dst needs/,
  ],
  ['a rule with a port that is none', 'output:tap1', 'output:tap2', /^x\.yaml:10:9: bridges\.br0\.flows\.0: .*tap2/],
  ['a rule with an action that is none', 'actions=output:tap1', 'actions=teleport', /^x\.yaml:10:9: .*teleport/],
  [
    'a profile that is none',
    'profile: tiny',
    'profile: huge',
    /^x\.yaml:3:20: eswitches\.nic0\.profile: no built-in profile "huge"/,
  ],
  [
    'a switch ID twice',
    'nic1: {',
    'nic1: { switch-id: "0A:00:00:00:00:01",',
    /^x\.yaml:4:\d+: .*0a:00:00:00:00:01 is taken by nic0/,
  ],
  [
    'an address that is none',
    '10.0.0.1/24',
    '10.0.0.256/24',
    /^x\.yaml:7:\d+: .*addresses\.0: an address with prefix length/,
  ],
  ['a prefix that is too long', '10.0.0.1/24', '10.0.0.1/33', /addresses\.0: an address with prefix length/],
  ['an IPv6 prefix that is too long', 'fd00::1/64', 'fd00::1/129', /addresses\.1: an address with prefix length/],
])('%s is refused where it stands', (_, from, to, words) => {
  expect(good).toContain(from)
  expect(complaint(good.replace(from, to))).toMatch(words)
})

const tunnels = `control: /run/x.ctl
bridges:
  br-phy:
    internal: { addresses: [192.168.0.1/24] }
    ports: { tap1: { type: tap } }
  br-int:
    ports:
      vx0: { type: vxlan, options: { remote_ip: 192.168.0.2, key: 7 } }
      vx1: { type: vxlan, options: { remote_ip: 192.168.0.2, key: 8 } }
`

test('tunnels that differ in something are accepted', () => {
  expect(complaint(tunnels)).toBe('accepted')
})

test.each([
  [
    'the same tunnel twice',
    'key: 8',
    'key: 0x7',
    /^x\.yaml:9:\d+: bridges\.br-int\.ports\.vx1\.options: .* those of vx0/,
  ],
  [
    'a tunnel without an underlay',
    '    internal: { addresses: [192.168.0.1/24] }\n',
    '',
    /no bridge has an internal port/,
  ],
  [
    'an MTU of what has no interface',
    'vxlan, ',
    'vxlan, mtu: 1400, ',
    /^x\.yaml:8:\d+: .*vx0\.mtu: a vxlan port has no interface/,
  ],
  ['an option that is none', 'key: 7', 'vni: 7', /^x\.yaml:8:\d+: .*unknown option "vni"; one of remote_ip/],
  [
    'two homes of the underlay',
    'ports:\n      vx0',
    'internal: { netns: other }\n    ports:\n      vx0',
    /underlay\.netns expected/,
  ],
])('%s is refused where it stands', (_, from, to, words) => {
  expect(tunnels).toContain(from)
  expect(complaint(tunnels.replace(from, to))).toMatch(words)
})

test('two homes of the underlay are accepted when the file says whose routes count', () => {
  const text = tunnels.replace('ports:\n      vx0', 'internal: { netns: other }\n    ports:\n      vx0')
  expect(complaint(`${text}underlay: { netns: other }\n`)).toBe('accepted')
})

test('a profile with a relative name is looked for beside the configuration', () => {
  const dir = mkdtempSync(join(tmpdir(), 'config-'))
  writeFileSync(join(dir, 'own.yaml'), 'name: own\ntable-size: 5\nmatch: all\nactions: [output]\nmax-outputs: 1\n')
  const text = good.replace('profile: tiny', 'profile: own.yaml')
  expect(complaint(text, join(dir, 's.yaml'))).toBe('accepted')
  expect(complaint(text, '/nowhere/s.yaml')).toMatch(/eswitches\.nic0\.profile: \/nowhere\/own\.yaml: no such file/)
  rmSync(dir, { recursive: true })
})
