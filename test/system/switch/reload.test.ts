import { mkdirSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { DpifReply, EswitchReply } from '../../../src/control/replies.ts'
import { type ConfigData, Daemon, tapsIn } from '../kit/daemon.ts'
import { parsePing, ping } from '../kit/ping.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'

/** Reloads of one running switch, one after the other; what they do not change must not notice. */

let bed: Testbed
let daemon: Daemon
let guests: Record<'a' | 'b' | 'c', Guest>

type Ports = Record<string, Record<string, unknown>>
interface Shape {
  eswitches: Record<string, { profile: string; ports: Ports; 'switch-id'?: string }>
  bridges: Record<string, { ports: Ports; flows?: string[]; 'mac-aging'?: number }>
  datapath?: Record<string, number>
}
let config: Shape

const write = (change: ConfigData = {}): void =>
  writeFileSync(daemon.configPath, JSON.stringify({ control: daemon.control, ...config, ...change }, null, 2))

const reload = (): Promise<string> => {
  write()
  return daemon.verb('reload')
}
/** The message with which it is refused. */
const refusal = (): Promise<string> =>
  reload().then(
    (text) => `accepted: ${text}`,
    (error: Error) => error.message,
  )

beforeAll(async () => {
  bed = new Testbed()
  guests = await bed.guests('a', 'b', 'c')
  const tap = (name: 'a' | 'b' | 'c', n: number): Record<string, unknown> => ({
    role: 'vf',
    netns: bed.netns(name),
    mac: `02:00:00:00:08:0${n}`,
  })
  config = {
    eswitches: { nic0: { profile: 'default', ports: { vf1: tap('a', 1), vf2: tap('b', 2) } } },
    bridges: {
      br0: { ports: { vf1: {}, vf2: {} }, flows: ['priority=1,actions=NORMAL', 'priority=7,tcp,actions=drop'] },
    },
  }
  daemon = await Daemon.start(bed, { ...config })
  await guests.a.address('vf1', '10.8.0.1/24')
  await guests.b.address('vf2', '10.8.0.2/24')
  await daemon.verb('flow/add', 'br0', 'priority=9,udp,tp_dst=9,actions=drop')
  await ping(guests.a, '10.8.0.2', { count: 3 })
})
afterAll(() => bed?.close())

/** Runs `act` under a ping from a to b: none of it may be lost, and the flow that carries it stays the one it was. */
const undisturbed = async <T>(act: () => Promise<T>): Promise<T> => {
  const flow = async () => {
    const flows = await daemon.flows()
    return flows.find(
      (f) => f.match.includes('src=02:00:00:00:08:01,dst=02:00:00:00:08:02') && f.match.includes('0x0800'),
    )!
  }
  const running = guests.a.start(['ping', '-n', '-i', '0.02', '10.8.0.2'])
  await running.until(/icmp_seq=2 /)
  const before = await flow()
  const result = await act()
  const seen = Math.max(...[...running.stdout.matchAll(/icmp_seq=(\d+) /g)].map((m) => Number(m[1])))
  await running.until(new RegExp(`icmp_seq=${seen + 4} `))
  const { stdout } = await running.stop('SIGINT')
  expect(parsePing(stdout)).toMatchObject({ loss: 0, duplicates: 0 })
  const after = await flow()
  expect({ ufid: after.ufid, more: after.packets > before.packets }).toEqual({ ufid: before.ufid, more: true })
  expect(await daemon.verb('flow/dump', '--no-stats', 'br0')).toContain('priority=9,udp,tp_dst=9')
  return result
}

it('without a change does nothing', async () => {
  expect(await undisturbed(reload)).toBe('nothing changed\n')
})

it('by SIGHUP adds a port, which works', async () => {
  config.bridges['br0']!.ports['tap3'] = { type: 'tap', netns: bed.netns('c') }
  await undisturbed(async () => {
    write()
    daemon.process.child.kill('SIGHUP')
    await daemon.process.until(/port tap3 opened.*configuration re-read/)
  })
  await guests.c.address('tap3', '10.8.0.3/24')
  expect(await ping(guests.c, '10.8.0.1')).toMatchObject({ loss: 0 })
})

it('retags a port', async () => {
  config.bridges['br0']!.ports['tap3']!['tag'] = 30
  expect(await undisturbed(reload)).toBe('bridge br0: port tap3 reconfigured\n')
  expect(await ping(guests.c, '10.8.0.1', { count: 1, wait: 0.3 })).toMatchObject({ received: 0 })
  delete config.bridges['br0']!.ports['tap3']!['tag']
  await undisturbed(reload)
  expect(await ping(guests.c, '10.8.0.1')).toMatchObject({ loss: 0 })
})

it('changes MTU and MAC of a port in place: the guest keeps its interface', async () => {
  config.eswitches['nic0']!.ports['vf2']!['mtu'] = 1450
  const ifindex = await guests.b.must(['cat', '/sys/class/net/vf2/ifindex'])
  expect(await undisturbed(reload)).toBe('port vf2 changed\n')
  expect((await guests.b.must(['cat', '/sys/class/net/vf2/mtu'])).trim()).toBe('1450')
  expect(await guests.b.must(['cat', '/sys/class/net/vf2/ifindex'])).toBe(ifindex)
  await daemon.until(
    'the MTU',
    () => daemon.port('vf2'),
    (port) => port.mtu === 1450,
  )
})

it('replaces the rules of the file, not those added meanwhile', async () => {
  config.bridges['br0']!.flows = ['priority=1,actions=NORMAL', 'priority=5,in_port=tap3,actions=drop']
  expect(await undisturbed(reload)).toBe('bridge br0: flows changed\n')
  const rules = await daemon.verb('flow/dump', '--no-stats', 'br0')
  expect(rules).toMatch(/priority=5,in_port=tap3 actions=drop/)
  expect(rules).not.toMatch(/priority=7/)
  expect(await ping(guests.c, '10.8.0.1', { count: 1, wait: 0.3 })).toMatchObject({ received: 0 })
  config.bridges['br0']!.flows.pop()
  await undisturbed(reload)
  expect(await ping(guests.c, '10.8.0.1')).toMatchObject({ loss: 0 })
})

it('adds an eswitch, gives it another profile, removes it', async () => {
  config.eswitches['nic1'] = { profile: 'default', ports: { vf9: { role: 'vf', netns: bed.netns('c') } } }
  config.bridges['br0']!.ports['vf9'] = {}
  const profile = async () => (await daemon.data<EswitchReply[]>('eswitch/show')).map((e) => [e.name, e.profile])
  expect(await undisturbed(reload)).toMatch(/eswitch nic1 added\nport vf9 opened/)
  config.eswitches['nic1'].profile = 'tiny'
  expect(await undisturbed(reload)).toMatch(
    /port vf9 closed\neswitch nic1 removed\neswitch nic1 added\nport vf9 opened/,
  )
  expect(await profile()).toEqual([
    ['nic0', 'default'],
    ['nic1', 'tiny'],
  ])
  // A profile of one's own, whose file changes.
  mkdirSync(bed.path('profiles'))
  const own = (size: number): void =>
    writeFileSync(
      bed.path('profiles/own.yaml'),
      `name: own\ntable-size: ${size}\nmatch: [dl_dst]\nactions: [output]\nmax-outputs: 2\n`,
    )
  own(5)
  config.eswitches['nic1'].profile = 'profiles/own.yaml'
  await undisturbed(reload)
  own(6)
  expect(await undisturbed(reload)).toMatch(/eswitch nic1 removed\neswitch nic1 added/)
  expect((await daemon.data<EswitchReply[]>('eswitch/show', 'nic1'))[0]?.capacity).toBe(6)
  delete config.eswitches['nic1']
  delete config.bridges['br0']!.ports['vf9']
  expect(await undisturbed(reload)).toMatch(/port vf9 closed\neswitch nic1 removed/)
  expect(await tapsIn(guests.c.netns)).toEqual(['tap3'])
})

it('refuses a bad file by line and column, and changes nothing', async () => {
  const before = JSON.stringify(await daemon.data('dpif/show').then((d) => (d as DpifReply).bridges))
  const good = structuredClone(config)
  for (const [spoil, words] of [
    [() => Object.assign(config.bridges['br0']!, { colour: 'red' }), /:\d+:\d+: bridges\.br0: unknown key "colour"/],
    [() => config.bridges['br0']!.flows!.push('tp_dst=80,actions=drop'), /:\d+:\d+: bridges\.br0\.flows\.1: .*tp_dst/],
    [() => config.bridges['br0']!.flows!.push('in_port=nosuch,actions=drop'), /flows\.1: .*nosuch/],
    [
      () => Object.assign(config.eswitches['nic0']!, { profile: 'nosuch' }),
      /:\d+:\d+: eswitches\.nic0\.profile: .*nosuch/,
    ],
    [() => delete config.eswitches['nic0'], /bridges\.br0\.ports\.vf1: vf1 is on no eswitch/],
    [() => Object.assign(config, { control: '/run/elsewhere.ctl' }), /control: .*cannot be changed/],
  ] as const) {
    spoil()
    // A change that is good in itself must not be made either.
    if (config.bridges['br0']) config.bridges['br0'].ports['tap3'] = { type: 'tap', netns: bed.netns('c'), tag: 77 }
    const message = await undisturbed(refusal)
    expect(message).toMatch(words)
    if (!/control:/.test(String(words))) expect(message).toContain(daemon.configPath)
    config = structuredClone(good)
  }
  writeFileSync(daemon.configPath, 'control: [\n')
  daemon.process.child.kill('SIGHUP')
  await daemon.process.until(/configuration refused, the old one stays/)
  expect(JSON.stringify(await daemon.data('dpif/show').then((d) => (d as DpifReply).bridges))).toBe(before)
  expect(await undisturbed(reload)).toBe('nothing changed\n')
})

it('that fails at one port does all else, says which, and is made good by the next', async () => {
  const good = structuredClone(config)
  config.bridges['br0']!.ports['tap4'] = { type: 'tap', netns: 'no-such-namespace' }
  config.bridges['br0']!.ports['tap5'] = { type: 'tap', netns: bed.netns('c') }
  config.bridges['br0']!['mac-aging'] = 100
  config.eswitches['nic2'] = { profile: 'tiny', ports: { lo: { role: 'vf', netns: bed.netns('c') } } }
  const failed = await undisturbed(refusal)
  expect(failed).toMatch(/port tap4: there is no namespace no-such-namespace/)
  expect(failed).toMatch(/port lo in namespace .*: an interface of that name is there already/)
  expect(failed).toMatch(/done: port tap5 opened/)
  await expect(daemon.port('tap4')).rejects.toThrow()
  expect(await daemon.port('tap5')).toMatchObject({ bridge: 'br0' })
  // Once more: only what is still wrong, nothing done twice.
  const again = await undisturbed(refusal)
  expect(again).not.toMatch(/done/)
  expect(again.split('\n')).toHaveLength(2)

  config.bridges['br0']!.ports['tap4'] = { type: 'tap', netns: bed.netns('c'), tag: 4 }
  config.bridges['br0']!.ports['tap5']!['tag'] = 5
  config.eswitches['nic2'].ports = {}
  expect(await undisturbed(reload)).toBe(
    'port tap4 opened\nbridge br0: port tap4 added\nbridge br0: port tap5 reconfigured\n',
  )
  config = good
  const back = await undisturbed(reload)
  for (const line of ['port tap4 closed', 'port tap5 closed', 'eswitch nic2 removed', 'bridge br0: options changed'])
    expect(back).toContain(line)
  expect(await tapsIn(guests.c.netns)).toEqual(['tap3'])
  expect(await undisturbed(reload)).toBe('nothing changed\n')
})

it('leaves what was set at run time, unless the file says something new about it', async () => {
  await daemon.verb('offload/set', 'off')
  config.bridges['br0']!['mac-aging'] = 200
  await undisturbed(reload)
  expect(await daemon.data('offload/show')).toMatchObject({ enabled: false })
  await daemon.verb('offload/set', 'on')
  config.datapath = { 'flow-limit': 1000 }
  expect(await undisturbed(reload)).toBe('datapath: limits changed\n')
  expect(await daemon.verb('upcall/show')).toContain('(limit 1000)')
})

it('ends no reload in a log line about a defect', () => {
  expect(daemon.output).not.toMatch(/unhandled|uncaught|verb failed/)
})
