/** The same tunnels here and in Open vSwitch with its native tunnelling: the same port for each packet, the same outer header, the same packets that end in the host. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addressBytes } from '../../../src/flow/address.ts'
import { parseFlow } from '../../../src/flow/ofp-text.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { ManualScheduler } from '../../../src/lib/scheduler.ts'
import { Ofproto } from '../../../src/ofproto/ofproto.ts'
import { parseTraceArgs, trace } from '../../../src/ofproto/trace.ts'
import { Underlay } from '../../../src/ofproto/underlay.ts'
import type { TunnelConfig } from '../../../src/tunnel/contract.ts'
import { Tunnels } from '../../../src/tunnel/tunnels.ts'
import { FakeDpif, FakeFib, FakeNeighbours, FakePorts } from '../../unit/tunnel/fakes.ts'
import { Daemon } from '../kit/daemon.ts'
import { Testbed } from '../kit/testbed.ts'
import { hasReference, ReferenceSwitch } from './reference-switch.ts'

const VX = 4789
const LOCAL = 100
const IFINDEX = 1
/** Option texts and OpenFlow ports of the tunnels of br1. */
const TUNNELS: readonly (readonly [name: string, no: number, options: string])[] = [
  ['vx4', 4, 'remote_ip=192.168.0.2 key=100'],
  ['vx5', 5, 'remote_ip=flow key=flow'],
  ['vx6', 6, 'remote_ip=192.168.0.2 key=flow'],
  ['vx7', 7, 'remote_ip=flow key=100'],
  ['vx8', 8, 'remote_ip=192.168.0.2 local_ip=192.168.0.1 key=100'],
  ['vx9', 9, 'remote_ip=192.168.0.3 key=7 tos=0x20 ttl=9 csum=true df_default=false'],
  ['vx10', 10, 'remote_ip=192.168.0.3 key=8 tos=inherit ttl=inherit'],
]

const RULES = [
  'in_port=1,actions=output:4',
  'in_port=2,tcp,actions=set_tunnel:9,set_field:192.168.0.3->tun_dst,output:5',
  'in_port=2,udp,actions=set_field:0x12345678->tun_id,output:6',
  'in_port=2,icmp,actions=output:9',
  'in_port=2,arp,actions=output:10',
  'in_port=2,ipv6,actions=push_vlan:0x8100,set_field:4103->vlan_vid,output:4,output:1',
  'in_port=5,actions=in_port',
  'in_port=4,actions=move:NXM_NX_TUN_IPV4_SRC[]->NXM_NX_TUN_IPV4_DST[],set_field:192.168.0.1->tun_src,output:6,output:1',
]

const reference = new ReferenceSwitch()
const ofproto = new Ofproto(new ManualClock())

const optionOf = (options: string, name: string): string | undefined =>
  new RegExp(`(?:^| )${name}=(\\S+)`).exec(options)?.[1]

const configOf = (options: string): TunnelConfig => {
  const address = (name: string) => {
    const text = optionOf(options, name)
    return text === undefined || text === 'flow' ? text : addressBytes(text)!
  }
  const number = (name: string, otherwise: number) => {
    const text = optionOf(options, name)
    return text === 'inherit' ? text : Number(text ?? otherwise)
  }
  const local = address('local_ip') as TunnelConfig['local']
  const key = optionOf(options, 'key')
  return {
    remote: address('remote_ip') as TunnelConfig['remote'],
    ...(local === undefined ? {} : { local }),
    key: key === 'flow' ? key : Number(key),
    dstPort: VX,
    tos: number('tos', 0),
    ttl: number('ttl', 64),
    df: optionOf(options, 'df_default') !== 'false',
    ...(optionOf(options, 'csum') === 'true' ? { csum: true } : {}),
  }
}

const startTheirs = (): string => {
  reference.start('system')
  for (const [name, no, options] of TUNNELS) {
    const set = options
      .split(' ')
      .map((option) => `options:${option}`)
      .join(' ')
    reference.vsctl(`add-port br1 ${name} -- set interface ${name} type=vxlan ofport_request=${no} ${set}`)
  }
  reference.appctl('netdev-dummy/ip4addr', 'br0', '192.168.0.1/24')
  reference.appctl('ovs/route/add', '192.168.0.0/24', 'br0')
  for (const n of [2, 3]) reference.appctl('tnl/neigh/set', 'br0', `192.168.0.${n}`, `02:00:00:00:bb:0${n}`)
  reference.setRules('br0', ['in_port=LOCAL,actions=output:1', 'actions=LOCAL'])
  reference.setRules('br1', RULES)
  const [, mac] = /eth\(dst=([0-9a-f:]+)\)/.exec(reference.appctl('tnl/ports/show', '-v').text) ?? []
  return mac!
}

const startOurs = (mac: string): void => {
  const { tunnels } = ofproto
  const fib = new FakeFib()
  const neighbours = new FakeNeighbours()
  const underlayPorts = new FakePorts()
  const clock = new ManualClock()
  tunnels.use(
    new Tunnels({
      fib,
      neighbours,
      underlayPorts,
      translator: new Underlay(ofproto, clock),
      dpif: new FakeDpif(),
      ports: tunnels.ports,
      clock,
      scheduler: new ManualScheduler(),
      log: { warnLimited: (text) => expect.fail(text) },
    }),
  )
  tunnels.ports.setDpPort(VX, VX)
  const bytes = Uint8Array.from(mac.split(':').map((byte) => Number.parseInt(byte, 16)))
  underlayPorts.set(IFINDEX, { name: 'br0', dpPort: LOCAL, mac: bytes })
  fib.setAddresses(IFINDEX, '192.168.0.1')
  fib.set('192.168.0.0/24', { members: [{ oif: IFINDEX, weight: 1 }] })
  for (const n of [2, 3]) {
    const lladdr = Uint8Array.of(2, 0, 0, 0, 0xbb, n)
    neighbours.answers.set(FakeNeighbours.key(IFINDEX, Uint8Array.of(192, 168, 0, n)), { type: 'found', lladdr })
  }
  for (const i of [0, 1]) {
    const bridge = ofproto.addBridge(`br${i}`, { normal: false })
    bridge.addPort({ name: `br${i}`, dpPort: LOCAL + i })
    for (const n of [1, 2]) bridge.addPort({ name: `p${2 * i + n}`, dpPort: 2 * i + n, ofport: n })
  }
  ofproto.bridge('br0')!.setPortMac('br0', Number.parseInt(mac.replaceAll(':', ''), 16))
  for (const rule of ['in_port=LOCAL,actions=output:1', 'actions=LOCAL'])
    ofproto.bridge('br0')!.tables.add(parseFlow(rule))
  const br1 = ofproto.bridge('br1')!
  for (const [name, ofport, options] of TUNNELS) br1.addPort({ name, ofport, tunnel: configOf(options) })
  for (const rule of RULES) br1.tables.add(parseFlow(rule))
}

const line = (text: string, name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1] ?? text

const ours = (...args: string[]): string => {
  const { key, inPort } = parseTraceArgs(ofproto, args)
  return trace(key, inPort)
}
const theirs = (...args: string[]): string => reference.appctl('ofproto/trace', ...args).text

/** We write a copy for the tunnel as a clone, as dumps of flows do there; they do not in traces. */
const actionsOf = (text: string): string =>
  line(text, 'Datapath actions').replaceAll(/clone\((tnl_push\(.*?out_port\(\d+\)\),[\d,]+)\)/g, '$1')

/** Without ECN, TOS and TTL of the inner packet, which they look at for each header and we leave to the datapath; flags are spelt otherwise. */
const megaflowOf = (text: string): string =>
  line(text, 'Megaflow').replaceAll(/,(nw_ecn|nw_tos|nw_ttl|tun_flags)=[^,]*/g, '')

describe.skipIf(!hasReference)('tunnels as in Open vSwitch', () => {
  let mac = ''
  beforeAll(() => {
    mac = startTheirs()
    startOurs(mac)
  }, 60_000)
  afterAll(() => reference.stop())

  const M = 'dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02'

  it('take packets by the same port', () => {
    const seen = new Set<string>()
    for (const vni of [100, 101, 7, 8])
      for (const src of [2, 3, 4])
        for (const dst of [1, 9]) {
          const flow = `tunnel(tun_id=0x${vni.toString(16)},src=192.168.0.${src},dst=192.168.0.${dst},ttl=64,flags(df|key)),in_port(${VX}),eth(),eth_type(0x1234)`
          const port = (text: string): string => /\bin_port=(\d+)/.exec(line(text, 'Flow'))?.[1] ?? 'none'
          expect(port(ours(flow)), flow).toBe(port(theirs(flow)))
          seen.add(port(ours(flow)))
        }
    expect([...seen].sort()).toEqual(['10', '4', '5', '6', '7', '8', '9'])
  })

  it.each([
    `in_port=1,${M},tcp,nw_tos=0,nw_ttl=64`,
    `in_port=2,${M},tcp,nw_ttl=64`,
    `in_port=2,${M},udp,nw_ttl=64`,
    `in_port=2,${M},icmp,nw_ttl=64`,
    `in_port=2,${M},arp`,
    `in_port=2,${M},ipv6`,
  ])('put the same header on, and send it the same way: %s', (flow) => {
    const [mine, its] = [ours('br1', flow), theirs('br1', flow)]
    expect(actionsOf(mine)).toMatch(/^(push_vlan\(.*\),)?tnl_push\(.*out_port\(100\)\),1/)
    expect(actionsOf(mine)).toBe(actionsOf(its))
    expect(megaflowOf(mine)).toBe(megaflowOf(its))
  })

  it.each([
    'udp,nw_dst=192.168.0.1,udp_dst=4789',
    'udp,nw_dst=192.168.0.1,udp_dst=4790',
    'udp,nw_dst=192.168.0.2,udp_dst=4789',
    'tcp,nw_dst=192.168.0.1,tcp_dst=4789',
  ])('end where packets are for the host: %s', (flow) => {
    const text = `in_port=1,dl_dst=${mac},${flow}`
    expect(actionsOf(ours('br0', text))).toBe(actionsOf(theirs('br0', text)))
    expect(actionsOf(ours('br0', text))).toBe(flow.endsWith('192.168.0.1,udp_dst=4789') ? `tnl_pop(${VX})` : '100')
  })

  it.each([
    ['back to where it came to', 101, 4, 'drop'],
    ['back to where it came from', 100, 2, 'tnl_push'],
  ])('keep the metadata of a packet that goes on: %s', (_, vni, src, expected) => {
    const local = expected === 'drop' ? 1 : 5
    const flow = `tunnel(tun_id=0x${vni.toString(16)},src=192.168.0.${src},dst=192.168.0.${local},ttl=64,flags(df|key)),in_port(${VX}),eth(),eth_type(0x1234)`
    const [mine, its] = [ours(flow), theirs(flow)]
    expect(actionsOf(mine).replace('(tunnel-to-self)', '')).toBe(actionsOf(its))
    expect(actionsOf(mine)).toContain(expected)
    expect(megaflowOf(mine)).toBe(megaflowOf(its))
  })

  describe('verbs, of a switch whose underlay has no host as theirs has none', () => {
    let bed: Testbed
    let daemon: Daemon
    const EXTRA = ['vx11', 11, 'remote_ip=fd00::2 key=9 dst_port=8472'] as const

    /** As in a configuration file. */
    const optionsOf = (options: string): Record<string, unknown> =>
      Object.fromEntries(
        options.split(' ').map((option) => {
          const [name, text] = option.split('=') as [string, string]
          const value = /^(0x[0-9a-f]+|\d+)$/.test(text) ? Number(text) : text
          return [name, value === 'true' || value === 'false' ? value === 'true' : value]
        }),
      )

    /** One verb on both sides: texts, or refusals. */
    const both = async (words: string): Promise<[ours: string, theirs: string]> => {
      const [verb, ...args] = words.split(' ') as [string, ...string[]]
      const { ok, text } = reference.appctl(verb, ...args)
      return [
        await daemon.verb(verb, ...args).catch((error: Error) => `refused: ${error.message}`),
        ok ? text : `refused: ${text.split('\n')[0]}`,
      ]
    }
    /** Title and rows; theirs come in the order of their tables, ours by port and by age. */
    const sorted = (text: string, titles: number): string[] => {
      const lines = text.trimEnd().split('\n')
      return [...lines.slice(0, titles), ...lines.slice(titles).sort()]
    }

    beforeAll(async () => {
      const [name, no, options] = EXTRA
      const set = options.replaceAll(/(^| )/g, '$1options:')
      reference.vsctl(`add-port br1 ${name} -- set interface ${name} type=vxlan ofport_request=${no} ${set}`)
      reference.appctl('netdev-dummy/ip6addr', 'br0', 'fd00::1/64')
      bed = new Testbed()
      // The kernel has no routes there, but those of an interface for itself.
      const { netns } = await bed.guest('empty')
      daemon = await Daemon.start(bed, {
        underlay: { netns },
        bridges: {
          br0: { internal: { stack: 'none', mac, addresses: ['192.168.0.1/24', 'fd00::1/64'] }, ports: {} },
          br1: {
            ports: Object.fromEntries(
              [...TUNNELS, EXTRA].map(([port, ofport, text]) => [
                port,
                { type: 'vxlan', ofport, options: optionsOf(text) },
              ]),
            ),
          },
        },
      })
      // Theirs was told of the first IPv4 network and neighbours before; the networks of its addresses ours knows by itself.
      reference.appctl('ovs/route/add', 'fd00::/64', 'br0')
      for (const n of [2, 3]) await daemon.verb('tnl/neigh/set', 'br0', `192.168.0.${n}`, `02:00:00:00:bb:0${n}`)
      for (const words of [
        'tnl/neigh/set br0 fd00::2 02:00:00:00:bb:02',
        'ovs/route/add 10.0.0.0/8 br0 192.168.0.2',
        'ovs/route/add 10.1.0.0/16 br0 192.168.0.3 pkt_mark=7',
        'ovs/route/add fd01::/64 br0 fd00::2',
      ])
        expect((await both(words)).filter((text) => text.startsWith('refused'))).toEqual([])
    }, 60_000)
    afterAll(() => bed?.close())

    it.each(['tnl/ports/show', 'tnl/ports/show -v'])(
      '%s: but for the number of the datapath port, which is the UDP port there',
      async (words) => {
        const unnumbered = (text: string): string[] => sorted(text.replaceAll(/^(\S+) \(\d+\)/gm, '$1'), 1)
        const [mine, its] = await both(words)
        expect(unnumbered(mine)).toEqual(unnumbered(its))
        expect(mine.match(/^vxlan_sys_(4789|8472) \(/gm)).toHaveLength(words.endsWith('-v') ? 4 : 2)
      },
    )

    it.each(['tnl/neigh/show', 'tnl/arp/show'])(
      '%s: the same columns, and one for the state of a neighbour behind them',
      async (verb) => {
        const [mine, its] = await both(verb)
        const [title, line, ...rows] = sorted(mine, 2) as [string, string, ...string[]]
        const [itsTitle, itsLine, ...itsRows] = sorted(its, 2) as [string, string, ...string[]]
        const at = title.indexOf('State')
        expect(title.slice(0, at).trimEnd()).toBe(itsTitle)
        expect([line, itsLine].map((text) => /^=+$/.test(text))).toEqual([true, true])
        expect(rows.map((row) => row.slice(0, at).trimEnd())).toEqual(itsRows.map((row) => row.trimEnd()))
        expect(rows.map((row) => row.slice(at))).toEqual(['PERMANENT', 'PERMANENT', 'PERMANENT'])
      },
    )

    it('ovs/route/show: what was added by hand; but ours lists networks of its addresses as its own', async () => {
      const [mine, its] = await both('ovs/route/show')
      const user = (text: string): string[] => sorted(text, 1).filter((row) => !row.startsWith('Cached:'))
      const connected = /^User: (192\.168\.0\.0\/24|fd00::\/64) /
      expect(user(mine)).toEqual(user(its).filter((row) => !connected.test(row)))
      expect(user(mine)).toHaveLength(4)
      for (const row of its.split('\n').filter((text) => connected.test(text)))
        expect(mine).toContain(row.replace('User:', 'Cached:'))
    })

    it.each(['192.168.0.2', '10.1.1.1', '10.1.1.1 pkt_mark=7', 'fd00::2', 'fd01::2'])(
      'ovs/route/lookup %s',
      async (words) => {
        const [mine, its] = await both(`ovs/route/lookup ${words}`)
        expect(mine).toBe(its)
        expect(mine).toMatch(/^src \S+\ngateway \S+\ndev br0\n$/)
      },
    )

    it.each(['11.1.1.1', '10.2.1.1 pkt_mark=7', 'fd02::1'])(
      'ovs/route/lookup %s, where there is no way: ours says why',
      async (words) => {
        const [mine, its] = await both(`ovs/route/lookup ${words}`)
        expect([mine, its]).toEqual(['refused: Not found: no-route', 'refused: Not found'])
      },
    )
  })
})
