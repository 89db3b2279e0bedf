import { describe, expect, it } from 'vitest'
import { act, actionsOf, bridgeWith, TCP, translated } from './translate-kit.ts'

describe('tables', () => {
  it('resubmits to a table, by another port, or both, and comes back', () => {
    const rules = [
      'table=0,in_port=1,actions=resubmit(3,),resubmit(,1),resubmit(4,1),output:2',
      'table=0,in_port=3,actions=output:4',
      'table=1,in_port=1,actions=output:3',
      'table=1,in_port=4,actions=LOCAL',
    ]
    expect(actionsOf(rules, TCP)).toBe('14,13,10,12')
  })

  it('drops what no rule matches, also later, without undoing what was done', () => {
    expect(actionsOf([], TCP)).toBe('drop')
    expect(actionsOf(['actions=output:2,resubmit(,7),output:3'], TCP)).toBe('12,13')
  })

  it('looks only at what rules ask', () => {
    const { ofproto } = bridgeWith(
      'priority=2,ip,nw_dst=10.0.0.0/8,actions=goto_table:1',
      'table=1,tcp,tp_dst=80,actions=output:2',
    )
    expect(translated(ofproto, 'arp').megaflow).toBe('arp')
    expect(translated(ofproto, TCP).megaflow).toBe('tcp,nw_dst=10.0.0.0/8,nw_frag=no,tp_dst=80')
  })

  it('hides ports of fragments, the first one included', () => {
    const rules = ['priority=2,udp,tp_dst=80,actions=output:2', 'priority=1,actions=output:3']
    expect(actionsOf(rules, 'udp,tp_dst=80')).toBe('12')
    expect(actionsOf(rules, 'udp,tp_dst=80,nw_frag=first')).toBe('13')
    expect(actionsOf(rules, 'udp,nw_frag=later')).toBe('13')
  })

  it('counts each rule on the way, in order', () => {
    const { ofproto } = bridgeWith('actions=resubmit(,1),resubmit(,1)', 'table=1,actions=output:2')
    const { effects } = translated(ofproto, TCP).result
    expect(effects.map((effect) => (effect.type === 'rule' ? effect.rule.table : effect.type))).toEqual([0, 1, 1])
  })
})

describe('the action set', () => {
  it("is carried out at the end, in OpenFlow's order", () => {
    expect(act('write_actions(output:2,push_vlan:0x8100,mod_dl_src:02:00:00:00:00:09)', TCP)).toBe(
      'set(eth(src=02:00:00:00:00:09)),push_vlan(vid=0,pcp=0),12',
    )
    expect(actionsOf(['actions=write_actions(output:2),goto_table:1', 'table=1,actions=output:3'], TCP)).toBe('13,12')
  })

  it('keeps the last of each kind', () => {
    const rules = ['actions=write_actions(output:2),goto_table:1', 'table=1,actions=write_actions(output:3)']
    expect(actionsOf(rules, TCP)).toBe('13')
  })

  it('does nothing without an output', () => {
    expect(act('write_actions(mod_dl_src:02:00:00:00:00:09)', TCP)).toBe('drop')
  })

  it('is emptied by clear_actions', () => {
    const rules = ['actions=write_actions(output:2),goto_table:1', 'table=1,actions=clear_actions']
    expect(actionsOf(rules, TCP)).toBe('drop')
  })

  it('tells later tables where it outputs', () => {
    const rules = ['actions=write_actions(output:2),goto_table:1', 'table=1,actset_output=2,actions=output:3']
    expect(actionsOf(rules, TCP)).toBe('13,12')
  })
})

describe('clone', () => {
  it('undoes what was done inside', () => {
    expect(act('clone(mod_dl_dst:02:00:00:00:00:09,output:2),output:3', TCP)).toBe(
      'set(eth(dst=02:00:00:00:00:09)),12,set(eth(dst=02:00:00:00:00:02)),13',
    )
    const rules = ['actions=clone(load:5->NXM_NX_REG0[]),resubmit(,1)', 'table=1,reg0=0,actions=output:2']
    expect(actionsOf(rules, TCP)).toBe('12')
  })

  it('keeps an action set of its own', () => {
    const rules = ['actions=clone(resubmit(,1)),output:3', 'table=1,actions=write_actions(output:2)']
    expect(actionsOf(rules, TCP)).toBe('12,13')
  })

  it("becomes the datapath's where labels were pushed, which the key cannot undo", () => {
    expect(act('mod_dl_dst:02:00:00:00:00:09,clone(push_mpls:0x8847,output:2),output:3', TCP)).toBe(
      'set(eth(dst=02:00:00:00:00:09)),clone(push_mpls(label=0,tc=0,ttl=64,bos=1,eth_type=0x8847),12),13',
    )
  })
})
