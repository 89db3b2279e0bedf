import { describe, expect, it } from 'vitest'
import { act, actionsOf, bridgeWith, TCP, translated } from './translate-kit.ts'

const both = (actions: string, flow: string): [string, string] => {
  const { actions: text, megaflow } = translated(bridgeWith(`actions=${actions}`).ofproto, flow)
  return [text, megaflow]
}

describe('writing fields', () => {
  it.each([
    [
      'mod_dl_src:02:00:00:00:00:09,output:2',
      'set(eth(src=02:00:00:00:00:09)),12',
      'ip,dl_src=02:00:00:00:00:01,nw_frag=no',
    ],
    ['mod_nw_dst:10.0.0.9,output:2', 'set(ipv4(dst=10.0.0.9)),12', 'tcp,nw_dst=10.0.0.2,nw_frag=no'],
    ['mod_nw_tos:184,output:2', 'set(ipv4(tos=0xb8/0xfc)),12', 'tcp,nw_tos=0,nw_frag=no'],
    ['mod_tp_dst:81,output:2', 'set(tcp(dst=81)),12', 'tcp,nw_frag=no,tp_dst=80'],
    ['dec_ttl,output:2', 'set(ipv4(ttl=63)),12', 'tcp,nw_ttl=64,nw_frag=no'],
    ['set_queue:5,output:2,pop_queue,output:3', 'set(skb_priority(0x5)),12,set(skb_priority(0)),13', 'skb_priority=0'],
    [
      'load:9->NXM_OF_ETH_DST[0..7],output:2',
      'set(eth(dst=00:00:00:00:00:09/00:00:00:00:00:ff)),12',
      'dl_dst=00:00:00:00:00:02/00:00:00:00:00:ff',
    ],
    [
      'move:NXM_OF_ETH_SRC[0..7]->NXM_OF_ETH_DST[0..7],output:2',
      'set(eth(dst=00:00:00:00:00:01/00:00:00:00:00:ff)),12',
      'dl_src=00:00:00:00:00:01/00:00:00:00:00:ff',
    ],
    ['load:7->NXM_NX_PKT_MARK[],output:2', 'set(skb_mark(0x7)),12', 'pkt_mark=0'],
  ])('%s', (actions, expected, looked) => {
    const [text, megaflow] = both(actions, TCP)
    expect(text).toBe(expected)
    for (const part of looked.split(',')) expect(megaflow.split(',')).toContain(part)
  })

  it('sets several fields of a header at once, and nothing that has the value already', () => {
    expect(act('mod_dl_src:02:00:00:00:00:08,mod_dl_dst:02:00:00:00:00:09,output:2', TCP)).toBe(
      'set(eth(src=02:00:00:00:00:08,dst=02:00:00:00:00:09)),12',
    )
    const [text, megaflow] = both('mod_dl_dst:02:00:00:00:00:02,output:2', TCP)
    expect(text).toBe('12')
    expect(megaflow).toContain('dl_dst=02:00:00:00:00:02')
  })

  it('commits only what an output needs', () => {
    expect(act('mod_dl_src:02:00:00:00:00:08,mod_dl_src:02:00:00:00:00:09', TCP)).toBe('drop')
    expect(act('mod_dl_src:02:00:00:00:00:08,output:2,mod_dl_src:02:00:00:00:00:01,output:3', TCP)).toBe(
      'set(eth(src=02:00:00:00:00:08)),12,set(eth(src=02:00:00:00:00:01)),13',
    )
  })

  it('leaves packets alone that have no such field', () => {
    expect(act('mod_nw_src:10.0.0.9,mod_tp_src:9,dec_ttl,output:2', 'arp,arp_spa=10.0.0.1')).toBe('12')
    expect(act('mod_tp_dst:9,output:2', 'icmp,icmp_type=8')).toBe('12')
    expect(act('mod_tp_dst:9,output:2', 'udp,nw_frag=later')).toBe('12')
    expect(act('mod_tp_dst:9,output:2', 'udp,nw_frag=first,tp_dst=80')).toBe('set(udp(dst=9)),12')
  })

  it('writes ARP, neighbour discovery and ICMP', () => {
    expect(actionsOf(['arp,actions=set_field:2->arp_op,output:2'], 'arp,arp_op=1')).toBe('set(arp(op=2)),12')
    expect(
      actionsOf(
        ['icmp6,icmp_type=135,actions=set_field:fe80::9->nd_target,output:2'],
        'icmp6,icmp_type=135,nd_target=fe80::1',
      ),
    ).toBe('set(nd(target=fe80::9)),12')
    expect(actionsOf(['icmp,actions=set_field:0->icmp_type,output:2'], 'icmp,icmp_type=8,icmp_code=1')).toBe(
      'set(icmp(type=0,code=1)),12',
    )
  })

  it('decrements the hop limit of IPv6 too', () => {
    expect(act('dec_ttl,output:2', 'tcp6,nw_ttl=64')).toBe('set(ipv6(hlimit=63)),12')
  })

  it('stops the list, and says why, when the TTL has run out', () => {
    expect(act('dec_ttl,output:2', 'udp,nw_ttl=1')).toBe('drop(ttl-exceeded)')
    expect(act('output:3,dec_ttl,output:2', 'udp,nw_ttl=0')).toBe('13')
    expect(actionsOf(['actions=resubmit(,1),output:3', 'table=1,actions=dec_ttl,output:2'], 'udp,nw_ttl=1')).toBe('13')
  })
})

describe('registers and metadata', () => {
  it('views registers in pairs and fours', () => {
    const rules = [
      'actions=load:0x0000000100000002->OXM_OF_PKT_REG0[],resubmit(,1)',
      'table=1,reg0=1,reg1=2,actions=set_field:0x5->xxreg1,resubmit(,2)',
      'table=2,reg7=5,xreg3=5,actions=output:2',
    ]
    expect(actionsOf(rules, TCP)).toBe('12')
  })

  it('writes metadata under a mask', () => {
    const rules = [
      'actions=write_metadata:0xff00/0xff00,goto_table:1',
      'table=1,actions=write_metadata:0x1/0xf,goto_table:2',
      'table=2,metadata=0xff01,actions=output:2',
    ]
    expect(actionsOf(rules, TCP)).toBe('12')
  })

  it('does not make them part of the flow', () => {
    const rules = [
      'tcp,actions=move:NXM_OF_TCP_DST[]->NXM_NX_REG0[0..15],resubmit(,1)',
      'table=1,reg0=80,actions=output:2',
    ]
    expect(translated(bridgeWith(...rules).ofproto, TCP).megaflow).toBe('tcp,nw_frag=no,tp_dst=80')
  })
})
