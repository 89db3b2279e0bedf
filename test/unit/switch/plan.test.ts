import { expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/load.ts'
import { loadProfile } from '../../../src/eswitch/profile-file.ts'
import { canAdjust, type PortPlan, planOf, samePlan } from '../../../src/switch/plan.ts'

const text = `control: /run/x.ctl
eswitches:
  nic0: { profile: tiny, ports: { vf0: { role: vf, netns: g, mtu: 1400 }, p0: { role: uplink } } }
bridges:
  br0:
    internal: { addresses: [10.0.0.1/24] }
    ports: { vf0: { tag: 5 }, p0: {}, t0: { type: tap }, e0: { type: packet }, pa: { type: patch, options: { peer: pb } } }
  br1:
    ports: { pb: { type: patch, options: { peer: pa } } }
    flows: ["actions=drop"]
`
const plan = () => planOf(parseConfig(text, 'x.yaml'), (name) => loadProfile(name))

test('a configuration becomes the ports to open and the bridges to make', () => {
  const { eswitches, ports, bridges } = plan()
  expect(eswitches).toMatchObject([{ name: 'nic0', profile: { tableSize: 16 } }])
  expect(ports.map(({ name, kind, eswitch }) => [name, kind, eswitch])).toEqual([
    ['vf0', 'representor', 'nic0'],
    ['p0', 'representor', 'nic0'],
    ['br0', 'internal', undefined],
    ['t0', 'tap', undefined],
    ['e0', 'packet', undefined],
  ])
  expect(bridges.map(({ name, flows, ports: own }) => [name, flows, own.map((port) => port.name)])).toEqual([
    ['br0', undefined, ['br0', 'vf0', 'p0', 't0', 'e0', 'pa']],
    ['br1', ['actions=drop'], ['pb']],
  ])
  expect(bridges[0]!.ports.find((port) => port.name === 'pa')).toMatchObject({ peer: 'pb' })
})

test('the same file gives the same plan, another profile another', () => {
  expect(samePlan(plan(), plan())).toBe(true)
  const [nic] = plan().eswitches
  expect(samePlan(nic!, { ...nic!, profile: loadProfile('default') })).toBe(false)
})

test.each<[string, Partial<PortPlan>, Partial<PortPlan>, boolean]>([
  ['nothing', {}, {}, true],
  ['an MTU', { mtu: 1400 }, { mtu: 1500 }, true],
  ['an MTU that was open', {}, { mtu: 1500 }, true],
  ['an MTU that is open now', { mtu: 1500 }, {}, false],
  ['a MAC', { mac: '02:00:00:00:00:01' }, { mac: '02:00:00:00:00:02' }, true],
  ['a MAC that is open now', { mac: '02:00:00:00:00:01' }, {}, false],
  ['addresses', { addresses: ['10.0.0.1/24'] }, {}, true],
  ['a namespace', { netns: 'a' }, { netns: 'b' }, false],
  ['persistence', {}, { persist: true }, false],
  ['an MTU and a kind', { mtu: 1400 }, { mtu: 1500, kind: 'packet' }, false],
])('%s can be changed while frames pass, or not', (_, before, after, can) => {
  const base: PortPlan = { name: 'x', kind: 'tap', offloads: 'best', persist: false }
  expect(canAdjust({ ...base, ...before }, { ...base, ...after })).toBe(can)
})
