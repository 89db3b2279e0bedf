/** The same bridges, rules and packets here and in Open vSwitch: the same megaflow, and the same packets out of the same ports. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  createMatch,
  K_DP_WORDS,
  K_IN_PORT,
  K_NW,
  K_NW_DST,
  K_NW_SRC,
  K_TUN_GBP,
  K_TUN_ID,
  K_VLAN0,
  K_VLAN1,
} from '../../../src/flow/key.ts'
import { formatOdpMatch, parseOdpActions } from '../../../src/flow/odp-text.ts'
import type { FlowSpec } from '../../../src/flow/ofp.ts'
import { parseFlow, parseMatch } from '../../../src/flow/ofp-text.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Ofproto } from '../../../src/ofproto/ofproto.ts'
import { OF13 } from '../../../src/ofproto/tables.ts'
import { parseTraceArgs, trace } from '../../../src/ofproto/trace.ts'
import { countTags, type VlanSpec } from '../../../src/ofproto/vlan.ts'
import { carryOut } from '../../pipeline/ofproto/fake-dpif.ts'
import { packetKey, ruleTexts, vlanSpec } from '../../pipeline/ofproto/random.ts'
import { hasReference, ReferenceSwitch } from './reference-switch.ts'

const reference = new ReferenceSwitch()

interface World {
  readonly rules: readonly [readonly string[], readonly string[]]
  readonly vlans: readonly VlanSpec[]
}

const MACS: [string, number, string, number][] = [
  ['br0', 10, 'p1', 1],
  ['br0', 0, 'p2', 2],
  ['br1', 20, 'p3', 3],
]

/** Sets rules there; those that one of the two refuses are left out, by their priority. */
const acceptedByBoth = (bridge: string, rules: readonly string[]): FlowSpec[] => {
  const specs: FlowSpec[] = []
  for (const rule of reference.setRules(bridge, rules)) {
    try {
      specs.push(parseFlow(rule))
    } catch {
      const priority = /priority=\d+/.exec(rule)?.[0] ?? ''
      return acceptedByBoth(
        bridge,
        rules.filter((text) => !text.includes(`${priority},`)),
      )
    }
  }
  return specs
}

/** Sets both switches up. What Open vSwitch then says are its rules is what ours gets. */
const build = ({ rules, vlans }: World): Ofproto => {
  const ofproto = new Ofproto(new ManualClock())
  for (const i of [0, 1]) {
    const bridge = ofproto.addBridge(`br${i}`, { normal: false })
    bridge.addPort({ name: `br${i}`, dpPort: 100 + i })
    for (const n of [1, 2]) {
      const no = 2 * i + n
      bridge.addPort({ name: `p${no}`, dpPort: no, ofport: n, ...vlans[no - 1] })
      reference.setVlan(`p${no}`, vlans[no - 1] ?? {})
    }
    bridge.addPort({ name: `patch${i}`, peer: `patch${1 - i}`, ofport: 3 })
    for (const spec of acceptedByBoth(`br${i}`, rules[i]!)) bridge.tables.add(spec, OF13)
  }
  for (const bridge of ['br0', 'br1']) reference.appctl('fdb/flush', bridge)
  for (const [bridge, vlan, port, last] of MACS) {
    reference.appctl('fdb/add', bridge, port, String(vlan), `02:00:00:00:00:0${last}`)
    const { macs } = ofproto.bridge(bridge)!
    macs.learn(0x020000000000 + last, vlan, ofproto.portByName(port)!.bundle, 1_000_000, false)
  }
  return ofproto
}

const line = (text: string, name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1] ?? ''

/** What a controller would be told of packets whose TTL has run out. */
const TO_CONTROLLER = /userspace\(pid=0,controller\([^)]*\)\),?/g

const sentBy = (key: Int32Array, actions: string): string[] =>
  carryOut(parseOdpActions(actions.replace(TO_CONTROLLER, '').replace(/,$/, '') || 'drop'), key)
    .map(({ port, key: out }) => `${port} ${[...out].map((word) => (word >>> 0).toString(16)).join('.')}`)
    .sort()

/** The datapath's flow syntax for exactly this packet. */
const packetText = (key: Int32Array): string => {
  const match = createMatch()
  match.key.set(key.subarray(0, K_DP_WORDS))
  match.mask.fill(-1, 0, K_DP_WORDS)
  match.mask.fill(0, K_TUN_ID, K_TUN_GBP + 1)
  return formatOdpMatch(match)
}

/**
 * Where Open vSwitch damages customers' tags, which we do not: it forgets the inner one of two when a tunnel port adds a third, and loses tags without VLAN and
 * priority that are not the only one.
 */
const theyLoseTags = (key: Int32Array, vlans: readonly VlanSpec[]): boolean => {
  const tags = countTags(key)
  const idle = [K_VLAN0, K_VLAN1].slice(0, tags).some((word) => (key[word]! & 0xefff) === 0)
  const tunnel = vlans.some(({ vlanMode }) => vlanMode === 'dot1q-tunnel')
  return tunnel ? tags === 2 || idle : tags === 2 && idle
}

const PROTO = 0xff000000 | 0

/** Bits that either side may look at and the other not, with the reason why both are right. */
const mayDiffer = (word: number): number => {
  // We flood in the order of ports, they in that of a hash table, and so tags are changed at other times; where priority decides about a tag, we look at it.
  if (word === K_VLAN0 || word === K_VLAN1) return -1
  // Two classifiers: which subtables are looked at, and how far into a prefix, is not laid down.
  if (word >= K_NW_SRC && word < K_NW_DST + 4) return -1
  // Whoever writes the DSCP of a packet must know that it has a whole header; they do so for some spellings.
  return word === K_NW ? PROTO : 0
}

/** Whether the megaflows are the same; fails if they differ by more than `mayDiffer`. */
const sameMegaflow = (ours: string, theirs: string, context: string): boolean => {
  if (ours === theirs) return true
  const [mine, its] = [ours, theirs].map((text) =>
    parseMatch(
      text
        .split(',')
        .filter((field) => field !== 'eth' && !/^(vlan_tci1|dl_vlan1|dl_vlan_pcp1)=/.test(field))
        .join(','),
    ),
  )
  for (let word = 0; word < K_DP_WORDS; word++)
    if (((mine!.mask[word]! ^ its!.mask[word]!) & ~mayDiffer(word)) !== 0) expect(ours, context).toBe(theirs)
  return false
}

const describeWorld = ({ rules, vlans }: World): string => JSON.stringify({ rules, vlans }, null, 1)

describe.skipIf(!hasReference)('ofproto/trace, next to ovs-vswitchd', () => {
  beforeAll(() => reference.start(), 30_000)
  afterAll(() => reference.stop())

  let compared = 0
  let same = 0

  const compare = (world: World, keys: readonly Int32Array[]): void => {
    const ofproto = build(world)
    for (const key of keys) {
      if (theyLoseTags(key, world.vlans)) continue
      const flow = packetText(key)
      const theirs = reference.appctl('ofproto/trace', flow)
      const inPort = ofproto.portByDp(key[K_IN_PORT]!)!
      const ours = trace(key, inPort)
      // We refuse a third tag, they forget the innermost.
      if (ours.includes('too-many-vlan-tags') || ours.includes('more than two VLAN tags')) continue
      const context = `${describeWorld(world)}\n${flow}\n--- OVS ---\n${theirs.text}\n--- ours ---\n${ours}`
      expect(theirs.ok, context).toBe(true)
      expect(line(ours, 'Flow'), context).toBe(line(theirs.text, 'Flow'))
      expect(sentBy(key, line(ours, 'Datapath actions')), context).toEqual(
        sentBy(key, line(theirs.text, 'Datapath actions')),
      )
      compared++
      if (sameMegaflow(line(ours, 'Megaflow'), line(theirs.text, 'Megaflow'), context)) same++
    }
  }

  it('agrees on random rules and packets', () => {
    const seed = Number(process.env['TRACE_SEED'] ?? 7)
    const worlds = Number(process.env['TRACE_WORLDS'] ?? 8)
    const rules = fc.sample(ruleTexts, { seed, numRuns: 2 * worlds })
    const vlans = fc.sample(fc.array(vlanSpec, { minLength: 4, maxLength: 4 }), { seed, numRuns: worlds })
    for (let i = 0; i < worlds; i++) {
      const world: World = { rules: [rules[2 * i]!, rules[2 * i + 1]!], vlans: vlans[i]! }
      compare(world, fc.sample(packetKey, { seed: seed + i, numRuns: 20 }))
    }
    expect(compared).toBeGreaterThan(10 * worlds)
    expect(same / compared).toBeGreaterThan(0.8)
  }, 120_000)

  it('agrees on NORMAL for all VLAN modes', () => {
    const seed = Number(process.env['TRACE_SEED'] ?? 7)
    const worlds = Number(process.env['TRACE_WORLDS'] ?? 5)
    const vlans = fc.sample(fc.array(vlanSpec, { minLength: 4, maxLength: 4 }), { seed, numRuns: worlds })
    vlans.forEach((list, i) => {
      const world: World = { rules: [['actions=NORMAL'], ['actions=NORMAL']], vlans: list }
      compare(world, fc.sample(packetKey, { seed: seed + i, numRuns: 20 }))
    })
  }, 120_000)

  it('tells the way in the same words', () => {
    const ofproto = build({ rules: [WORDS, ['priority=1,arp,actions=flood', 'actions=NORMAL']], vlans: [] })
    for (const flow of WORDS_FLOWS) {
      const theirs = reference.appctl('ofproto/trace', 'br0', flow).text.trimEnd()
      const { key, inPort } = parseTraceArgs(ofproto, ['br0', flow])
      expect(ordered(trace(key, inPort)), flow).toBe(ordered(theirs))
    }
  })
})

const WORDS = [
  'table=0,priority=9,in_port=2,ip,actions=resubmit(,1),output:3,drop',
  'table=0,priority=8,ip,nw_ttl=1,actions=dec_ttl,output:2',
  'table=0,priority=7,ip,actions=dec_ttl,mod_dl_src:02:00:00:00:00:05,goto_table:2',
  'table=0,priority=6,cookie=0x12,arp,actions=write_actions(output:2,mod_vlan_vid:7),load:5->NXM_NX_REG3[],goto_table:3',
  'table=0,priority=5,dl_type=0x1234,actions=output:1,output:9,output:3,NORMAL',
  'table=0,priority=4,ipv6,actions=clear_actions,note:01.02,move:NXM_OF_ETH_SRC[0..7]->NXM_NX_REG0[8..15],output:NXM_NX_REG0[]',
  'table=0,priority=3,dl_type=0x4321,actions=clone(push_vlan:0x8100,set_field:5->vlan_vid,output:2),in_port',
  'table=0,priority=2,dl_type=0x9999,actions=resubmit(,5)',
  'table=0,priority=1,dl_type=0x9998,actions=',
  'table=0,priority=10,in_port=LOCAL,ip,actions=push_mpls:0x8847,set_field:5->mpls_label,output:1,push_mpls:0x8847,output:2',
  'table=0,priority=10,mpls,mpls_bos=1,actions=set_field:7->mpls_tc,output:2,pop_mpls:0x0800,output:1',
  'table=1,priority=1,tcp,tp_dst=80,actions=set_field:10.0.0.9->ip_dst,output:1',
  'table=2,priority=1,actions=mod_nw_tos:32,output:2,LOCAL',
  'table=5,priority=1,reg0=0,actions=load:1->NXM_NX_REG0[],resubmit(,5)',
  'table=5,priority=0,actions=output:2',
]

const IP = 'dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02'
const WORDS_FLOWS = [
  `in_port=2,${IP},tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=9,tp_dst=80`,
  `in_port=2,${IP},udp,nw_ttl=9`,
  `in_port=1,${IP},udp,nw_ttl=1`,
  `in_port=1,${IP},icmp,nw_ttl=64`,
  `in_port=1,${IP},arp`,
  `in_port=1,${IP},dl_type=0x1234`,
  `in_port=1,${IP},dl_vlan=10,dl_type=0x1234`,
  `in_port=1,${IP},ipv6`,
  `in_port=1,${IP},dl_type=0x4321`,
  `in_port=1,${IP},dl_type=0x9999`,
  `in_port=1,${IP},dl_type=0x9998`,
  `in_port=1,${IP},dl_type=0x9997`,
  `in_port=LOCAL,${IP},dl_type=0x1234`,
  `in_port=LOCAL,${IP},udp,nw_tos=184,nw_ttl=64`,
  `in_port=1,${IP},mpls,mpls_label=9,mpls_bos=1,mpls_ttl=64`,
]

/**
 * Open vSwitch floods in the order of a hash table: sorts what a flood sends. It would tell a controller of the TTL, if there were one; we say why it is dropped.
 */
const ordered = (text: string): string =>
  text
    .replace(/userspace\(pid=0,controller\(reason=2,.*\)\)$/m, 'drop(ttl-exceeded)')
    .replace(/^(Datapath actions: )([\d,]+)$/m, (_, head, ports: string) => head + ports.split(',').sort().join(','))
