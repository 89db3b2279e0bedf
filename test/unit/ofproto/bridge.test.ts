import { describe, expect, it } from 'vitest'
import { OFPP_LOCAL } from '../../../src/flow/ofp.ts'
import { formatActions } from '../../../src/flow/ofp-text.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Ofproto } from '../../../src/ofproto/ofproto.ts'

const create = (): Ofproto => new Ofproto(new ManualClock())

describe('bridges', () => {
  it('have one NORMAL rule, unless they are to get their own', () => {
    const ofproto = create()
    const [rule] = ofproto
      .addBridge('br0')
      .tables.table(0)!
      .covered({ key: new Int32Array(80), mask: new Int32Array(80) })
    expect([rule!.priority, formatActions(rule!.actions)]).toEqual([0, 'NORMAL'])
    expect(ofproto.addBridge('br1', { normal: false }).tables.size).toBe(0)
  })

  it('cannot be there twice, nor go twice', () => {
    const ofproto = create()
    ofproto.addBridge('br0')
    expect(() => ofproto.addBridge('br0')).toThrow('bridge br0 exists already')
    ofproto.deleteBridge('br0')
    expect(() => ofproto.deleteBridge('br0')).toThrow('there is no bridge br0')
  })

  it('let go of their ports', () => {
    const ofproto = create()
    ofproto.addBridge('br0').addPort({ name: 'p1', dpPort: 1 })
    ofproto.deleteBridge('br0')
    expect(ofproto.portByDp(1)).toBeUndefined()
    ofproto.addBridge('br1').addPort({ name: 'p1', dpPort: 1 })
  })

  it('count every change, also of rules and learned addresses', () => {
    const ofproto = create()
    let told = 0
    ofproto.onChange(() => {
      told++
    })
    const seen = new Set([ofproto.version])
    const changed = (act: () => void): void => {
      act()
      expect(seen.has(ofproto.version)).toBe(false)
      seen.add(ofproto.version)
    }
    changed(() => ofproto.addBridge('br0'))
    const bridge = ofproto.bridge('br0')!
    changed(() => bridge.addPort({ name: 'p1', dpPort: 1 }))
    changed(() => bridge.macs.learn(1, 0, bridge.port(1)!.bundle, 1_000_000, false))
    changed(() => bridge.setPortFlags('p1', { noFlood: true }))
    changed(() => bridge.reconfigurePort('p1', { tag: 3 }))
    changed(() => bridge.addNormalRule())
    changed(() => bridge.configure({ forwardBpdu: true }))
    changed(() => bridge.deletePort('p1'))
    changed(() => ofproto.deleteBridge('br0'))
    expect(told).toBeGreaterThanOrEqual(9)
  })
})

describe('ports', () => {
  it("get the number asked for, else the lowest that is free; the bridge's own is LOCAL", () => {
    const bridge = create().addBridge('br0')
    const no = (name: string, ofport?: number): number =>
      bridge.addPort({
        name,
        dpPort: Buffer.from(name).readUIntBE(0, name.length),
        ...(ofport === undefined ? {} : { ofport }),
      }).no
    expect([no('a', 2), no('b'), no('c'), no('d', 2), no('br0')]).toEqual([2, 1, 3, 4, OFPP_LOCAL])
    bridge.deletePort('b')
    expect(no('e')).toBe(1)
    expect(bridge.ports().map((port) => port.name)).toEqual(['e', 'a', 'c', 'd', 'br0'])
  })

  it('refuse what is taken or makes no sense, and change nothing then', () => {
    const ofproto = create()
    const bridge = ofproto.addBridge('br0')
    const other = ofproto.addBridge('br1')
    bridge.addPort({ name: 'p1', dpPort: 1 })
    expect(() => other.addPort({ name: 'p1', dpPort: 2 })).toThrow('port p1 exists already, on bridge br0')
    expect(() => other.addPort({ name: 'p2', dpPort: 1 })).toThrow('datapath port 1 belongs to p1')
    expect(() => other.addPort({ name: 'p3' })).toThrow('neither a datapath port nor a peer')
    expect(() => other.addPort({ name: 'p4', dpPort: 4, ofport: 0 })).toThrow('expected 1..65279')
    expect(() => other.addPort({ name: 'p5', dpPort: 5, tag: 5000 })).toThrow('tag 5000: 0..4095 expected')
    expect(() => other.deletePort('p1')).toThrow('bridge br1 has no port p1')
    expect(other.ports()).toEqual([])
    expect(ofproto.portByDp(2)).toBeUndefined()
  })

  it('get a new bundle with new settings, and keep their number', () => {
    const bridge = create().addBridge('br0')
    const port = bridge.addPort({ name: 'p1', dpPort: 1, ofport: 7 })
    const { bundle } = port
    bridge.reconfigurePort('p1', { tag: 5, mtu: 9000 })
    expect(port.bundle).not.toBe(bundle)
    expect([port.no, port.bundle.vlan.vlan, port.mtu]).toEqual([7, 5, 9000])
    expect(bundle.vlan.vlan).toBe(-1)
  })
})
