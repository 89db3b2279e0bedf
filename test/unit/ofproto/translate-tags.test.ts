import { describe, expect, it } from 'vitest'
import { act, bridgeWith, TCP, translated } from './translate-kit.ts'

describe('VLAN actions', () => {
  it.each([
    ['', 'push_vlan:0x8100,output:2', 'push_vlan(vid=0,pcp=0),12'],
    ['', 'push_vlan:0x88a8,mod_vlan_vid:7,output:2', 'push_vlan(tpid=0x88a8,vid=7,pcp=0),12'],
    ['', 'mod_vlan_vid:7,output:2', 'push_vlan(vid=7,pcp=0),12'],
    ['', 'mod_vlan_pcp:3,output:2', 'push_vlan(vid=0,pcp=3),12'],
    ['', 'strip_vlan,output:2', '12'],
    ['dl_vlan=5,', 'strip_vlan,output:2', 'pop_vlan,12'],
    ['dl_vlan=5,', 'mod_vlan_vid:7,output:2', 'pop_vlan,push_vlan(vid=7,pcp=0),12'],
    ['dl_vlan=5,', 'mod_vlan_vid:5,output:2', '12'],
    ['dl_vlan=5,dl_vlan_pcp=6,', 'mod_vlan_vid:7,output:2', 'pop_vlan,push_vlan(vid=7,pcp=6),12'],
    ['dl_vlan=5,', 'push_vlan:0x88a8,mod_vlan_vid:7,output:2', 'push_vlan(tpid=0x88a8,vid=7,pcp=0),12'],
    ['dl_vlan=5,', 'push_vlan:0x8100,push_vlan:0x8100,output:2', 'drop(too-many-vlan-tags)'],
    ['dl_vlan=5,', 'push_vlan:0x8100,strip_vlan,strip_vlan,output:2', 'pop_vlan,12'],
    ['', 'load:0x1007->NXM_OF_VLAN_TCI[],output:2', 'push_vlan(vid=7,pcp=0),12'],
    ['dl_vlan=5,', 'load:0->NXM_OF_VLAN_TCI[],output:2', 'pop_vlan,12'],
    ['', 'load:7->NXM_OF_VLAN_TCI[0..11],output:2', '12'],
  ])('%s%s', (tag, actions, expected) => {
    expect(act(actions, `${tag}${TCP}`)).toBe(expected)
  })

  it('looks at a tag only where it matters', () => {
    const at = (actions: string, flow: string): string =>
      translated(bridgeWith(`actions=${actions}`).ofproto, flow).megaflow
    expect(at('output:2', 'dl_vlan=5,arp')).toBe('arp')
    expect(at('mod_vlan_vid:5,output:2', 'dl_vlan=5,dl_vlan_pcp=3,arp')).toBe('arp,dl_vlan=5')
    expect(at('mod_vlan_vid:7,output:2', 'dl_vlan=5,dl_vlan_pcp=3,arp')).toBe('arp,dl_vlan=5,dl_vlan_pcp=3')
    expect(at('strip_vlan,output:2', 'arp')).toBe('arp')
  })
})

describe('MPLS actions', () => {
  it('pushes with class and TTL of the packet, and pops', () => {
    expect(act('push_mpls:0x8847,output:2', `${TCP},nw_tos=184`)).toBe(
      'push_mpls(label=0,tc=6,ttl=64,bos=1,eth_type=0x8847),12',
    )
    expect(act('push_mpls:0x8847,output:2', 'tcp6,nw_ttl=9')).toBe(
      'push_mpls(label=2,tc=0,ttl=9,bos=1,eth_type=0x8847),12',
    )
    expect(act('pop_mpls:0x0800,output:2', 'mpls,mpls_label=5,mpls_bos=1,mpls_ttl=9')).toBe(
      'pop_mpls(eth_type=0x800),12',
    )
    expect(act('pop_mpls:0x0800,output:2', TCP)).toBe('12')
  })

  it('writes the label that is on top', () => {
    expect(act('push_mpls:0x8847,set_field:77->mpls_label,output:2', TCP)).toBe(
      'push_mpls(label=77,tc=0,ttl=64,bos=1,eth_type=0x8847),12',
    )
    const { ofproto } = bridgeWith('mpls,actions=set_field:77->mpls_label,output:2')
    expect(translated(ofproto, 'mpls,mpls_label=5,mpls_bos=1,mpls_ttl=9').actions).toBe(
      'set(mpls(label=77,tc=0,ttl=9,bos=1)),12',
    )
  })

  it('refuses a fourth label, and a look-up behind the last one', () => {
    expect(act('push_mpls:0x8847,push_mpls:0x8847,push_mpls:0x8847,push_mpls:0x8847,output:2', TCP)).toBe(
      'drop(too-many-mpls-labels)',
    )
    const { ofproto } = bridgeWith('mpls,actions=pop_mpls:0x0800,resubmit(,1)', 'table=1,actions=output:2')
    expect(translated(ofproto, 'mpls,mpls_bos=1').actions).toBe('drop(recirculation-unsupported)')
  })
})

describe('clones that the datapath must make', () => {
  it('are bounded also when they nest', () => {
    const body = 'push_mpls:0x8847,output:2,pop_mpls:0x0800'
    const nested = Array.from({ length: 15 }).reduce<string>((inner) => `clone(${body},${inner})`, 'output:3')
    expect(act(nested, TCP)).toBe('drop(too-many-resubmits)')
    expect(act(`clone(${body},clone(${body},output:3)),output:4`, TCP)).toMatch(/^clone\(push_mpls.*\),14$/)
  })
})
