import { describe, expect, it } from 'vitest'
import { K_VLAN1 } from '../../../src/flow/key.ts'
import type { VlanSpec } from '../../../src/ofproto/vlan.ts'
import { BROADCAST, createLab, type FrameSpec, frame, type Lab, shown } from './kit.ts'

const A = 0x020000000001
const B = 0x020000000002

const lab = (...ports: VlanSpec[]): Lab => {
  const made = createLab()
  const bridge = made.ofproto.addBridge('br0')
  ports.forEach((spec, i) => {
    bridge.addPort({ name: `p${i + 1}`, dpPort: i + 1, ...spec })
  })
  return made
}

const MODES: Record<string, VlanSpec> = {
  access: { tag: 10 },
  trunk: {},
  'trunk 10,30': { trunks: [10, 30] },
  'native-tagged': { vlanMode: 'native-tagged', tag: 10 },
  'native-untagged': { vlanMode: 'native-untagged', tag: 10 },
  'native-untagged 20': { vlanMode: 'native-untagged', tag: 10, trunks: [20] },
  'dot1q-tunnel': { vlanMode: 'dot1q-tunnel', tag: 10 },
  'dot1q-tunnel 20': { vlanMode: 'dot1q-tunnel', tag: 10, cvlans: [20], qinqEthertype: 0x8100 },
}

const FRAMES: Record<string, FrameSpec> = {
  plain: {},
  prio: { tags: [0xa000] },
  v10: { tags: [10] },
  v20: { tags: [20] },
}

/** What a port of the mode makes of a frame that comes in: the tags inside, or '-' when it is not let in. */
const IN: Record<string, Record<string, string>> = {
  access: { plain: '10', prio: '10p5', v10: '-', v20: '-' },
  trunk: { plain: '', prio: '0p5', v10: '10', v20: '20' },
  'trunk 10,30': { plain: '-', prio: '-', v10: '10', v20: '-' },
  'native-tagged': { plain: '10', prio: '10p5', v10: '10', v20: '20' },
  'native-untagged': { plain: '10', prio: '10p5', v10: '10', v20: '20' },
  'native-untagged 20': { plain: '10', prio: '10p5', v10: '10', v20: '20' },
  'dot1q-tunnel': { plain: '88a8:10', prio: '88a8:10 0p5', v10: '88a8:10 10', v20: '88a8:10 20' },
  'dot1q-tunnel 20': { plain: '-', prio: '-', v10: '-', v20: '10 20' },
}

/** What a port of the mode sends, given the tags inside; '-' when it does not. */
const OUT: Record<string, Record<string, string>> = {
  access: { '10': '', '10p5': '', '88a8:10': '' },
  trunk: {},
  'trunk 10,30': { '': '-', '0p5': '-', '20': '-' },
  'native-tagged': { '': '-', '0p5': '-' },
  'native-untagged': { '': '-', '0p5': '-', '10': '', '10p5': '', '88a8:10': '' },
  'native-untagged 20': { '': '-', '0p5': '-', '10': '', '10p5': '', '88a8:10': '' },
  'dot1q-tunnel': { '10': '', '10p5': '', '88a8:10': '' },
  'dot1q-tunnel 20': {},
}

const sentBy = (mode: string, inside: string): string => {
  const listed = OUT[mode]![inside]
  if (listed !== undefined) return listed
  const [outer = '', inner = ''] = inside.split(' ')
  const of10 = outer === '10' || outer === '88a8:10'
  switch (mode) {
    case 'access':
      // An inner priority tag has no VLAN of its own.
      return of10 && inner === '0p5' ? '' : '-'
    case 'dot1q-tunnel':
      return of10 ? inner : '-'
    case 'dot1q-tunnel 20':
      return of10 && inner === '20' ? inner : '-'
    case 'native-untagged':
    case 'native-untagged 20':
      return of10 ? inner : inside
    default:
      return inside
  }
}

describe('NORMAL: VLAN modes', () => {
  for (const [from, into] of Object.entries(IN)) {
    for (const to of Object.keys(OUT)) {
      it(`${from} to ${to}`, () => {
        for (const [name, spec] of Object.entries(FRAMES)) {
          const { dpif } = lab(MODES[from]!, MODES[to]!)
          const inside = into[name]!
          const out = inside === '-' ? '-' : sentBy(to, inside)
          const expected = out === '-' ? [] : [out === '' ? '2' : `2[${out}]`]
          const f = frame(spec)
          expect(shown(dpif.receive(1, f)), `${name}, first`).toEqual(expected)
          expect(shown(dpif.receive(1, f)), `${name}, cached`).toEqual(expected)
          expect(dpif.upcalls).toBe(1)
        }
      })
    }
  }
})

describe('NORMAL: tags', () => {
  it('keeps priority tags as the output wants them', () => {
    const prio = frame({ tags: [0xa000] })
    const zero = frame({ tags: [0] })
    const cases: [VlanSpec, Uint8Array, string[]][] = [
      [{ tag: 10, priorityTags: 'never' }, prio, ['2']],
      [{ tag: 10, priorityTags: 'if-nonzero' }, prio, ['2[0p5]']],
      [{ tag: 10, priorityTags: 'if-nonzero' }, zero, ['2']],
    ]
    for (const [spec, f, expected] of cases) {
      const { dpif } = lab({ tag: 10 }, spec)
      expect(shown(dpif.receive(1, f))).toEqual(expected)
    }
  })

  it('tells priority 0 and 5 apart where a tag without VLAN stays only for its priority', () => {
    const { dpif } = lab({}, {})
    expect(shown(dpif.receive(1, frame({ tags: [0xa000] })))).toEqual(['2[0p5]'])
    expect(shown(dpif.receive(1, frame({ tags: [0] })))).toEqual(['2'])
    expect(shown(dpif.receive(1, frame({ tags: [0xa000] })))).toEqual(['2[0p5]'])
  })

  it('carries two customer tags between tunnel ports, and not onto a trunk, where they would be three', () => {
    const { dpif } = lab({ vlanMode: 'dot1q-tunnel', tag: 10 }, { vlanMode: 'dot1q-tunnel', tag: 10 }, {})
    expect(shown(dpif.receive(1, frame({ tags: [20, 30] })))).toEqual(['2[20 30]'])
  })

  it('unwraps a service tag', () => {
    const { dpif } = lab({}, { vlanMode: 'dot1q-tunnel', tag: 10 })
    expect(shown(dpif.receive(1, frame({ tags: [[0x88a8, 10], 20] })))).toEqual(['2[20]'])
  })

  it('tells inner priorities apart where the outer one takes their place', () => {
    const { dpif } = lab({}, { tag: 10, priorityTags: 'if-nonzero' })
    expect(shown(dpif.receive(1, frame({ tags: [0xa00a, 0xa000] })))).toEqual(['2[0p5]'])
    expect(shown(dpif.receive(1, frame({ tags: [0xa00a, 0x2000] })))).toEqual(['2[0p5]'])
  })

  it('looks at the inner tag that would be the outer one also where the output comes to nothing', () => {
    const { dpif, ofproto } = lab({}, { vlanMode: 'native-untagged', tag: 10 })
    ofproto.bridge('br0')!.setPortFlags('p2', { noForward: true })
    dpif.receive(1, frame({ tags: [10, 20] }))
    dpif.receive(1, frame({ tags: [10, 30] }))
    expect(dpif.flows().map(({ match }) => match.key[K_VLAN1]! & 0xfff)).toEqual([20, 30])
  })

  it('drops a frame whose tag is cut off', () => {
    const { dpif } = lab({}, {})
    const cut = frame({ type: 0x8100 }).subarray(0, 15)
    expect(dpif.receive(1, cut)).toEqual([])
  })
})

describe('NORMAL: learning', () => {
  it('floods, learns, and then sends to one port', () => {
    const { dpif } = lab({ tag: 10 }, { tag: 10 }, { tag: 10 }, { tag: 20 })
    expect(shown(dpif.receive(1, frame({ src: A, dst: B })))).toEqual(['2', '3'])
    expect(shown(dpif.receive(2, frame({ src: B, dst: A })))).toEqual(['1'])
  })

  it('revalidates the flooding flow once the address is known', () => {
    const { dpif, pass } = lab({}, {}, {})
    dpif.receive(1, frame({ src: A, dst: B }))
    dpif.receive(2, frame({ src: B, dst: A }))
    pass(50)
    expect(shown(dpif.receive(1, frame({ src: A, dst: B })))).toEqual(['2'])
    expect(dpif.upcalls).toBe(2)
  })

  it('learns per VLAN', () => {
    const { dpif } = lab({}, {}, {})
    dpif.receive(1, frame({ src: A, tags: [10] }))
    expect(shown(dpif.receive(2, frame({ src: B, dst: A, tags: [20] })))).toEqual(['1[20]', '3[20]'])
    expect(shown(dpif.receive(2, frame({ src: B, dst: A, tags: [10] })))).toEqual(['1[10]'])
  })

  it('never reflects to the ingress', () => {
    const { dpif } = lab({}, {})
    dpif.receive(1, frame({ src: A }))
    expect(dpif.receive(1, frame({ src: B, dst: A }))).toEqual([])
  })

  it('follows a move, and redirects the flows to it', () => {
    const { dpif, pass, ofproto } = lab({}, {}, {})
    dpif.receive(1, frame({ src: A }))
    expect(shown(dpif.receive(2, frame({ src: B, dst: A })))).toEqual(['1'])
    pass(50)
    dpif.receive(3, frame({ src: A }))
    pass(50)
    expect(shown(dpif.receive(2, frame({ src: B, dst: A })))).toEqual(['3'])
    expect(ofproto.bridge('br0')!.macs.counters.moved).toBe(1)
  })

  it('does not move an address back because of statistics of before the move', () => {
    const { dpif, pass, ofproto, clock } = lab({}, {}, {})
    dpif.receive(1, frame({ src: A }))
    dpif.receive(1, frame({ src: A }))
    clock.advance(10)
    dpif.receive(3, frame({ src: A }))
    pass(600)
    expect([...ofproto.bridge('br0')!.macs.entries()].map((e) => e.bundle.name)).toEqual(['p3'])
  })

  it('ages addresses out, unless cached traffic refreshes them', () => {
    const { dpif, pass, ofproto } = lab({}, {})
    const { macs } = ofproto.bridge('br0')!
    macs.setAgeing(15)
    dpif.receive(1, frame({ src: A }))
    dpif.receive(2, frame({ src: B }))
    for (let second = 0; second < 20; second++) {
      dpif.receive(1, frame({ src: A }))
      pass(1000)
    }
    expect([...macs.entries()].map((e) => e.mac)).toEqual([A])
    expect(dpif.upcalls).toBe(2)
    pass(17_000)
    expect(macs.size).toBe(0)
  })

  it('forgets the addresses of a port that goes, and of one that gets another VLAN', () => {
    const { dpif, ofproto } = lab({}, {}, {})
    const bridge = ofproto.bridge('br0')!
    dpif.receive(1, frame({ src: A }))
    dpif.receive(2, frame({ src: B }))
    bridge.deletePort('p1')
    expect([...bridge.macs.entries()].map((e) => e.mac)).toEqual([B])
    bridge.reconfigurePort('p2', { tag: 7 })
    expect(bridge.macs.size).toBe(0)
  })

  it('does not learn again, from late statistics, in a VLAN that the port has left', () => {
    const { dpif, ofproto, pass } = lab({ tag: 10 }, {})
    const bridge = ofproto.bridge('br0')!
    dpif.receive(1, frame({ src: A }))
    dpif.receive(1, frame({ src: A }))
    bridge.reconfigurePort('p1', { tag: 20 })
    pass(50)
    expect([...bridge.macs.entries()].map((e) => e.vlan)).toEqual([20])
  })

  it('floods without learning in flood_vlans', () => {
    const { dpif, ofproto } = lab({}, {}, {})
    ofproto.bridge('br0')!.configure({ floodVlans: [10] })
    dpif.receive(1, frame({ src: A, tags: [10] }))
    expect(shown(dpif.receive(2, frame({ src: B, dst: A, tags: [10] })))).toEqual(['1[10]', '3[10]'])
  })
})

describe('NORMAL: what is not forwarded', () => {
  it('keeps reserved multicast to itself, unless told to forward it', () => {
    const { dpif, ofproto, pass } = lab({}, {})
    const bpdu = (last: number) => frame({ dst: 0x0180c2000000 + last })
    expect(dpif.receive(1, bpdu(0))).toEqual([])
    expect(dpif.receive(1, bpdu(0xf))).toEqual([])
    expect(shown(dpif.receive(1, bpdu(0x10)))).toEqual(['2'])
    ofproto.bridge('br0')!.configure({ forwardBpdu: true })
    pass(50)
    expect(shown(dpif.receive(1, bpdu(0)))).toEqual(['2'])
  })

  it('keeps protected ports apart', () => {
    const { dpif, ofproto } = lab({}, {}, {})
    const bridge = ofproto.bridge('br0')!
    bridge.reconfigurePort('p1', { protected: true })
    bridge.reconfigurePort('p2', { protected: true })
    expect(shown(dpif.receive(1, frame({})))).toEqual(['3'])
  })

  it('leaves out ports that do not flood', () => {
    const { dpif, ofproto } = lab({}, {}, {})
    ofproto.bridge('br0')!.setPortFlags('p2', { noFlood: true })
    expect(shown(dpif.receive(1, frame({ dst: BROADCAST })))).toEqual(['3'])
  })
})
