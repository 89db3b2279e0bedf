/** Random packets and rules over so few values that they often meet. */
import fc from 'fast-check'
import { addressToWords } from '../../../src/flow/address.ts'
import { extract } from '../../../src/flow/extract.ts'
import { createKey, K_IN_PORT, K_TUN_DST, K_TUN_ID, K_TUN_META, K_TUN_SRC, K_TUN_TP } from '../../../src/flow/key.ts'
import type { VlanSpec } from '../../../src/ofproto/vlan.ts'
import { frame } from './kit.ts'

const MACS = [0x020000000001, 0x020000000002, 0x020000000003, 0xffffffffffff, 0x0180c2000001]
const TCIS = [0, 10, 20, 0x600a, 0xa000]

const pick = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values)

const ipv4 = fc
  .record({
    proto: pick(0, 1, 6, 17),
    frag: pick(0, 0, 0, 0x2000, 0x2001, 1),
    tos: pick(0, 0xb8),
    ttl: pick(0, 1, 2, 64),
    src: pick(1, 2),
    dst: pick(1, 2),
    sport: pick(1, 80),
    dport: pick(1, 80),
  })
  .map((p) => [
    ...[0x45, p.tos, 0, 46, 0, 1, p.frag >> 8, p.frag & 0xff, p.ttl, p.proto, 0, 0, 10, 0, 0, p.src, 10, 0, 0, p.dst],
    ...[0, p.sport, 0, p.dport, 0, 26, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0],
  ])

const ipv6 = fc
  .record({ proto: pick(6, 17, 58), hop: pick(1, 64), src: pick(1, 2), dport: pick(1, 80) })
  .map((p) => [
    ...[0x60, 0, 0, 0, 0, 20, p.proto, p.hop, 0xfd, ...Array(14).fill(0), p.src, 0xfd, ...Array(14).fill(0), 9],
    ...[0, 1, 0, p.dport, 0, 20, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0],
  ])

const arp = fc
  .record({ op: pick(1, 2, 3), spa: pick(1, 2), tpa: pick(1, 2) })
  .map((p) => [0, 1, 8, 0, 6, 4, 0, p.op, 2, 0, 0, 0, 0, 1, 10, 0, 0, p.spa, 0, 0, 0, 0, 0, 0, 10, 0, 0, p.tpa])

const body = fc.oneof(
  { weight: 4, arbitrary: ipv4.map((payload) => ({ type: 0x0800, payload })) },
  ipv6.map((payload) => ({ type: 0x86dd, payload })),
  arp.map((payload) => ({ type: 0x0806, payload })),
  fc.constant({ type: 0x88b5, payload: [] as number[] }),
)

const tag = fc.tuple(pick(0x8100, 0x8100, 0x88a8), pick(...TCIS))

/** Tunnels of the random worlds: their datapath port, and the UDP port that makes some of the packets theirs. */
export const VX = 50
export const TUNNEL_PORT = 80
export const PEERS: readonly Uint8Array[] = [
  Uint8Array.of(192, 168, 0, 2),
  Uint8Array.of(192, 168, 0, 3),
  Uint8Array.of(0xfd, ...Array<number>(14).fill(0), 2),
]
export const LOCALS: readonly Uint8Array[] = [Uint8Array.of(192, 168, 0, 1), Uint8Array.of(10, 0, 0, 1)]

const metadata = fc.record({
  vni: pick(0, 5, 100),
  from: pick(...PEERS),
  to: pick(...LOCALS),
  tos: pick(0, 0xb8),
  ttl: pick(63, 64),
  flags: pick(8, 12),
})

/** Keys as extraction makes them; K_IN_PORT is a datapath port 1..4. */
export const packetKey: fc.Arbitrary<Int32Array> = fc
  .record({
    src: pick(...MACS.slice(0, 3)),
    dst: pick(...MACS),
    tags: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.array(tag, { maxLength: 2 })),
    body,
    port: pick(1, 2, 3, 4),
  })
  .map(({ src, dst, tags, body: { type, payload }, port }) => {
    const bytes = frame({ src, dst, tags, type, payload })
    const key = createKey()
    extract(bytes, 0, bytes.length, key)
    key[K_IN_PORT] = port
    return key
  })

/** Also such that came by VX, with tunnel metadata. */
export const anyPacketKey: fc.Arbitrary<Int32Array> = fc.oneof(
  { weight: 3, arbitrary: packetKey },
  fc.tuple(packetKey, metadata).map(([inner, { vni, from, to, tos, ttl, flags }]) => {
    const key = inner.slice()
    key[K_IN_PORT] = VX
    key[K_TUN_ID + 1] = vni
    key[K_TUN_META] = (tos << 24) | (ttl << 16) | flags
    key[K_TUN_TP] = (40000 << 16) | TUNNEL_PORT
    addressToWords(from, key, K_TUN_SRC)
    addressToWords(to, key, K_TUN_DST)
    return key
  }),
)

/** Most fields of most rules are not matched, so that packets find rules. */
const OPEN = Array<string>(8).fill('')

const matchText = fc
  .tuple(
    pick(...OPEN, 'in_port=1', 'in_port=2'),
    pick(...OPEN, 'dl_vlan=10', 'vlan_tci=0', 'dl_vlan_pcp=3', 'vlan_tci=0x1000/0x1000', 'vlan_tci=0x100a/0x100f'),
    pick(...OPEN, 'dl_src=02:00:00:00:00:01', 'dl_dst=02:00:00:00:00:02', 'dl_dst=01:00:00:00:00:00/01:00:00:00:00:00'),
    pick(
      ...OPEN,
      'ip',
      'ip,nw_src=10.0.0.1',
      'ip,nw_dst=10.0.0.0/31',
      'tcp,tp_dst=80',
      'udp,tp_src=1/1',
      'icmp,icmp_type=0',
      'arp,arp_op=1',
      'arp,arp_tpa=10.0.0.2',
      'tcp6,tp_dst=80',
      'ip,nw_ttl=64',
      'ip,nw_frag=later',
      'ip,nw_frag=no',
      'ip,nw_tos=184',
    ),
    pick(...OPEN, 'reg0=1', 'metadata=1', 'reg1=0x10/0xf0'),
  )
  .map((parts) => parts.filter((part) => part !== '').join(','))

const tunnelMatch = pick(
  ...OPEN,
  'tun_id=100',
  'tun_id=4/4',
  'tun_src=192.168.0.2',
  'tun_dst=10.0.0.1',
  'tun_flags=+csum',
)

const plainAction = pick(
  'output:1',
  'output:2',
  'output:3',
  'output:4',
  'in_port',
  'NORMAL',
  'FLOOD',
  'ALL',
  'mod_vlan_vid:10',
  'mod_vlan_vid:20',
  'mod_vlan_pcp:3',
  'strip_vlan',
  'mod_dl_src:02:00:00:00:00:09',
  'mod_dl_dst:02:00:00:00:00:01',
  'mod_nw_src:10.0.0.1',
  'mod_nw_dst:10.0.0.2',
  'mod_nw_tos:184',
  'mod_nw_ttl:64',
  'mod_tp_dst:80',
  'dec_ttl',
  'load:1->NXM_NX_REG0[]',
  'load:1->NXM_NX_REG1[4..7]',
  'load:2->NXM_OF_ETH_DST[0..7]',
  'set_field:02:00:00:00:00:03->eth_dst',
  'set_field:00:00:00:00:00:02/00:00:00:00:00:ff->eth_src',
  'set_field:1->metadata',
  'move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]',
  'move:NXM_OF_ETH_SRC[0..7]->NXM_NX_REG0[0..7]',
  'move:NXM_OF_VLAN_TCI[0..11]->NXM_NX_REG1[0..11]',
  'output:NXM_NX_REG0[]',
  'load:0x100a->NXM_OF_VLAN_TCI[]',
  'resubmit(,1)',
  'resubmit(,2)',
  'resubmit(2,1)',
  'set_queue:1',
  'push_vlan:0x8100',
  'push_vlan:0x88a8',
)

const tunnelAction = pick(
  'LOCAL',
  'LOCAL',
  'set_tunnel:5',
  'load:1->NXM_NX_TUN_ID[2]',
  'set_field:192.168.0.3->tun_dst',
  'set_field:192.168.0.1->tun_src',
  'set_field:fd00::2->tun_ipv6_dst',
  'load:7->NXM_NX_TUN_IPV4_DST[0..7]',
  'move:NXM_NX_TUN_IPV4_SRC[]->NXM_NX_TUN_IPV4_DST[]',
  'move:NXM_OF_ETH_SRC[0..7]->NXM_NX_TUN_ID[0..7]',
  'move:NXM_NX_TUN_ID[0..31]->NXM_NX_REG0[]',
)

const withClones = (action: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 8, arbitrary: action },
    fc.array(action, { minLength: 1, maxLength: 4 }).map((list) => `clone(${list.join(',')})`),
  )

const instruction = pick(
  '',
  '',
  '',
  'goto_table:9',
  'write_actions(output:3,mod_vlan_vid:20)',
  'write_actions(mod_dl_src:02:00:00:00:00:07,output:2)',
  'write_metadata:1',
  'clear_actions',
)

const rulesOf = (match: fc.Arbitrary<string>, action: fc.Arbitrary<string>): fc.Arbitrary<string[]> =>
  fc
    .array(
      fc.record({
        table: pick(0, 0, 0, 1, 2, 9),
        match,
        actions: fc.array(action, { maxLength: 4 }),
        instruction,
      }),
      { minLength: 1, maxLength: 12 },
    )
    .map((rules) =>
      rules.map(({ table, match: fields, actions, instruction: last }, i) => {
        const goto = last.startsWith('goto') && table === 9 ? '' : last
        const list = [...actions, goto].filter((text) => text !== '').join(',') || 'drop'
        return `table=${table},priority=${i},${fields === '' ? '' : `${fields},`}actions=${list}`
      }),
    )

/** Rules for one bridge, each with a priority of its own. */
export const ruleTexts = rulesOf(matchText, withClones(plainAction))

/** Also such that match and write tunnel metadata, and send to the host. */
export const anyRuleTexts = rulesOf(
  fc.tuple(matchText, tunnelMatch).map((parts) => parts.filter((part) => part !== '').join(',')),
  withClones(fc.oneof({ weight: 4, arbitrary: plainAction }, tunnelAction)),
)

export const vlanSpec: fc.Arbitrary<VlanSpec> = fc.constantFrom<VlanSpec>(
  {},
  { tag: 10 },
  { tag: 20 },
  { trunks: [10, 20] },
  { vlanMode: 'native-tagged', tag: 10 },
  { vlanMode: 'native-untagged', tag: 10 },
  { vlanMode: 'native-untagged', tag: 20, priorityTags: 'if-nonzero' },
  { tag: 10, priorityTags: 'always' },
  { vlanMode: 'dot1q-tunnel', tag: 20 },
  { vlanMode: 'dot1q-tunnel', tag: 10, cvlans: [10] },
)
