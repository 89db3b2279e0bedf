import { describe, expect, it } from 'vitest'
import { parseFlow } from '../../../src/flow/ofp-text.ts'
import { SLICE_MS } from '../../../src/ofproto/revalidate.ts'
import { addRules, createLab, frame, type Lab, shown } from './kit.ts'

const A = 0x020000000001

const lab = (...rules: string[]): Lab => {
  const made = createLab()
  const bridge = made.ofproto.addBridge('br0', { normal: false })
  addRules(bridge, ...rules)
  for (const no of [1, 2, 3]) bridge.addPort({ name: `p${no}`, dpPort: no, ofport: no })
  return made
}

const manyFlows = (made: Lab, flows: number): void => {
  for (let i = 0; i < flows; i++) made.dpif.receive(1, frame({ src: A + i }))
  expect(made.dpif.flowCount).toBe(flows)
}

describe('revalidation', () => {
  it('gives flows their new actions in place', () => {
    const { dpif, ofproto, pass } = lab('actions=output:2')
    dpif.receive(1, frame({}))
    addRules(ofproto.bridge('br0')!, 'actions=output:3')
    pass(50)
    expect(dpif.log).toEqual(['put 0', 'done', 'mod 0'])
    expect(shown(dpif.receive(1, frame({})))).toEqual(['3'])
  })

  it('deletes flows that would have to look at more than they do', () => {
    const { dpif, ofproto, pass } = lab('priority=1,actions=output:2')
    dpif.receive(1, frame({ src: A }))
    addRules(ofproto.bridge('br0')!, 'priority=2,dl_src=02:00:00:00:00:02,actions=drop')
    pass(50)
    expect(dpif.flowCount).toBe(0)
    expect(dpif.receive(1, frame({ src: A + 1 }))).toEqual([])
    expect(shown(dpif.receive(1, frame({ src: A })))).toEqual(['2'])
  })

  it('keeps a flow that looks at more than it now must', () => {
    const { dpif, ofproto, pass } = lab(
      'priority=1,actions=output:2',
      'priority=2,dl_src=02:00:00:00:00:07,actions=drop',
    )
    dpif.receive(1, frame({ src: A }))
    ofproto.bridge('br0')!.tables.delete(parseFlow('dl_src=02:00:00:00:00:07', { kind: 'delete' }), false)
    pass(50)
    expect(dpif.log).toEqual(['put 0', 'done'])
  })

  it('does not touch the datapath when nothing changed', () => {
    const { dpif, pass, udpif } = lab('actions=output:2')
    dpif.receive(1, frame({}))
    pass(3000)
    expect(dpif.log).toEqual(['put 0', 'done'])
    expect(udpif.status().revalidation.translated).toBe(0)
    expect(udpif.status().revalidation.passes).toBeGreaterThan(3)
  })

  it('takes the flows of a removed port out, and sends nothing to it', () => {
    const { dpif, ofproto, pass } = lab('in_port=1,actions=output:2,output:3', 'in_port=2,actions=output:1')
    dpif.receive(1, frame({}))
    dpif.receive(2, frame({}))
    ofproto.bridge('br0')!.deletePort('p2')
    pass(50)
    expect(dpif.flows().map(({ actions }) => actions)).toEqual([[{ type: 'output', port: 3 }]])
  })

  it('ages idle flows, and keeps those in use', () => {
    const { dpif, pass } = lab('priority=1,actions=output:2', 'priority=2,dl_src=02:00:00:00:00:07,actions=drop')
    dpif.receive(1, frame({ src: A }))
    dpif.receive(1, frame({ src: A + 6 }))
    for (let i = 0; i < 12; i++) {
      dpif.receive(1, frame({ src: A }))
      pass(1000)
    }
    expect(dpif.flowCount).toBe(1)
    expect(shown(dpif.receive(1, frame({ src: A })))).toEqual(['2'])
    expect(dpif.upcalls).toBe(2)
    pass(11_000)
    expect(dpif.flowCount).toBe(0)
  })

  it('obeys a shorter max-idle', () => {
    const { dpif, pass, udpif } = lab('actions=output:2')
    udpif.revalidator.maxIdle = 1000
    dpif.receive(1, frame({}))
    pass(1600)
    expect(dpif.flowCount).toBe(0)
  })

  it('lets rules time out only after the traffic of cached flows was credited', () => {
    const { dpif, ofproto, pass } = lab('idle_timeout=5,actions=output:2')
    const { tables } = ofproto.bridge('br0')!
    for (let i = 0; i < 10; i++) {
      dpif.receive(1, frame({}))
      pass(1000)
    }
    expect(dpif.upcalls).toBe(1)
    expect(tables.size).toBe(1)
    pass(6000)
    expect(tables.size).toBe(0)
    expect(dpif.receive(1, frame({}))).toEqual([])
  })

  it('works in slices of bounded length', () => {
    const made = lab('priority=1,actions=NORMAL')
    manyFlows(made, 300)
    made.pass(50)
    const before = made.udpif.status().revalidation.slices
    made.scheduler.perLook = 0.7
    addRules(made.ofproto.bridge('br0')!, 'priority=1,actions=output:2')
    made.pass(400)
    const { slices, longestSlice } = made.udpif.status().revalidation
    expect(slices - before).toBeGreaterThan(300 / 4 / 4)
    expect(longestSlice).toBeLessThan(SLICE_MS + 2 * 0.7 + 0.01)
    expect(new Set(made.dpif.flows().map(({ actions }) => JSON.stringify(actions)))).toEqual(
      new Set(['[{"type":"output","port":2}]']),
    )
  })

  it('does not miss a change that comes in the middle of a pass', () => {
    const made = lab('priority=1,actions=NORMAL')
    manyFlows(made, 100)
    made.pass(50)
    made.scheduler.perLook = 1
    const { tables } = made.ofproto.bridge('br0')!
    tables.add(parseFlow('priority=1,actions=output:2'))
    let slice = 0
    made.scheduler.advance(20, () => {
      if (++slice === 5) tables.add(parseFlow('priority=1,actions=output:3'))
    })
    expect(slice).toBeGreaterThan(5)
    made.scheduler.advance(2000)
    for (const { actions } of made.dpif.flows()) expect(actions).toEqual([{ type: 'output', port: 3 }])
  })

  it('puts a pause between passes that changes one by one ask for', () => {
    const made = lab('priority=1,actions=NORMAL')
    let passes = 0
    for (let i = 0; i < 100; i++) {
      made.dpif.receive(1, frame({ src: A + i }))
      made.scheduler.advance(1)
      passes = made.udpif.status().revalidation.passes
    }
    expect(passes).toBeGreaterThan(10)
    expect(passes).toBeLessThan(25)
  })

  it('tells when all flows have been looked at', async () => {
    const made = lab('actions=output:2')
    made.dpif.receive(1, frame({}))
    made.ofproto.bridge('br0')!.tables.delete(parseFlow('', { kind: 'delete' }), false)
    const settled = made.udpif.settled()
    made.pass(50)
    await settled
    expect(made.dpif.flows()[0]!.actions).toEqual([])
  })

  it('installs a flow before its first packet, without learning from it', () => {
    const made = lab('actions=NORMAL')
    made.dpif.receive(1, frame({ src: A }))
    const key = made.dpif.flows()[0]!.match.key.slice()
    made.udpif.purge()
    made.ofproto.bridge('br0')!.macs.flush()
    expect(made.udpif.preinstall(key)).toBe(true)
    expect(made.dpif.flowCount).toBe(1)
    expect(made.ofproto.bridge('br0')!.macs.size).toBe(0)
    key[1] = 99
    expect(made.udpif.preinstall(key)).toBe(false)
  })

  it('stops', () => {
    const made = lab('actions=output:2')
    made.dpif.receive(1, frame({}))
    made.udpif.stop()
    addRules(made.ofproto.bridge('br0')!, 'actions=output:3')
    made.pass(20_000)
    expect(made.dpif.log).toEqual(['put 0', 'done'])
  })
})
