import { expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/load.ts'

const good = `control: /run/tapswitch/hv1.ctl
eswitches:
  nic0:
    profile: default
    switch-id: "0a:00:00:00:00:01"
    ports:
      p0:  { role: uplink, netns: fabric, mtu: 1600 }
      vf0: { role: vf, netns: vm1, mtu: 1500, mac: "02:00:00:00:01:01" }
bridges:
  br-phy:
    internal: { addresses: [192.168.0.1/24], mtu: 1600 }
    ports: { p0: {}, pa: { type: patch, options: { peer: pb } } }
  br-int:
    ports:
      vf0: { tag: 10, ofport: 1 }
      tap9: { type: tap, netns: c9, tag: 10 }
      pb: { type: patch, options: { peer: pa } }
      none:
        type: tap
    flows:
      - "table=0,priority=0,actions=NORMAL"
`
const complaint = (text: string): string => {
  try {
    parseConfig(text, 'x.yaml')
  } catch (error) {
    return (error as Error).message
  }
  return 'accepted'
}

test('the shape of the design is accepted and defaults are filled in', () => {
  const config = parseConfig(good, 'x.yaml')
  expect(config.bridges['br-int']?.ports['vf0']).toMatchObject({ tag: 10, ofport: 1, protected: false })
  expect(config.bridges['br-phy']?.flows).toBeUndefined()
  expect(config.offload.enabled).toBe(true)
})

test.each([
  [
    'an unknown key',
    good.replace('role: uplink', 'rolle: uplink'),
    /x\.yaml:7:14: .*unknown key "rolle"; one of role, netns/,
  ],
  [
    'a wrong role',
    good.replace('role: uplink', 'role: pf'),
    /x\.yaml:7:20: eswitches\.nic0\.ports\.p0\.role: "vf" or "uplink" expected/,
  ],
  ['broken YAML', 'control: [', /x\.yaml:1:\d+: /],
  [
    'a port without a type',
    good.replace('{ type: tap, netns: c9, tag: 10 }', '{ tag: 10 }'),
    /x\.yaml:16:13: .*tap9 is on no eswitch: "type" expected/,
  ],
  ['a missing peer', good.replace('peer: pb', 'peer: zz'), /peer zz: no bridge has a port of that name/],
  ['a name taken', good.replace('tap9:', 'vf0:'), /x\.yaml:16:\d+: .*Map keys must be unique/],
  ['a bridge named as a port', good.replaceAll('tap9', 'br-phy'), /port name br-phy is taken by bridge br-phy/],
  ['an ofport taken', good.replace('netns: c9', 'ofport: 1'), /ofport 1 is taken by vf0/],
  ['a relative socket', good.replace('/run/tapswitch/hv1.ctl', 'hv1.ctl'), /x\.yaml:1:10: control: an absolute path/],
  ['a long name', good.replaceAll('tap9', 'averyveryverylongname'), /1 to 15 characters/],
  ['no control', 'bridges: {}', /control/],
])('%s is refused with its place and what was expected', (_, text, message) => {
  expect(complaint(text)).toMatch(message)
})
