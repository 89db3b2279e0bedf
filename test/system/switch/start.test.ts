import { existsSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ConfigData, Daemon, TAPSWITCH, tapsIn } from '../kit/daemon.ts'
import { ping } from '../kit/ping.ts'
import { type RunResult, run } from '../kit/process.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'

/** How the switch starts, or does not, and ends; what it leaves in either case. */

let bed: Testbed
let guests: Record<'a' | 'b', Guest>
beforeEach(async () => {
  bed = new Testbed()
  guests = await bed.guests('a', 'b')
})
afterEach(() => bed.close())

const config = (vf: object = {}, tap: object = {}): ConfigData => ({
  eswitches: { nic0: { ports: { vf1: { role: 'vf', netns: guests.a.netns, ...vf } } } },
  bridges: { br0: { ports: { vf1: {}, tap2: { type: 'tap', netns: guests.b.netns, ...tap } } } },
})

/** Runs a switch that is expected to end by itself. */
const attempt = (name: string, data: ConfigData): Promise<RunResult> => {
  const file = bed.path(`${name}.yaml`)
  writeFileSync(file, JSON.stringify({ control: bed.path(`${name}.ctl`), ...data }))
  return run([process.execPath, TAPSWITCH, 'run', '--config', file], { timeout: 15_000 })
}

const taps = async (): Promise<string[][]> => [await tapsIn(guests.a.netns), await tapsIn(guests.b.netns)]

describe('a switch that cannot start says so in one line, ends with 1 and leaves nothing', () => {
  const judge = async (result: RunResult, words: RegExp): Promise<void> => {
    expect(result).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(words) })
    expect(result.stderr.trimEnd().split('\n')).toHaveLength(1)
  }

  it('the second port has no namespace', async () => {
    await judge(
      await attempt('s', config({}, { netns: 'no-such-ns' })),
      /^tapswitch: port tap2: there is no namespace no-such-ns/,
    )
    expect(await taps()).toEqual([[], []])
    expect(existsSync(bed.path('s.ctl'))).toBe(false)
  })

  it('a port name is taken by another switch, which goes on', async () => {
    const first = await Daemon.start(bed, config())
    await guests.a.address('vf1', '10.9.0.1/24')
    await guests.b.address('tap2', '10.9.0.2/24')
    const result = await attempt('second', config())
    await judge(
      result,
      /^tapswitch: port vf1 in namespace \S+: an interface of that name is there already and in use; port tap2/,
    )
    expect(existsSync(bed.path('second.ctl'))).toBe(false)
    expect(await ping(guests.a, '10.9.0.2')).toMatchObject({ loss: 0 })
    expect(await first.verb('version')).toContain('tapswitch')
  })

  it('a port name is taken by an interface that is no TAP, which stays', async () => {
    await guests.b.must(['ip', 'link', 'add', 'tap2', 'type', 'veth', 'peer', 'name', 'other'])
    await judge(await attempt('s', config()), /^tapswitch: port tap2 in namespace \S+: .* is no TAP device$/m)
    expect(await taps()).toEqual([[], []])
    await guests.b.must(['ip', 'link', 'show', 'tap2'])
  })

  it('a packet port finds no interface', async () => {
    await judge(
      await attempt('s', config({}, { type: 'packet' })),
      /^tapswitch: port tap2 in namespace \S+: there is no such interface$/m,
    )
    expect(await taps()).toEqual([[], []])
  })

  it('an address is none, an MTU is too large for the interface', async () => {
    await judge(
      await attempt('s', { bridges: { br0: { internal: { addresses: ['10.0.0.300/24'] } } } }),
      /s\.yaml:1:\d+: bridges\.br0\.internal\.addresses\.0: an address with prefix length/,
    )
    await judge(await attempt('s', config({}, { mtu: 65535 })), /^tapswitch: port tap2: /)
    expect(await taps()).toEqual([[], []])
  })

  it('the control socket is busy, is no socket, or its folder is none', async () => {
    const path = bed.path('busy.ctl')
    const server = createServer().listen(path)
    await judge(await attempt('busy', config()), /control socket \S+busy\.ctl: another process listens there$/m)
    expect(server.listening && existsSync(path)).toBe(true)
    await new Promise((resolve) => server.close(resolve))
    writeFileSync(bed.path('file'), 'precious')
    const control = (path: string): ConfigData => ({ ...config(), control: bed.path(path) })
    await judge(await attempt('s', control('file')), /control socket \S+file: something that is no socket is there$/m)
    await judge(await attempt('s', control('file/x.ctl')), /control socket \S+file\/x\.ctl: /)
    expect(statSync(bed.path('file')).size).toBe(8)
    expect(await taps()).toEqual([[], []])
  })
})

describe('at its end', () => {
  const start = async (): Promise<Daemon> => {
    const daemon = await Daemon.start(bed, config({ persist: true }))
    await guests.a.address('vf1', '10.9.0.1/24')
    await guests.b.address('tap2', '10.9.0.2/24')
    return daemon
  }

  it.each([
    ['SIGTERM', (daemon: Daemon) => daemon.process.child.kill('SIGTERM')],
    ['SIGINT', (daemon: Daemon) => daemon.process.child.kill('SIGINT')],
    ['the verb exit', (daemon: Daemon) => daemon.appctl('exit')],
  ] as const)('%s: only persistent TAPs stay, and serve the next', async (_, end) => {
    const daemon = await start()
    expect(statSync(daemon.control).mode & 0o777).toBe(0o600)
    await end(daemon)
    expect((await daemon.process.exited).code).toBe(0)
    expect(await taps()).toEqual([['vf1'], []])
    expect(existsSync(daemon.control)).toBe(false)
    // The guest's side of the persistent one kept its address.
    await Daemon.start(bed, config({ persist: true }))
    await guests.b.address('tap2', '10.9.0.2/24')
    expect(await ping(guests.a, '10.9.0.2', { count: 3 })).toMatchObject({ loss: 0 })
  })

  it('SIGKILL leaves no more than that, and the next start takes over', async () => {
    const daemon = await start()
    await daemon.stop('SIGKILL')
    expect(await taps()).toEqual([['vf1'], []])
    expect(existsSync(daemon.control)).toBe(true)
    const again = bed.start(daemon.process.argv)
    await again.until(/^ready: /m)
    await guests.b.address('tap2', '10.9.0.2/24')
    expect(await ping(guests.a, '10.9.0.2', { count: 3 })).toMatchObject({ loss: 0 })
    expect((await again.stop()).code).toBe(0)
  })
})

it('has one netlink socket in each namespace in use, whoever follows links, routes and neighbours there, and none where nothing is any more', async () => {
  const internal = (n: number): object => ({ netns: guests.a.netns, addresses: [`10.9.${n}.1/24`] })
  const full = (taps: object): ConfigData => ({
    eswitches: { nic0: { ports: { vf1: { role: 'vf', netns: guests.a.netns } } } },
    bridges: {
      br0: { internal: internal(0), ports: taps },
      br1: {
        internal: internal(1),
        ports: { vf1: {}, vx1: { type: 'vxlan', options: { remote_ip: '10.9.0.2', key: 7 } } },
      },
    },
  })
  const daemon = await Daemon.start(bed, full({ tap2: { type: 'tap', netns: guests.b.netns } }))
  const { pid } = daemon.process
  /** Inodes of a namespace's netlink sockets, of all protocols. */
  const inodes = (table: string): string[] =>
    table
      .split('\n')
      .slice(1, -1)
      .map((row) => row.trim().split(/\s+/).at(-1)!)
  const sockets = async (): Promise<number[]> => {
    const own = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return [/^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1]]
      } catch (error) {
        // Closed since it was listed.
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
        throw error
      }
    })
    const tables = [
      readFileSync(`/proc/${pid}/net/netlink`, 'utf8'),
      await guests.a.must(['cat', '/proc/net/netlink']),
      await guests.b.must(['cat', '/proc/net/netlink']),
    ]
    return tables.map((table) => inodes(table).filter((inode) => own.includes(inode)).length)
  }
  expect(await daemon.verb('ovs/route/lookup', '10.9.0.2')).toContain('dev br0')
  expect(await sockets()).toEqual([0, 1, 1])
  writeFileSync(daemon.configPath, JSON.stringify({ control: daemon.control, ...full({}) }))
  await daemon.verb('reload')
  expect(await sockets()).toEqual([0, 1, 0])
})

it('needs no capabilities but those that docs/security.md names, and listens nowhere on the network', async () => {
  const [node, ...args] = [process.execPath, TAPSWITCH, 'run', '--config', bed.path('s.yaml')]
  writeFileSync(bed.path('s.yaml'), JSON.stringify({ control: bed.path('s.ctl'), ...config() }))
  const few = ['setpriv', '--no-new-privs', '--inh-caps=-all', '--bounding-set=-all,+net_admin,+sys_admin,+net_raw']
  const running = bed.start([...few, node, ...args])
  await running.until(/^ready: /m)
  await guests.a.address('vf1', '10.9.0.1/24')
  await guests.b.address('tap2', '10.9.0.2/24')
  expect(await ping(guests.a, '10.9.0.2')).toMatchObject({ loss: 0 })
  const reload = bed.start([process.execPath, TAPSWITCH, 'reload', '--control', bed.path('s.ctl')])
  expect(await reload.exited).toMatchObject({ code: 0, stdout: 'nothing changed\n' })
  // By which Node would start to listen for debuggers.
  running.child.kill('SIGUSR1')
  const again = bed.start([process.execPath, TAPSWITCH, 'reload', '--control', bed.path('s.ctl')])
  expect((await again.exited).code).toBe(0)
  const { stdout } = await run(['ss', '-Hltunp'])
  expect(running.stderr).not.toContain('Debugger listening')
  expect(stdout).not.toContain(`pid=${running.pid},`)
  expect((await running.stop()).code).toBe(0)
})

it('needs no CAP_SYS_ADMIN when all its ports are in its own namespace', async () => {
  const data = { control: bed.path('n.ctl'), bridges: { br0: { internal: {}, ports: { tap2: { type: 'tap' } } } } }
  writeFileSync(bed.path('n.yaml'), JSON.stringify(data))
  const few = ['setpriv', '--no-new-privs', '--inh-caps=-all', '--bounding-set=-all,+net_admin']
  const running = guests.a.start([...few, process.execPath, TAPSWITCH, 'run', '--config', bed.path('n.yaml')])
  await running.until(/^ready: /m)
  expect((await tapsIn(guests.a.netns)).sort()).toEqual(['br0', 'tap2'])
  expect((await running.stop()).code).toBe(0)
})

it('it is ready when IPv6 addresses of internal ports answer, the kernel having found no other host that has them; of one that it has found the log tells', async () => {
  const bridge = (guest: Guest, own: string, port: string, peer: string): object => ({
    internal: { netns: guest.netns, addresses: [`${own}/64`, 'fd00:9::99/64'] },
    ports: { [port]: { type: 'patch', options: { peer } } },
  })
  const daemon = await Daemon.start(bed, {
    bridges: { br0: bridge(guests.a, 'fd00:9::1', 'to-1', 'to-0'), br1: bridge(guests.b, 'fd00:9::2', 'to-0', 'to-1') },
  })
  const tentative = await guests.b.must(['ip', '-6', 'address', 'show', 'dev', 'br1', 'tentative'])
  expect(tentative).not.toContain('fd00:9::2/')
  expect(await ping(guests.a, 'fd00:9::2')).toMatchObject({ loss: 0 })
  expect(daemon.output).toMatch(/fd00:9::99\/64.*another host has it/)
})

it("V8's memory reducer, which would begin to wait while modules are loaded, does not", async () => {
  const node = ['--trace-gc', '--trace-gc-verbose', '--gc-memory-reducer-start-delay-ms=50']
  const daemon = await Daemon.start(bed, config(), { node })
  await guests.a.address('vf1', '10.9.0.1/24')
  await guests.b.address('tap2', '10.9.0.2/24')
  await ping(guests.a, '10.9.0.2', { count: 20, interval: 0.05 })
  expect(daemon.output).toContain('Mark-Compact')
  expect(daemon.output).not.toContain('Memory reducer')
})
