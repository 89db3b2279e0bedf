import { describe, expect, it } from 'vitest'
import { createKey, K_IN_PORT } from '../../../src/flow/key.ts'
import { translate } from '../../../src/ofproto/translate/translate.ts'
import { act, actionsOf, addPorts, bridgeWith, TCP, translated } from './translate-kit.ts'

describe('output', () => {
  it.each([
    ['output:2,output:3', '12,13'],
    ['LOCAL', '10'],
    ['in_port', '11'],
    ['output:1', 'drop'],
    ['output:9', 'drop'],
    ['drop', 'drop'],
    ['FLOOD', '12,13,14,10'],
    ['ALL', '12,13,14,10'],
    ['load:3->NXM_NX_REG0[],output:NXM_NX_REG0[]', '13'],
    ['load:0x10003->NXM_NX_REG0[],output:NXM_NX_REG0[]', 'drop'],
    ['CONTROLLER:65535', 'drop(no-controller)'],
    ['CONTROLLER:65535,output:2', '12'],
  ])('%s gives %s', (actions, expected) => {
    expect(act(actions, TCP)).toBe(expected)
  })

  it('leaves ports out of floods, and of everything, as their flags say', () => {
    const { ofproto, bridge } = bridgeWith(
      'in_port=1,actions=FLOOD',
      'in_port=2,actions=ALL',
      'in_port=3,actions=output:4',
    )
    bridge.setPortFlags('br0-4', { noFlood: true })
    expect(translated(ofproto, 'in_port=1').actions).toBe('12,13,10')
    expect(translated(ofproto, 'in_port=2').actions).toBe('11,13,14,10')
    bridge.setPortFlags('br0-4', { noForward: true })
    expect(translated(ofproto, 'in_port=3').actions).toBe('drop')
    bridge.setPortFlags('br0-1', { noReceive: true })
    expect(translated(ofproto, 'in_port=1').actions).toBe('drop')
  })

  it('drops, with a reason, what was recirculated by nobody', () => {
    const { ofproto } = bridgeWith('actions=output:2')
    const key = createKey()
    key[0] = 7
    key[K_IN_PORT] = 11
    const inPort = ofproto.portByDp(11)!
    expect(translate({ key, inPort, learn: false, used: 0, reporter: null }).error).toBe('no-recirculation-context')
  })

  it('carries out a list of actions instead of rules', () => {
    const { ofproto } = bridgeWith()
    const key = createKey()
    key[K_IN_PORT] = 11
    const inPort = ofproto.portByDp(11)!
    const actions = [{ type: 'output', port: 3 }] as const
    const result = translate({ key, inPort, learn: false, used: 0, reporter: null, actions })
    expect(result.actions).toEqual([{ type: 'output', port: 13 }])
    expect(result.effects).toEqual([])
  })
})

describe('patch ports', () => {
  const joined = (first: readonly string[], second: readonly string[]) => {
    const made = bridgeWith(...first)
    const far = made.ofproto.addBridge('br1', { normal: false })
    addPorts(far, 20, [1, 2])
    made.bridge.addPort({ name: 'a', peer: 'b', ofport: 9 })
    far.addPort({ name: 'b', peer: 'a', ofport: 9 })
    const other = bridgeWith(...second).bridge
    for (const table of other.tables.tables()) {
      for (const rule of table.covered({ key: createKey(), mask: createKey() }))
        far.tables.add({ ...rule, cookieMask: 0n, checkOverlap: false, resetCounts: false, outPort: 0xffff })
    }
    return { ...made, far }
  }

  it('zeroes registers and metadata in the next bridge, and gives them back', () => {
    const { ofproto } = joined(
      [
        'actions=load:5->NXM_NX_REG0[],set_field:7->metadata,output:9,resubmit(,1)',
        'table=1,reg0=5,metadata=7,actions=output:3',
      ],
      ['priority=2,reg0=0,metadata=0,in_port=9,actions=output:1', 'priority=1,actions=output:2'],
    )
    expect(translated(ofproto, TCP).actions).toBe('21,13')
  })

  it("undoes the next bridge's changes for what follows", () => {
    const { ofproto } = joined(
      ['actions=output:9,output:3'],
      ['actions=mod_dl_dst:02:00:00:00:00:09,push_vlan:0x8100,dec_ttl,output:1'],
    )
    expect(translated(ofproto, `${TCP}`).actions).toBe(
      'set(eth(dst=02:00:00:00:00:09)),set(ipv4(ttl=63)),push_vlan(vid=0,pcp=0),21,' +
        'set(eth(dst=02:00:00:00:00:02)),set(ipv4(ttl=64)),pop_vlan,13',
    )
  })

  it('keeps the action sets of bridges apart', () => {
    const near = ['actions=write_actions(output:2),goto_table:1', 'table=1,actions=output:9']
    const { ofproto } = joined(near, ['actions=write_actions(output:1)'])
    expect(translated(ofproto, TCP).actions).toBe('21,12')
    const silent = joined(near, ['actions=drop'])
    expect(translated(silent.ofproto, TCP).actions).toBe('12')
  })

  it('goes nowhere without a peer that points back', () => {
    const { ofproto, bridge, far } = joined(['actions=output:9'], ['actions=output:1'])
    bridge.reconfigurePort('a', { peer: 'elsewhere' })
    expect(translated(ofproto, TCP).actions).toBe('drop')
    bridge.reconfigurePort('a', { peer: 'b' })
    expect(translated(ofproto, TCP).actions).toBe('21')
    far.deletePort('b')
    expect(translated(ofproto, TCP).actions).toBe('drop')
  })

  it('ends a loop of bridges, with a reason', () => {
    const { ofproto, far, bridge } = joined(['actions=ALL'], ['actions=ALL'])
    bridge.addPort({ name: 'c', peer: 'd', ofport: 8 })
    far.addPort({ name: 'd', peer: 'c', ofport: 8 })
    expect(translated(ofproto, TCP).actions).toMatch(/^drop\((recursion-too-deep|too-many-)/)
  })

  it("does not let the far side's trouble with its copy take the other outputs along", () => {
    const { ofproto } = joined(
      ['actions=output:9,output:3'],
      ['actions=push_vlan:0x8100,push_vlan:0x8100,resubmit(,1)', 'table=1,actions=push_vlan:0x8100,output:1'],
    )
    expect(translated(ofproto, TCP).actions).toBe('13')
  })
})

describe('limits', () => {
  it('bounds depth and number of resubmits', () => {
    expect(actionsOf(['actions=resubmit(,0)'], TCP)).toBe('drop(recursion-too-deep)')
    const ladder = Array.from({ length: 13 }, (_, i) => `table=${i},actions=resubmit(,${i + 1}),resubmit(,${i + 1})`)
    expect(actionsOf([...ladder, 'table=13,actions=output:2'], TCP)).toBe('drop(too-many-resubmits)')
  })
})
