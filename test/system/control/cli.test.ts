import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type {
  DpifReply,
  EswitchReply,
  FdbEntry,
  FlowReply,
  OffloadReply,
  PortReply,
  WhyReply,
} from '../../../src/control/replies.ts'
import { type Daemon, TAPSWITCH } from '../kit/daemon.ts'
import { writePcap } from '../kit/pcap.ts'
import { ping } from '../kit/ping.ts'
import { run } from '../kit/process.ts'
import { type Bed, ip4, mac, startBed } from '../switch/beds.ts'

/** The command line as its users and their scripts see it. */

let it_: Bed
let daemon: Daemon
/** Resolves when a NIC has taken over vm0's way to vm1. */
const offloaded = (): Promise<unknown> =>
  daemon.until(
    'vm0 -> vm1 is offloaded',
    () => daemon.flows(),
    (flows) => flows.some((f) => f.offloaded && f.match.includes(`src=${mac('vm0')},dst=${mac('vm1')}`)),
  )

beforeAll(async () => {
  // Every command is a new process: on a slow machine flows would age out before the last one.
  it_ = await startBed({ datapath: { 'max-idle': 600_000 } })
  daemon = it_.daemon
  for (const to of ['vm1', 'vm2', 'c0', 'fabric'] as const) await ping(it_.guests.vm0, ip4(to), { count: 3 })
  await offloaded()
})
afterAll(() => it_?.bed.close())

const count = z.number().int().nonnegative()
const upDown = z.enum(['up', 'down'])

/** Schemas of src/control/replies.ts; `satisfies` keeps the two alike. Nothing may be there that they do not have. */
const port = z.strictObject({
  name: z.string(),
  no: count.exactOptional(),
  bridge: z.string().exactOptional(),
  ofport: count.exactOptional(),
  kind: z.enum(['internal', 'tap', 'packet', 'representor', 'patch', 'memory']),
  eswitch: z.string().exactOptional(),
  role: z.enum(['vf', 'uplink']).exactOptional(),
  netns: z.string().exactOptional(),
  mtu: count.exactOptional(),
  mac: z
    .string()
    .regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/)
    .exactOptional(),
  admin: upDown,
  link: upDown,
  gone: z.literal(true).exactOptional(),
  offloads: z.array(z.string()).exactOptional(),
  rxPackets: count,
  rxBytes: count,
  txPackets: count,
  txBytes: count,
  drops: z.record(z.string(), count),
}) satisfies z.ZodType<PortReply>
const flow = z.strictObject({
  ufid: z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
  match: z.string().includes('recirc_id('),
  actions: z.string().min(1),
  packets: count,
  bytes: count,
  used: z.number().nonnegative().nullable(),
  offloaded: z.boolean(),
  eswitch: z.string().exactOptional(),
  reason: z.string().exactOptional(),
  why: z.string().min(10),
}) satisfies z.ZodType<FlowReply>
const why = flow.extend({
  retryOn: z.array(z.string()).min(1).exactOptional(),
  tunnels: z
    .array(
      z.strictObject({
        direction: z.enum(['encap', 'decap']),
        peer: z.string(),
        local: z.string().exactOptional(),
        ports: z.array(z.string()),
        entry: count.exactOptional(),
        state: z.string(),
        detail: z.string().exactOptional(),
        text: z.string(),
      }),
    )
    .min(1)
    .exactOptional(),
}) satisfies z.ZodType<WhyReply>
const eswitch = z.strictObject({
  name: z.string(),
  switchId: z.string(),
  state: z.string(),
  profile: z.string(),
  rules: count,
  capacity: count,
  ports: z.array(z.strictObject({ name: z.string(), role: z.string(), link: z.string() })),
  insertions: count,
  evictions: count,
  refusals: z.record(z.string(), count),
  restarts: count,
}) satisfies z.ZodType<EswitchReply>
const offload = z.strictObject({
  enabled: z.boolean(),
  offloaded: count,
  refused: count,
  byReason: z.record(z.string(), count),
  tunnels: z.strictObject({
    endpoints: count,
    encap: count,
    decap: count,
    entries: count,
    held: count,
    pending: count,
    events: count,
    idle: count,
    flows: count,
    moved: count,
    refused: count,
    offloaded: count,
    slowest: count,
  }),
}) satisfies z.ZodType<OffloadReply>
const dpif = z.strictObject({
  name: z.string(),
  hits: count,
  misses: count,
  frames: count,
  flows: count,
  bridges: z.array(
    z.strictObject({
      name: z.string(),
      ports: z.array(z.strictObject({ name: z.string(), ofport: count, no: count.exactOptional(), type: z.string() })),
    }),
  ),
}) satisfies z.ZodType<DpifReply>
const fdb = z.strictObject({
  port: count,
  name: z.string(),
  vlan: count,
  mac: z.string(),
  age: count,
}) satisfies z.ZodType<FdbEntry>
const rule = z.strictObject({
  table: count,
  priority: count,
  cookie: z.string().regex(/^0x[0-9a-f]+$/),
  idleTimeout: count,
  hardTimeout: count,
  match: z.string(),
  actions: z.string(),
  packets: count,
  bytes: count,
})
const trace = z.strictObject({
  text: z.string(),
  match: z.string(),
  actions: z.string(),
  offload: z.looseObject({ state: z.enum(['offloaded', 'refused']) }),
  why: z.string(),
})

const data = async (...args: string[]): Promise<unknown> => JSON.parse(await daemon.cli(...args))

describe('--json', () => {
  it.each([
    [
      'show',
      [],
      z.strictObject({ dpif, ports: z.array(port).length(5), eswitches: z.array(eswitch).length(2), offload }),
    ],
    ['flows', [], z.array(flow).min(2)],
    ['flows', ['type=offloaded'], z.array(flow.extend({ offloaded: z.literal(true), eswitch: z.string() })).min(1)],
    ['flows', ['type=non-offloaded'], z.array(flow.extend({ offloaded: z.literal(false), reason: z.string() })).min(1)],
    ['why', [], z.array(why).min(2)],
    ['rules', ['br0'], z.array(rule).length(1)],
    ['trace', ['br0', 'in_port=1,ip,nw_dst=10.7.0.2'], trace],
    ['reload', [], z.strictObject({ changes: z.array(z.string()).length(0) })],
  ] as const)('%s %j', async (command, args, schema) => {
    schema.parse(await data(command, '--json', ...args))
  })

  it.each([
    ['port/show', [], z.array(port).length(5)],
    ['eswitch/show', ['nic0'], z.array(eswitch).length(1)],
    ['offload/show', [], offload],
    ['dpif/show', [], dpif],
    ['fdb/show', ['br0'], z.array(fdb).min(5)],
    ['dpctl/dump-flows', ['-m'], z.array(flow).min(2)],
    ['version', [], z.strictObject({ name: z.literal('tapswitch'), version: z.string() })],
    ['list-commands', [], z.array(z.strictObject({ name: z.string(), usage: z.string() })).min(20)],
    [
      'coverage/show',
      [],
      z.record(
        z.string(),
        z.strictObject({ total: count, fiveSeconds: z.number(), minute: z.number(), hour: z.number() }),
      ),
    ],
    ['upcall/show', [], z.looseObject({ flows: count, flowLimit: count })],
    ['fdb/flush', [], z.strictObject({ 'reply-format': z.literal('plain'), reply: z.string() })],
  ] as const)('appctl %s %j', async (verb, args, schema) => {
    schema.parse(await data('appctl', '--json', verb, ...args))
  })

  it('why finds a flow by the beginning of its ufid', async () => {
    const [first] = z.array(flow).parse(await data('flows', '--json'))
    const found = z.array(why).parse(await data('why', '--json', first!.ufid.slice(0, 12)))
    expect(found.map((f) => f.ufid)).toContain(first!.ufid)
  })

  it('lab and parse-pcap need no switch', async () => {
    const cli = async (...args: string[]): Promise<unknown> =>
      JSON.parse((await run([process.execPath, TAPSWITCH, ...args], { env: { TAPSWITCH_CONTROL: '' } })).stdout)
    z.array(z.strictObject({ name: z.string(), about: z.string().min(3) }))
      .min(2)
      .parse(await cli('lab', 'list', '--json'))
    writePcap(it_.bed.path('x.pcap'), [Uint8Array.from({ length: 60 }, (_, i) => i)])
    expect(await cli('parse-pcap', '--json', it_.bed.path('x.pcap'))).toEqual([
      expect.stringContaining('dl_src=06:07:08:09:0a:0b'),
    ])
  })
})

describe('text', () => {
  it('show: tables of ports and eswitches, then the counters', async () => {
    const text = await daemon.cli('show')
    const [ports, eswitches, rest] = text.split('\n\n').map((part) => part.split('\n'))
    expect(ports![0]).toMatch(
      /^PORT +BRIDGE +OFPORT +KIND +ESWITCH +NETNS +MTU +ADMIN +LINK +RX PACKETS +TX PACKETS +DROPS$/,
    )
    expect(ports).toHaveLength(6)
    const at = ports![0]!.indexOf('BRIDGE')
    for (const line of ports!.slice(1)) expect(line.slice(at, at + 4)).toBe('br0 ')
    expect(eswitches).toHaveLength(3)
    expect(rest![0]).toMatch(/^datapath: \d+ flows, \d+ frames, hit \d+, missed \d+$/)
    expect(rest![1]).toMatch(/^offload on: \d+ offloaded, \d+ refused/)
  })

  it('headings are bold on a terminal and plain in a pipe', async () => {
    expect(await daemon.cli('flows')).not.toContain('\u001b')
    const { stdout } = await run(['script', '-qec', `${process.execPath} ${TAPSWITCH} flows`, '/dev/null'], {
      env: { TAPSWITCH_CONTROL: daemon.control, TERM: 'xterm', NO_COLOR: '', FORCE_COLOR: '1' },
    })
    expect(stdout).toContain('\u001b[1m')
  })

  it('flows, why, rules, trace', async () => {
    // Addresses may have been flushed, so they are learned anew.
    await ping(it_.guests.vm0, ip4('vm1'), { count: 3 })
    await offloaded()
    expect(await daemon.cli('flows', 'type=offloaded')).toMatch(
      /^PACKETS +BYTES +USED +OFFLOADED +MATCH +ACTIONS\n.*yes: nic0/,
    )
    expect(await daemon.cli('why')).toMatch(/^ufid:\S+\n {2}recirc_id.*\n {2}actions:.*\n {2}\S.*\n/)
    expect(await daemon.cli('rules', 'br0')).toMatch(/priority=0 actions=NORMAL\n$/)
    expect(await daemon.cli('trace', 'br0', 'in_port=1,ip')).toMatch(
      /^Flow: [\s\S]*\nDatapath actions: .*\nOffload: .*\n$/,
    )
  })
})

const HELP = [
  '',
  'run',
  'show',
  'flows',
  'why',
  'rules',
  'trace',
  'reload',
  'appctl',
  'parse-pcap',
  'lab',
  'lab list',
  'lab run',
]
it.each(HELP)('tapswitch %s --help says what it is for', async (command) => {
  const words = ['tapswitch', ...command.split(' ').filter((word) => word !== '')]
  const { code, stdout, stderr } = await run([process.execPath, TAPSWITCH, ...words.slice(1), '--help'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toContain(`Usage: ${words.join(' ')}`)
  // A sentence; and each option and command has its own.
  expect(stdout.split('\n')[2]).toMatch(/\w+ \w+/)
  const entries = [...stdout.matchAll(/^ {2}([-a-z].*)$/gm)].map(([, line]) => line)
  expect(entries.length).toBeGreaterThan(0)
  for (const line of entries) expect(line).toMatch(/\S {2,}\w/)
})

describe('mistakes end with 1 and one line', () => {
  const cli = (args: readonly string[], control: string) =>
    run([process.execPath, TAPSWITCH, ...args], { env: { TAPSWITCH_CONTROL: control } })

  it.each([
    [['show', '--control', '/nowhere/x.ctl'], /^tapswitch: no switch listens on \/nowhere\/x\.ctl .*tapswitch run/],
    [['run', '--config', '/nowhere.yaml'], /^tapswitch: \/nowhere\.yaml: no such file\n$/],
    [['run', '--config', '/dev/null'], /^tapswitch: \/dev\/null:1:1: control: /],
    [['parse-pcap', '/nowhere.pcap'], /^tapswitch: \/nowhere\.pcap: /],
    [['lab', 'run', 'nosuch'], /^tapswitch: no lab nosuch; there are: .*l2/],
  ] as const)('%j', async (args, words) => {
    const { code, stdout, stderr } = await cli(args, '')
    expect({ code, stdout, stderr }).toEqual({ code: 1, stdout: '', stderr: expect.stringMatching(words) })
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
  })

  it.each([
    [['rules', 'nope'], /^tapswitch: no such bridge nope; there are: br0\n$/],
    [['flows', 'type=what'], /^tapswitch: type=what: one of /],
    [['appctl', 'nosuch'], /^tapswitch: "nosuch" is not a valid command/],
    [['trace', 'br0', 'nosuch=1'], /^tapswitch: .*nosuch/],
  ] as const)('%j', async (args, words) => {
    const { code, stderr } = await cli(args, daemon.control)
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(words) })
  })

  it.each([[['nosuch']], [['show', '--nosuch']], [['run']], [['trace', 'br0']]])('%j: usage', async (args) => {
    const { code, stderr } = await cli(args, '')
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: [\s\S]*tapswitch --help/)
  })

  it('a reader that leaves early is no mistake', async () => {
    const { code, stderr } = await run(
      ['bash', '-c', `set -o pipefail; ${process.execPath} ${TAPSWITCH} show | head -1 >/dev/null`],
      {
        env: { TAPSWITCH_CONTROL: daemon.control },
      },
    )
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })
})
