import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DummyOvs, hasVswitchd } from '../flow-text/dummy-ovs.ts'
import { TAPSWITCH } from '../kit/daemon.ts'
import { run } from '../kit/process.ts'
import { sendFrames } from '../kit/scapy.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'

/**
 * Debian's ovs-appctl asks a real ovs-vswitchd and the switch, both with a bridge br0 with LOCAL and the ports p1 and p2 and after the same frames: the
 * answers have the same lines once numbers, and the words that name a kind of port or datapath, are taken out.
 */

let bed: Testbed
let guests: Record<'host' | 'g1' | 'g2', Guest>
let control: string
const ovs = new DummyOvs()

const PING = 'eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1000,dst=2000)'
const FRAMES = [
  ['p1', '02:00:00:00:00:01', 'ff:ff:ff:ff:ff:ff'],
  ['p2', '02:00:00:00:00:02', '02:00:00:00:00:01'],
  ['p2', '02:00:00:00:00:02', '02:00:00:00:00:01'],
] as const

beforeAll(async () => {
  // Debian's package is among what scripts/test installs.
  expect(hasVswitchd).toBe(true)
  bed = new Testbed()
  bed.defer(() => ovs.stop())
  ovs.start()
  ovs.rules('priority=0,actions=NORMAL')
  guests = await bed.guests('host', 'g1', 'g2')
  for (const guest of Object.values(guests)) await guest.sysctl('net.ipv6.conf.default.disable_ipv6', 1)
  control = bed.path('s.ctl')
  const vf = (name: string) => ({ role: 'vf', netns: name })
  writeFileSync(
    bed.path('s.yaml'),
    JSON.stringify({
      control,
      eswitches: { nic0: { ports: { p1: vf(guests.g1.netns), p2: vf(guests.g2.netns) } } },
      bridges: { br0: { internal: {}, ports: { p1: { ofport: 1 }, p2: { ofport: 2 } } } },
    }),
  )
  const daemon = guests.host.start([process.execPath, TAPSWITCH, 'run', '--config', bed.path('s.yaml')])
  await daemon.until(/^ready: /m)
  await guests.g1.must(['ip', 'link', 'set', 'p1', 'up'])
  await guests.g2.must(['ip', 'link', 'set', 'p2', 'up'])
  for (const [port, src, dst] of FRAMES) {
    ovs.appctl('netdev-dummy/receive', port, `in_port(${port.slice(1)}),eth(src=${src},dst=${dst}),${PING}`)
    const bytes = (mac: string): number[] => mac.split(':').map((byte) => Number.parseInt(byte, 16))
    const ip = '4500002000000000401166cb0a0000010a00000203e807d0000c0000deadbeef'
    const frame = Uint8Array.from([...bytes(dst), ...bytes(src), 8, 0, ...Buffer.from(ip, 'hex')])
    await sendFrames(port === 'p1' ? guests.g1 : guests.g2, port, [frame])
    await appctl('revalidator/wait')
  }
})
afterAll(() => bed?.close())

const raw = (...args: string[]) => run(['ovs-appctl', '-t', control, ...args])
const appctl = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await raw(...args)
  return code === 0 ? stdout : `${stdout}${stderr}`
}

/** Takes out what differs between two switches that have seen the same. */
const shape = (text: string): string[] =>
  text
    .replaceAll(/^flow-dump from the main thread:\n/gm, '')
    .replaceAll('packet_type(ns=0,id=0),', '')
    .replaceAll(/, dp-extra-info:\S+/g, '')
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UFID')
    .replaceAll(/(dummy|tapswitch)@[\w-]+/g, 'DP')
    .replaceAll(/\((dummy(-internal)?|internal|representor: eswitch=nic0)\)/g, '(TYPE)')
    .replaceAll(/dp:(ovs|nic0|tapswitch)/g, 'dp:LAYER')
    .replaceAll(/, offloaded:yes/g, '')
    .replaceAll(/used:(never|[\d.]+s)/g, 'used:T')
    .replaceAll(/(hit|missed|packets|bytes|current|max|avg|limit|duration +):? ?\d+/g, '$1:N')
    .replaceAll(/(\d+|main): \(keys \d+\)/g, 'WHO: (keys N)')
    .split('\n')

const both = async (...args: string[]): Promise<[ours: string[], theirs: string[]]> => {
  const theirs = ovs.appctl(...args)
  expect(theirs.ok, theirs.text).toBe(true)
  const ours = await raw(...args)
  expect(ours.code, ours.stderr).toBe(0)
  return [shape(ours.stdout), shape(theirs.text)]
}

describe('the same lines as ovs-vswitchd:', () => {
  it('dpif/show', async () => {
    const [ours, theirs] = await both('dpif/show')
    // Datapath port numbers are each switch's own.
    const plain = (lines: string[]) => lines.map((line) => line.replace(/\/\d+:/, '/N:'))
    expect(plain(ours)).toEqual(plain(theirs))
  })

  it('fdb/show, with the same entries', async () => {
    const [ours, theirs] = await both('fdb/show', 'br0')
    const ageless = (lines: string[]) => lines.map((line) => line.replace(/ {2,}\d+$/, ' AGE')).sort()
    expect(ageless(ours)).toEqual(ageless(theirs))
    expect(ours).toHaveLength(4)
  })

  it('fdb/stats-show', async () => {
    const counts = (lines: string[]) => lines.map((line) => line.replace(/ : \d+$/, ' : N'))
    const [ours, theirs] = await both('fdb/stats-show', 'br0')
    expect(counts(ours)).toEqual(counts(theirs))
  })

  it.each(['-m', undefined] as const)('dpctl/dump-flows %s, flow by flow', async (flag) => {
    const flows = (lines: string[]): string[] =>
      lines
        .filter((line) => line.includes('0x0800'))
        .map((line) =>
          line
            .replace(/in_port\(\d+\)/, 'in_port(N)')
            .replace(/actions:[\d,]+$/, 'actions:PORTS')
            // What a mask does not cover is zero here, as in the kernel's datapath; the dummy shows the first packet's.
            .replaceAll(/[\da-f.:]+\/0(\.0\.0\.0)?(?=[,)])/g, '0/0'),
        )
        .sort()
    const [ours, theirs] = await both('dpctl/dump-flows', ...(flag ? [flag] : []))
    const outputs = (line: string): string =>
      line.replace(/actions:([\w,]+)$/, (_, list: string) => `actions:${list.split(',').sort().join(',')}`)
    // The dummy wildcards a transport header by zero, ours does not speak of it.
    const noUdp = (line: string): string => line.replace(/,udp\(src=0\/0,dst=0\/0\)/, '')
    expect(flows(ours).map(outputs).map(noUdp)).toEqual(flows(theirs).map(outputs).map(noUdp))
    expect(flows(ours)).toHaveLength(2)
  })

  it('dpif/dump-flows -m: no word of layers', async () => {
    const heads = (lines: string[]): string[] =>
      lines
        .filter((line) => line.includes('0x0800'))
        .map((line) => line.replace(/,recirc_id.*, packets/, '... packets').replace(/actions:.*/, ''))
    const [ours, theirs] = await both('dpif/dump-flows', '-m', 'br0')
    expect(heads(ours)).toEqual(heads(theirs))
  })

  it('dpctl/dump-flows type=..., which divides all flows in two', async () => {
    const lines = async (...args: string[]): Promise<string[]> =>
      (await appctl('dpctl/dump-flows', ...args)).split('\n').filter((line) => line !== '')
    const [all, on, off] = [await lines(), await lines('type=offloaded'), await lines('type=non-offloaded')]
    expect([...on, ...off].length).toBe(all.length)
    expect(on.length).toBeGreaterThan(0)
    expect(off.length).toBeGreaterThan(0)
    for (const line of on) expect(line).toContain('offloaded:yes')
    for (const line of off) expect(line).not.toContain('offloaded')
  })

  it('upcall/show, and below it the upcalls by outcome', async () => {
    const [ours, theirs] = await both('upcall/show')
    expect(ours.filter((line) => !/^ {2}(offloaded flows|upcalls)/.test(line))).toEqual(theirs)
    expect(await appctl('upcall/show')).toMatch(/^ {2}offloaded flows : \d+$/m)
  })

  it('coverage/show', async () => {
    const text = await appctl('coverage/show')
    const head = (t: string): string => t.split('\n')[0]!.replace(/hash=[0-9a-f]{8}/, 'hash=H')
    expect(head(text)).toBe(head(ovs.appctl('coverage/show').text))
    for (const line of text.trimEnd().split('\n').slice(1, -1))
      expect(line).toMatch(/^\S{1,} +\d+\.\d\/sec +\d+\.\d{3}\/sec +\d+\.\d{4}\/sec {3}total: \d+$/)
    expect(text).toMatch(/\n\d+ events never hit\n$/)
    expect(Number(await appctl('coverage/read-counter', 'datapath_upcall'))).toBeGreaterThan(0)
  })

  it('list-commands, as wide as OVS’s, and OVS’s own verbs with its words', async () => {
    const lines = (text: string): string[] => text.split('\n')
    const [ours, theirs] = [lines(await appctl('list-commands')), lines(ovs.appctl('list-commands').text)]
    expect(ours[0]).toBe(theirs[0])
    for (const line of ours.slice(1, -1)) expect(line).toMatch(/^ {2}\S+ +(\S.*)?$/)
    for (const name of [
      'coverage/read-counter',
      'fdb/flush',
      'revalidator/purge',
      'exit',
      'version',
      'fdb/stats-show',
    ]) {
      const of = (list: string[]): string => list.find((line) => line.startsWith(`  ${name} `))!.toLowerCase()
      expect(of(ours)).toBe(of(theirs))
    }
  })

  it('fdb/flush, revalidator/purge, revalidator/wait', async () => {
    for (const args of [['fdb/flush', 'br0'], ['fdb/flush'], ['revalidator/purge'], ['revalidator/wait']]) {
      const [ours, theirs] = await both(...args)
      expect(ours).toEqual(theirs)
    }
    expect((await appctl('fdb/show', 'br0')).split('\n')).toHaveLength(2)
  })
})

describe('errors', () => {
  const first = (text: string): string => text.split('\n')[0]!

  it.each([['nosuch'], ['version', 'extra'], ['fdb/show'], ['dpif/dump-flows']])(
    '%s %s: as ovs-vswitchd’s',
    async (...args) => {
      const ours = await raw(...args)
      expect(ours.code).toBe(2)
      expect(first(ours.stderr)).toBe(first(ovs.appctl(...args).text))
      expect(ours.stderr).toContain('server returned an error')
    },
  )

  it.each([
    [['fdb/show', 'nope'], /^no such bridge nope; there are: br0/],
    [['dpctl/dump-flows', 'type=bogus'], /^type=bogus: one of all, .*offloaded/],
    [['dpctl/dump-flows', 'nosuch@dp'], /^nosuch@dp: .*tapswitch@tapswitch/],
    [['offload/why', 'ffffffff-nothing'], /^no flow has a ufid that begins with/],
    [['offload/set', 'maybe'], /^maybe: "on" or "off"/],
    [['offload/set', 'on', 'nope'], /^no datapath port nope/],
    [['eswitch/show', 'nope'], /^no eswitch nope; there are: nic0/],
    [['port/show', 'nope'], /^no port nope; there are: /],
    [['port/set', 'nope', 'up'], /^no port nope/],
    [['port/set', 'p1', 'sideways'], /^sideways: "up" or "down"/],
    [['flow/add', 'br0', 'tp_dst=80,actions=drop'], /^tp_dst needs/],
    [['flow/add', 'br0', 'actions=output:nope'], /nope/],
    [['flow/add', 'nope', 'actions=drop'], /^no such bridge/],
    [['flow/del', 'br0', 'actions=drop'], /^actions are not allowed here/],
    [['flow/mod', 'br0', 'ip'], /^the rule has no actions/],
    [['flow/dump', 'br0', 'nosuchfield=1'], /nosuchfield/],
    [['ofproto/trace', 'nope', 'in_port=1'], /unknown bridge/],
    [['coverage/read-counter', 'nope'], /^No such counter/],
  ] as const)('%j', async (args, words) => {
    const { code, stderr } = await raw(...args)
    expect(code).toBe(2)
    expect(stderr).toMatch(words)
    expect(stderr).not.toMatch(/^\s+at /m)
  })
})

it('rules are added, changed in every table, shown and deleted', async () => {
  for (const rule of [
    'table=0,priority=5,ip,actions=resubmit(,1)',
    'table=1,priority=6,ip,nw_dst=10.0.0.9,actions=drop',
  ])
    expect(await appctl('flow/add', 'br0', rule)).toBe('')
  expect(await appctl('flow/mod', 'br0', 'ip,actions=NORMAL')).toBe('')
  const dump = await appctl('flow/dump', '--no-stats', 'br0', 'ip')
  expect(
    dump
      .trimEnd()
      .split('\n')
      .map((line) => line.trim()),
  ).toEqual(['priority=5,ip actions=NORMAL', 'table=1, priority=6,ip,nw_dst=10.0.0.9 actions=NORMAL'])
  expect(await appctl('flow/del', 'br0', 'ip')).toBe('')
  expect(await appctl('flow/dump', 'br0', 'ip')).toBe('')
})

it('the other verbs answer', async () => {
  expect(await appctl('version')).toMatch(/^tapswitch \d+\.\d+\.\d+\n$/)
  for (const verb of ['offload/show', 'eswitch/show', 'port/show', 'dpctl/show'])
    expect(await appctl(verb), verb).toMatch(/\S\n$/)
  expect(await appctl('ofproto/trace', 'br0', 'in_port=p1,ip')).toMatch(/Datapath actions: .*\nOffload: /)
})
