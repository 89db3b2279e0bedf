import { spawnSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  FlowSyntaxError,
  formatOdpActions,
  formatOdpFlow,
  formatOdpMatch,
  parseOdpActions,
  parseOdpMatch,
} from '../../../src/flow/odp-text.ts'
import { entryOf } from '../../unit/flow/tunnel-kit.ts'
import { DummyOvs, hasVswitchd } from './dummy-ovs.ts'

/** Our frames are all Ethernet; OVS says so in each flow, and leaves `eth()` out where it did. */
const withoutPacketType = (line: string): string => line.replace(/packet_type\([^)]*\),/, '')

const P = 'recirc_id(0),in_port(1),eth(),'

const KEYS = `
${P}eth_type(0x1234)
${P}eth_type(0x1234/0xffff)
skb_mark(0x5),skb_priority(0x3),ct_state(+trk-new),ct_zone(0x5),ct_mark(0x1/0xf),${P}eth_type(0x1234)
skb_mark(0x5/0xf),ct_state(new|trk),ct_label(0x1/0xff),ct_zone(0x1/0x3),${P}eth_type(0x1234)
dp_hash(0x1/0xf),ct_state(0x21/0x23),ct_label(0x12345678901234567890),${P}eth_type(0x1234)
tunnel(tun_id=0x5,src=1.2.3.4,dst=2.3.4.5,tos=0x4,ttl=64,flags(-df+csum+key)),${P}eth_type(0x1234)
tunnel(tun_id=0x5/0xff,src=1.0.0.0/255.0.0.0,dst=2.3.4.5,tos=0x4/0xfc,ttl=64/0xf0,flags(csum|key)),${P}eth_type(0x1234)
tunnel(src=1.2.3.4,dst=2.3.4.5,ttl=64,tp_src=5,tp_dst=6/0xf,flags(+oam)),${P}eth_type(0x1234)
tunnel(tun_id=0x5,ipv6_src=fe80::1,ipv6_dst=fe80::/ffff::,ttl=64,flags(-df+csum+key)),${P}eth_type(0x1234)
tunnel(tun_id=0x1,src=1.2.3.4,dst=2.3.4.5,ttl=64,vxlan(gbp(id=5,flags=0x8)),flags(key)),${P}eth_type(0x1234)
${P}eth_type(0x0800),ipv4(proto=6,frag=no),tcp(dst=80),tcp_flags(+syn-ack)
${P}eth_type(0x8100),vlan(vid=10,pcp=1),encap(eth_type(0x8100),vlan(vid=20,pcp=2),encap(eth_type(0x1234)))
${P}eth_type(0x0800),ipv4(src=10.0.0.0/255.0.0.0,proto=6,tos=0/0x3,frag=no),tcp(dst=80),tcp_flags(syn|ack)
${P}eth_type(0x0800),ipv4(proto=6),tcp(src=80/0xfff0,dst=1)
${P}eth_type(0x0800),ipv4(proto=17,frag=first),udp(src=80)
${P}eth_type(0x0800),ipv4(proto=132,frag=no),sctp(src=80)
${P}eth_type(0x0800),ipv4(proto=1,frag=no),icmp(type=8,code=0)
${P}eth_type(0x0800),ipv4(proto=1,frag=no),icmp(type=128/0xf0)
${P}eth_type(0x0800),ipv4(tos=0x10,ttl=64)
${P}eth_type(0x0800),ipv4(tos=0x10/0xfc,ttl=64/0xf0,dst=1.2.3.4)
${P}eth_type(0x0800),ipv4(frag=later)
${P}eth_type(0x86dd),ipv6(src=fe80::1,dst=2001:db8::/ffff:ffff::,proto=17,hlimit=3/0xf),udp(dst=53)
${P}eth_type(0x86dd),ipv6(proto=58),icmpv6(type=135,code=0),nd(target=fe80::1,sll=00:00:00:00:00:01)
${P}eth_type(0x86dd),ipv6(proto=58),icmpv6(type=136,code=0),nd(target=fe80::/ffff::,tll=00:00:00:00:00:01)
${P}eth_type(0x86dd),ipv6(proto=58),icmpv6(type=128)
${P}eth_type(0x8100),vlan(vid=10,pcp=0),encap(eth_type(0x0800),ipv4(frag=no))
${P}eth_type(0x8100),vlan(vid=10),encap(eth_type(0x1234))
${P}eth_type(0x8100),vlan(vid=10,pcp=0/0x0),encap(eth_type(0x86dd),ipv6(frag=later,label=0x5/0xf))
${P}eth_type(0x8100),vlan(vid=10/0xf,pcp=0/0x4),encap(eth_type(0x86dd),ipv6(frag=first,label=0x5,tclass=0x4/0xfc,proto=59))
${P}eth_type(0x88a8),vlan(vid=10,pcp=7),encap(eth_type(0x0806),arp(op=1))
${P}eth_type(0x8847),mpls(label=5,tc=1,ttl=64,bos=1)
${P}eth_type(0x8847),mpls(label=5/0xff,tc=1/1,ttl=64/0xf0,bos=1)
${P}eth_type(0x0806),arp(sip=1.2.3.4,op=1,sha=00:01:02:03:04:05)
${P}eth_type(0x0806),arp(tip=1.2.0.0/255.255.0.0,tha=00:00:00:00:00:00/ff:ff:00:00:00:00)
${P}eth_type(0x8035),arp(op=3)
recirc_id(0x1f),in_port(2),eth(src=00:01:02:03:04:05,dst=01:00:00:00:00:00/01:00:00:00:00:00),eth_type(0x1234)
`
  .trim()
  .split('\n')

/** Refused by both; OVS at parsing or at insertion. */
const BAD_KEYS = `
${P}eth_type(0x0800),ipv4(src=1.2.3)
${P}eth_type(0x0800),ipv4(bogus=1)
${P}eth_type(0x0800),ipv4(frag=sometimes)
${P}eth_type(0x0800),bogus(1)
${P}eth_type(0x0800),ipv6(src=fe80::1)
${P}eth_type(0x0800),ipv4(proto=6),udp(src=1)
${P}eth_type(0x0800),ipv4(proto=6
${P}eth_type(0x0800),tcp(src=1)
${P}eth_type(0x8100),vlan(vid=5000),encap(eth_type(0x1234))
${P}eth_type(0x86dd),ipv6(label=0x100000)
recirc_id(0),in_port(nosuch),eth(),eth_type(0x0800)
`
  .trim()
  .split('\n')

const ACTIONS = `
drop
1
1,2
push_vlan(vid=10,pcp=0)
push_vlan(tpid=0x88a8,vid=5,pcp=3),2
push_vlan(tpid=0x8100,vid=5,pcp=3),2
pop_vlan,2
trunc(100),2
clone(2,1)
clone(1,clone(2)),3
set(eth(src=00:01:02:03:04:05,dst=00:00:00:00:00:01))
set(eth(src=00:01:02:03:04:05))
set(eth(dst=01:00:00:00:00:00/01:00:00:00:00:00))
set(ipv4(src=1.2.3.4,ttl=63)),2
set(ipv4(src=10.0.0.0/255.0.0.0,tos=0/0x3))
set(ipv4(tos=0x10/0xfc,ttl=63))
set(ipv6(src=fe80::1,dst=fe80::2,label=0x5,tclass=0x5,hlimit=64))
set(ipv6(label=0x5/0xf,dst=fe80::/ffff::))
set(tcp(src=1,dst=2)),set(udp(src=1,dst=0/0xff00)),set(sctp(dst=7))
set(icmp(type=1,code=2)),set(icmpv6(type=3))
set(arp(sip=1.2.3.4,tip=2.3.4.5,op=2,sha=00:01:02:03:04:05,tha=00:00:00:00:00:01))
set(nd(target=fe80::1,sll=00:00:00:00:00:01))
set(skb_mark(0x5)),set(skb_mark(0x5/0xf)),set(skb_priority(0))
set(mpls(label=5,tc=1,ttl=64,bos=1))
set(mpls(label=5/0xff,tc=1/0,ttl=64/0,bos=1/0))
tnl_pop(4)
tnl_pop(4),2
`
  .trim()
  .split('\n')

const BAD_ACTIONS = [
  'bogus',
  'drop,2',
  'push_vlan(vid=5000,pcp=0)',
  'push_vlan(vid=5)',
  'push_vlan(tpid=0x88a8,vid=5)',
  'pop_mpls()',
  'set(bogus(1))',
  'set(ipv4(bogus=1))',
  'set(ipv4(src=1.2.3))',
  'clone(1',
  'trunc(foo)',
]

const dpctlActions = (text: string): { ok: boolean; text: string } => {
  const { status, stdout } = spawnSync('ovs-dpctl', ['parse-actions', text], { encoding: 'utf8' })
  return { ok: status === 0, text: stdout.trim() }
}

const hasDpctl = spawnSync('ovs-dpctl', ['--version']).status === 0

describe.skipIf(!hasDpctl)('datapath actions, next to ovs-dpctl parse-actions', () => {
  test.each(ACTIONS)('understood alike: %s', (text) => {
    const ours = formatOdpActions(parseOdpActions(text))
    // A masked set of nothing is OVS's way to write `ttl=64/0`: the value is not kept here.
    const theirs = dpctlActions(
      text.replace('ttl=64/0,', 'ttl=0/0,').replace('bos=1/0', 'bos=0/0').replace('tc=1/0', 'tc=0/0'),
    )
    expect({ ok: true, text: ours }).toEqual(theirs)
    expect(dpctlActions(ours)).toEqual({ ok: true, text: ours })
  })

  test.each([4, 6] as const)('an encap entry is written as OVS writes one, over IPv%i', (version) => {
    for (const csum of [false, true]) {
      const outer = { version, vni: 0x1c7, dstPort: 4789, tos: csum ? 4 : 0, ttl: 63, df: csum, csum }
      const text = formatOdpActions(
        [
          { type: 'tnl_push', entry: 3 },
          { type: 'output', port: 9 },
        ],
        {
          encap: (id) =>
            entryOf(outer, {
              id,
              actions: [
                { type: 'output', port: 7 },
                { type: 'output', port: 8 },
              ],
            }),
        },
      )
      expect(text).toMatch(/^clone\(tnl_push\(.*,out_port\(2\)\),7,8\),9$/)
      expect(dpctlActions(text)).toEqual({ ok: true, text })
    }
  })

  test.each(BAD_ACTIONS)('refused by both: %s', (text) => {
    expect(dpctlActions(text).ok).toBe(false)
    expect(() => parseOdpActions(text)).toThrow(FlowSyntaxError)
  })
})

describe.skipIf(!hasVswitchd)('datapath flows, next to dpctl of ovs-vswitchd', () => {
  let ovs: DummyOvs

  beforeAll(() => {
    ovs = new DummyOvs()
    ovs.start()
  }, 30_000)

  afterAll(() => ovs.stop())

  test.each(KEYS)('dumped alike: %s', (key) => {
    const match = parseOdpMatch(key)
    const flow = { match, packets: 0, bytes: 0, tcpFlags: 0, actions: [{ type: 'output', port: 2 }] } as const
    const brief = ovs.addAndDump(key, '2', false)
    expect(formatOdpFlow(flow)).toBe(withoutPacketType(brief.text))
    const full = ovs.addAndDump(key, '2', true)
    const portName = (port: number): string => `p${port}`
    const ufid = /^ufid:([0-9a-f-]+)/.exec(full.text)?.[1] ?? ''
    const ours = formatOdpFlow({ ...flow, ufid, dp: 'ovs' }, { verbose: true, portName })
    expect(ours).toBe(withoutPacketType(full.text).replace(/, dp-extra-info:.*$/, ''))
    expect(ovs.addAndDump(formatOdpMatch(match), '2', false)).toEqual(brief)
  })

  test.each(BAD_KEYS)('refused by both: %s', (key) => {
    expect(ovs.addAndDump(key, '2', false).ok).toBe(false)
    expect(() => parseOdpMatch(key)).toThrow(FlowSyntaxError)
  })

  test('what the slow path installs is read and printed again without a change', () => {
    ovs.rules(
      'table=0,priority=10,in_port=1,dl_vlan=10,tcp,actions=strip_vlan,resubmit(,1),goto_table:2',
      'table=1,priority=10,ip,nw_frag=not_later,actions=set_field:10.0.0.1->ip_src,dec_ttl,push_vlan:0x88a8,set_field:4101->vlan_vid,output:2',
      'table=2,tcp,tcp_flags=+syn,ct_state=-trk,pkt_mark=0/0xf0,actions=drop',
      'table=0,priority=9,in_port=1,ipv6,actions=2,push_vlan:0x8100,set_field:4100->vlan_vid,2',
      'table=0,priority=9,arp,actions=in_port',
      'table=0,priority=3,actions=push_mpls:0x8847,set_field:5->mpls_label,2',
    )
    ovs.clear()
    const eth = 'in_port(1),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02)'
    const tcp = (flags: string): string =>
      `eth_type(0x0800),ipv4(src=1.2.3.4,dst=2.3.4.5,proto=6,tos=0,ttl=64,frag=no),tcp(src=1,dst=2),tcp_flags(${flags})`
    const frames = [
      `${eth},eth_type(0x8100),vlan(vid=10,pcp=0),encap(${tcp('syn')})`,
      `${eth},eth_type(0x8100),vlan(vid=10,pcp=0),encap(${tcp('syn|ack')})`,
      `${eth},${tcp('ack')}`,
      `${eth},eth_type(0x8100),vlan(vid=10,pcp=0),encap(eth_type(0x8100),vlan(vid=20,pcp=1),encap(${tcp('fin')}))`,
      `${eth},eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,label=0,proto=17,tclass=0,hlimit=64,frag=no),udp(src=1,dst=2)`,
      `${eth},eth_type(0x0806),arp(sip=1.2.3.4,tip=2.3.4.5,op=1,sha=00:00:00:00:00:01,tha=00:00:00:00:00:00)`,
    ]
    for (const frame of frames) ovs.appctl('netdev-dummy/receive', 'p1', frame)
    // An 802.3 frame with LLC and no SNAP, which has no Ethernet type.
    ovs.appctl('netdev-dummy/receive', 'p1', '000000000001000000000002000542420300000000')
    // Frames that two flows have in common are counted when they have been handled.
    ovs.appctl('revalidator/wait')
    const lines = ovs.dump(false)
    expect(lines.length).toBeGreaterThanOrEqual(6)
    for (const line of lines) {
      const cut = line.indexOf(', packets:')
      const key = withoutPacketType(line.slice(0, cut))
      const actions = line.slice(line.indexOf('actions:') + 'actions:'.length)
      expect(formatOdpMatch(parseOdpMatch(line.slice(0, cut))).replace('eth(),', '')).toBe(key)
      expect(formatOdpActions(parseOdpActions(actions))).toBe(actions)
    }
  })

  test('statistics are written as OVS writes them', () => {
    ovs.rules('priority=1,ip,actions=2')
    ovs.clear()
    const frame =
      'in_port(1),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x0800),' +
      'ipv4(src=1.2.3.4,dst=2.3.4.5,proto=6,tos=0,ttl=64,frag=no),tcp(src=1,dst=2),tcp_flags('
    for (const flags of ['0', 'syn', 'ack|psh', 'fin', 'rst|urg', 'ece|cwr|ns']) {
      ovs.appctl('netdev-dummy/receive', 'p1', `${frame}${flags})`)
    }
    const line = ovs.dump(false).find((l) => l.includes('flags:'))!
    const found = /packets:(\d+), bytes:(\d+), used:(\d+)\.(\d{3})s, flags:(\S+),/.exec(line)
    expect(found, line).not.toBeNull()
    const [, packets, bytes, seconds, ms] = found!.map(Number)
    const ours = formatOdpFlow({
      match: parseOdpMatch(line.slice(0, line.indexOf(', packets:'))),
      packets: packets!,
      bytes: bytes!,
      usedMs: seconds! * 1000 + ms!,
      tcpFlags: 0x1ff,
      actions: [{ type: 'output', port: 2 }],
    })
    expect(ours.replace('eth(),', '')).toBe(withoutPacketType(line))
  })
})
