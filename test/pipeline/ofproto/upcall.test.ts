import { describe, expect, it } from 'vitest'
import { createMatch as anyMatch } from '../../../src/flow/key.ts'
import { GSO_TCPV4, M_GSO_SIZE, M_GSO_TYPE, M_HDR_LEN, M_RECIRC_ID } from '../../../src/packet/slot.ts'
import { addRules, createLab, frame, type Lab, shown } from './kit.ts'

const A = 0x020000000001
const B = 0x020000000002

const twoPorts = (...rules: string[]): Lab => {
  const lab = createLab()
  const bridge = lab.ofproto.addBridge('br0', { normal: rules.length === 0 })
  addRules(bridge, ...rules)
  bridge.addPort({ name: 'p1', dpPort: 11, ofport: 1 })
  bridge.addPort({ name: 'p2', dpPort: 12, ofport: 2 })
  return lab
}

describe('upcall', () => {
  it('puts the flow before it answers the packet, and asks once', () => {
    const { dpif } = twoPorts('actions=output:2')
    expect(shown(dpif.receive(11, frame({})))).toEqual(['12'])
    expect(dpif.log).toEqual(['put 0', 'done'])
    expect(shown(dpif.receive(11, frame({})))).toEqual(['12'])
    expect(dpif.upcalls).toBe(1)
  })

  it('does not put the same flow twice', () => {
    const { dpif, udpif } = twoPorts('actions=output:2')
    const f = frame({})
    dpif.receive(11, f)
    // The datapath lost it from its cache, or two first packets came at once.
    const [entry] = [...dpif.entries]
    dpif.entries.clear()
    dpif.receive(11, f)
    dpif.entries.set(...entry!)
    expect(dpif.log).toEqual(['put 0', 'done', 'done'])
    expect(udpif.status().upcalls).toMatchObject({ upcalls: 2, installed: 1, known: 1 })
  })

  it('answers packets beyond the flow limit without a flow', () => {
    const { dpif, udpif } = twoPorts('dl_src=02:00:00:00:00:01,actions=output:2', 'actions=drop')
    dpif.setFlowLimit(1)
    dpif.receive(11, frame({ src: A + 5 }))
    expect(shown(dpif.receive(11, frame({ src: A })))).toEqual(['12'])
    expect(dpif.flowCount).toBe(1)
    expect(udpif.status().upcalls).toMatchObject({ full: 1, installed: 1 })
  })

  it('drops what comes by a port that no bridge owns, for a short while', () => {
    const { dpif, ofproto, pass, udpif } = twoPorts()
    expect(dpif.receive(77, frame({}))).toEqual([])
    expect(dpif.receive(77, frame({ src: B }))).toEqual([])
    expect(udpif.status().upcalls).toMatchObject({ upcalls: 1, unowned: 1 })
    pass(1600)
    expect(dpif.flowCount).toBe(0)
    dpif.receive(77, frame({}))
    ofproto.bridge('br0')!.addPort({ name: 'late', dpPort: 77 })
    pass(50)
    expect(shown(dpif.receive(77, frame({})))).toEqual(['11', '12'])
  })

  it('makes a drop flow with a reason of a packet that was recirculated by nobody', () => {
    const { dpif } = twoPorts()
    expect(dpif.receive(11, frame({}), new Map([[M_RECIRC_ID, 5]]))).toEqual([])
    expect(dpif.flows()[0]!.actions).toEqual([{ type: 'drop', reason: 'no-recirculation-context' }])
  })

  it('gives equal flows equal names in every run', () => {
    const names = [0, 1].map(() => {
      const { dpif } = twoPorts()
      dpif.receive(11, frame({ src: A, dst: B }))
      dpif.receive(11, frame({ src: B, dst: A }))
      return dpif.flows().map(({ ufid }) => ufid)
    })
    expect(names[0]).toEqual(names[1])
    expect(new Set(names[0]).size).toBe(2)
    expect(names[0]![0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/)
  })
})

describe('statistics', () => {
  it('credits each packet to its rules once, whichever way it went', () => {
    const { dpif, ofproto, pass } = twoPorts('actions=resubmit(,1)', 'table=1,actions=output:2')
    const rules = ofproto
      .bridge('br0')!
      .tables.tables()
      .flatMap((table) => [...table.covered(anyMatch())])
    const f = frame({})
    for (let i = 0; i < 5; i++) dpif.receive(11, f)
    pass(600)
    pass(600)
    expect(rules.map((rule) => [rule.packets, rule.bytes])).toEqual([
      [5, 300],
      [5, 300],
    ])
    dpif.receive(11, f)
    ofproto.bridge('br0')!.deletePort('p1')
    pass(50)
    expect(dpif.flowCount).toBe(0)
    expect(rules.map((rule) => rule.packets)).toEqual([6, 6])
  })

  it('credits what was counted between the last look and the removal', () => {
    const { dpif, ofproto, udpif } = twoPorts('actions=output:2')
    const [rule] = ofproto.bridge('br0')!.tables.table(0)!.covered(anyMatch())
    dpif.receive(11, frame({}))
    dpif.late = []
    dpif.receive(11, frame({}))
    const last = [...dpif.entries.values()][0]!.stats
    udpif.purge()
    last.packets += 3
    for (const goodbye of dpif.late) goodbye()
    expect(rule!.packets).toBe(5)
  })

  it('counts a super-frame as its segments', () => {
    const { dpif, ofproto } = twoPorts('actions=output:2')
    const [rule] = ofproto.bridge('br0')!.tables.table(0)!.covered(anyMatch())
    const meta = new Map([
      [M_GSO_TYPE, GSO_TCPV4],
      [M_GSO_SIZE, 1000],
      [M_HDR_LEN, 54],
    ])
    dpif.receive(11, frame({ payload: Array(40 + 1600).fill(0) }), meta)
    expect([rule!.packets, rule!.bytes]).toEqual([2, 54 + 1600 + 54])
  })

  it('counts patch ports, which the datapath does not know', () => {
    const { dpif, ofproto } = twoPorts('actions=output:9')
    const br1 = ofproto.addBridge('br1')
    ofproto.bridge('br0')!.addPort({ name: 'to1', peer: 'to0', ofport: 9 })
    const rx = br1.addPort({ name: 'to0', peer: 'to1' })
    br1.addPort({ name: 'q1', dpPort: 21 })
    expect(shown(dpif.receive(11, frame({})))).toEqual(['21'])
    expect([rx.rxPackets, rx.rxBytes, rx.txPackets]).toEqual([1, 60, 0])
    expect(ofproto.portByName('to1')!.txPackets).toBe(1)
  })
})

describe('a defect in translation', () => {
  it('costs the packet, not the slot, and is counted', () => {
    const { dpif, ofproto, udpif } = twoPorts('actions=output:2')
    const bridge = ofproto.bridge('br0')!
    bridge.lookup = () => {
      throw new Error('made up')
    }
    for (let i = 0; i < 100; i++) expect(dpif.receive(11, frame({}))).toEqual([])
    expect(udpif.status().upcalls.errors).toBe(100)
  })

  it('takes the flow out and lets the pass go on', () => {
    const { dpif, ofproto, pass } = twoPorts('actions=output:2')
    dpif.receive(11, frame({}))
    const bridge = ofproto.bridge('br0')!
    bridge.lookup = () => {
      throw new Error('made up')
    }
    addRules(bridge, 'priority=1,actions=drop')
    pass(50)
    expect(dpif.flowCount).toBe(0)
  })
})
