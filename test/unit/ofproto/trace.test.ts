import { describe, expect, it } from 'vitest'
import { parseTraceArgs, type TraceVerdict, trace } from '../../../src/ofproto/trace.ts'
import { bridgeWith, TCP } from './translate-kit.ts'

const traced = (rules: readonly string[], args: readonly string[], verdict?: TraceVerdict): string => {
  const { key, inPort } = parseTraceArgs(bridgeWith(...rules).ofproto, args)
  return trace(key, inPort, verdict)
}

const ETH = 'dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02'

describe('ofproto/trace', () => {
  it('tells the way through NORMAL', () => {
    expect(traced(['priority=0,actions=NORMAL'], ['br0', `in_port=1,${ETH},dl_type=0x1234`])).toBe(
      [
        'Flow: in_port=1,vlan_tci=0x0000,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,dl_type=0x1234',
        '',
        'bridge("br0")',
        '-------------',
        ' 0. priority 0',
        '    NORMAL',
        '     -> no learned MAC for destination, flooding',
        '',
        'Final flow: unchanged',
        'Megaflow: recirc_id=0,eth,in_port=1,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,dl_type=0x1234',
        'Datapath actions: 12,13,14,10',
      ].join('\n'),
    )
  })

  it('indents tables that come back, and not the last', () => {
    const text = traced(
      ['actions=resubmit(,1),output:3', 'table=1,priority=5,cookie=0x7,ip,actions=drop'],
      ['br0', `in_port=1,${TCP}`],
    )
    expect(text).toContain(
      [
        ' 0. priority 32768',
        '    resubmit(,1)',
        '     1. ip, priority 5, cookie 0x7',
        '            drop',
        '    output:3',
      ].join('\n'),
    )
  })

  it("takes a flow of the datapath, by the datapath's port", () => {
    const text = traced(
      ['actions=output:2'],
      ['in_port(13),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x1234)'],
    )
    expect(text).toContain('Flow: in_port=3,')
    expect(text).toContain('Datapath actions: 12')
  })

  it('changes nothing', () => {
    const { ofproto, bridge } = bridgeWith('priority=0,actions=NORMAL')
    const { key, inPort } = parseTraceArgs(ofproto, ['br0', `in_port=1,${ETH}`])
    const before = ofproto.version
    trace(key, inPort)
    expect(ofproto.version).toBe(before)
    expect(bridge.macs.size).toBe(0)
    expect(bridge.tables.table(0)!.covered({ key: new Int32Array(80), mask: new Int32Array(80) })[0]!.packets).toBe(0)
  })

  it('lets the tiers below add what they would do, when there is something to do', () => {
    const verdict: TraceVerdict = ({ inPort, match, actions }) =>
      `dp ${inPort.dpPort}/${match.key[1]}: ${actions.length}`
    expect(traced(['actions=output:2'], ['br0', 'in_port=1'], verdict)).toMatch(/\ndp 11\/11: 1$/)
    expect(traced(['actions=resubmit(,0)'], ['br0', 'in_port=1'], verdict)).toMatch(
      /Datapath actions: drop\(recursion-too-deep\)\nTranslation failed \(recursion-too-deep\), packet is dropped\.$/,
    )
  })

  it.each([
    [['br7', 'in_port=1'], 'br7: unknown bridge'],
    [['br0', 'tcp'], 'expected in_port=PORT'],
    [['br0', 'in_port=77'], 'bridge br0 has no port 77'],
    [['br0', 'in_port=1,tp_dst=80'], 'tp_dst'],
    [['in_port(77),eth()'], 'no OpenFlow port for datapath port 77'],
    [['in_port(x'], "'(' is not closed"],
  ])('refuses %j', (args, message) => {
    expect(() => traced([], args)).toThrow(message)
  })
})
