import { beforeEach, expect, test } from 'vitest'
import { parseFlow } from '../../../src/flow/ofp-text.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Ofproto } from '../../../src/ofproto/ofproto.ts'
import { BridgeSet, type Outcome } from '../../../src/switch/bridges.ts'
import type { BridgePlan } from '../../../src/switch/plan.ts'

let ofproto: Ofproto
let set: BridgeSet
/** Ports that are open. */
let open: Map<string, number>
beforeEach(() => {
  ofproto = new Ofproto(new ManualClock())
  open = new Map([
    ['a', 1],
    ['b', 2],
  ])
  set = new BridgeSet(ofproto, (name) => open.get(name))
})

const bridge = (change: Partial<BridgePlan> = {}): BridgePlan => ({
  name: 'br',
  options: { macAgeing: 300, macTableSize: 8192, forwardBpdu: false },
  ports: [{ name: 'a' }, { name: 'b' }] as BridgePlan['ports'],
  ...change,
})

const apply = (plans: BridgePlan[], closing: string[] = []): Outcome => {
  const removed = set.removeOutdated(plans, new Set(closing))
  const { changes, failures } = set.apply(plans)
  return { changes: [...removed, ...changes], failures }
}
/** Priorities of the rules that are there. */
const rules = (): number[] =>
  [...ofproto.bridge('br')!.tables.dump(parseFlow('', { kind: 'delete' }))].map((rule) => rule.priority).sort()

test('applying the same twice changes nothing, not even what depends on a version', () => {
  expect(apply([bridge()]).changes).toEqual(['bridge br added'])
  const version = ofproto.version
  expect(apply([bridge()])).toEqual({ changes: [], failures: [] })
  expect(ofproto.version).toBe(version)
})

test('a port that is not open is left out; once it is open it comes in, under the number it had before', () => {
  apply([bridge()])
  const number = ofproto.bridge('br')!.portByName('a')!.no
  open.delete('a')
  expect(apply([bridge()], ['a']).failures).toEqual([])
  expect(ofproto.bridge('br')!.portByName('a')).toBeUndefined()
  open.set('a', 7)
  expect(apply([bridge()]).changes).toEqual(['bridge br: port a added'])
  expect(ofproto.bridge('br')!.portByName('a')).toMatchObject({ no: number, dpPort: 7 })
})

test('rules that name a port that is not there fail, the old ones stay; a later pass puts them in', () => {
  apply([bridge({ flows: ['priority=1,actions=NORMAL'] })])
  const next = bridge({ flows: ['priority=2,in_port=c,actions=drop', 'priority=3,actions=NORMAL'] })
  expect(apply([next]).failures).toEqual([expect.stringMatching(/^bridge br: flows\[0\] .*c/)])
  expect(rules()).toEqual([1])
  open.set('c', 3)
  const ports = [...next.ports, { name: 'c' }] as BridgePlan['ports']
  expect(apply([{ ...next, ports }])).toEqual({
    changes: ['bridge br: port c added', 'bridge br: flows changed'],
    failures: [],
  })
  expect(rules()).toEqual([2, 3])
})

test('a pass that fails among the rules goes on from what is there', () => {
  apply([bridge({ flows: ['priority=1,actions=NORMAL'] })])
  const overlapping = [
    'priority=5,ip,actions=drop',
    'check_overlap,priority=5,tcp,actions=drop',
    'priority=6,actions=drop',
  ]
  expect(apply([bridge({ flows: overlapping })]).failures).toEqual([expect.stringMatching(/flows\[1\]/)])
  expect(apply([bridge({ flows: overlapping })]).failures).toHaveLength(1)
  expect(apply([bridge({ flows: ['priority=7,actions=NORMAL'] })]).failures).toEqual([])
  expect(rules()).toEqual([7])
})

test('one bridge that fails keeps no other from its change', () => {
  const other = (tag: number): BridgePlan => ({ ...bridge({ name: 'other' }), ports: [{ name: 'b', tag }] as never })
  const first = bridge({ ports: [{ name: 'a' }] as never })
  apply([first, other(1)])
  const { changes, failures } = apply([{ ...first, flows: ['actions=output:nosuch'] }, other(2)])
  expect(failures).toHaveLength(1)
  expect(changes).toEqual(['bridge other: port b reconfigured'])
  expect(ofproto.bridge('other')!.portByName('b')!.bundle.vlan).toMatchObject({ vlan: 2 })
})
