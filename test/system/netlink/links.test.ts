import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { dumpAddresses } from '../../../src/netlink/address.ts'
import { dumpLinks, type Link } from '../../../src/netlink/link.ts'
import type { LinkEvent } from '../../../src/netlink/link-monitor.ts'
import { Namespace, type NamespaceOptions } from '../../../src/netlink/namespace.ts'
import { nativeTransport } from '../../../src/netlink/native-transport.ts'
import { createNetns, ip, ipBatch } from './netns.ts'

const open = async (netns: string, options: Partial<NamespaceOptions> = {}): Promise<Namespace> => {
  const namespace = await Namespace.open({
    transport: nativeTransport,
    netns,
    onError: (error) => {
      throw error
    },
    ...options,
  })
  onTestFinished(() => namespace.close())
  return namespace
}

/** The event that `wanted` accepts; fails with what came instead. */
const until = (namespace: Namespace, wanted: (event: LinkEvent) => boolean): Promise<LinkEvent> =>
  new Promise((resolve, reject) => {
    const seen: LinkEvent[] = []
    const timer = setTimeout(() => reject(new Error(`only ${JSON.stringify(seen)} came`)), 5000)
    const end = namespace.links.on((event) => {
      seen.push(event)
      if (!wanted(event)) return
      clearTimeout(timer)
      end()
      resolve(event)
    })
  })

interface IpLink {
  ifindex: number
  ifname: string
  flags: string[]
  mtu: number
  operstate: string
  address: string
}

/** What `ip` says, in our words. */
const byIp = (netns: string): Link[] =>
  (JSON.parse(ip('-n', netns, '-j', 'link')) as IpLink[]).map((link) => ({
    ifindex: link.ifindex,
    name: link.ifname,
    up: link.flags.includes('UP'),
    carrier: link.flags.includes('LOWER_UP'),
    operState: link.operstate.toLowerCase() as Link['operState'],
    mtu: link.mtu,
    mac: link.address,
  }))

const sorted = (links: Iterable<Link>): Link[] => [...links].sort((a, b) => a.ifindex - b.ifindex)

describe('mirror', () => {
  test('agrees with ip, at the start and after every kind of change', async () => {
    const netns = await createNetns()
    ip('-n', netns, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
    const namespace = await open(netns)
    expect(sorted(namespace.links.links())).toEqual(sorted(byIp(netns)))
    const change = async (wanted: (event: LinkEvent) => boolean, ...args: string[]): Promise<LinkEvent> => {
      const event = until(namespace, wanted)
      ip('-n', netns, ...args)
      return event
    }
    const is = (name: string, test: (link: Link) => boolean) => (event: LinkEvent) =>
      event.link.name === name && event.type !== 'removed' && test(event.link)
    await change(
      is('v0', (l) => l.mtu === 1400),
      'link',
      'set',
      'v0',
      'mtu',
      '1400',
    )
    await change(
      is('v0', (l) => l.up && !l.carrier),
      'link',
      'set',
      'v0',
      'up',
    )
    await change(
      is('v0', (l) => l.carrier && l.operState === 'up'),
      'link',
      'set',
      'v1',
      'up',
    )
    await change(
      is('v0', (l) => !l.carrier),
      'link',
      'set',
      'v1',
      'down',
    )
    await change(
      is('v1', (l) => l.mac === '02:00:00:00:00:99'),
      'link',
      'set',
      'v1',
      'address',
      '02:00:00:00:00:99',
    )
    const renamed = await change(
      is('w1', () => true),
      'link',
      'set',
      'v1',
      'name',
      'w1',
    )
    expect(renamed).toMatchObject({ type: 'changed', previous: { name: 'v1' } })
    expect(sorted(namespace.links.links())).toEqual(sorted(byIp(netns)))
    await change((event) => event.type === 'removed' && event.link.name === 'w1', 'link', 'del', 'v0')
    expect(namespace.links.link('v0')).toBeUndefined()
    expect(sorted(namespace.links.links())).toEqual(sorted(byIp(netns)))
    expect(namespace.links.counters).toMatchObject({ malformed: 0, resyncs: 0, listenerErrors: 0 })
    expect(namespace.socket.counters).toMatchObject({ malformed: 0, overruns: 0 })
  })

  test('subscribers hear the present state, changes, the end, and a successor', async () => {
    const netns = await createNetns()
    ip('-n', netns, 'link', 'add', 'v0', 'mtu', '1300', 'type', 'veth', 'peer', 'name', 'v1')
    const namespace = await open(netns)
    const heard: (number | undefined)[] = []
    namespace.links.subscribe('v0', (link) => heard.push(link?.mtu))
    expect(heard).toEqual([1300])
    const gone = until(namespace, (event) => event.type === 'removed' && event.link.name === 'v0')
    ip('-n', netns, 'link', 'set', 'v0', 'mtu', '1310')
    ip('-n', netns, 'link', 'del', 'v0')
    await gone
    const back = until(namespace, (event) => event.type === 'added' && event.link.name === 'v0')
    ip('-n', netns, 'link', 'add', 'v0', 'mtu', '1320', 'type', 'veth', 'peer', 'name', 'v1')
    await back
    expect(heard.filter((mtu, i) => mtu !== heard[i - 1])).toEqual([1300, 1310, undefined, 1320])
  })

  test('an overrun ends in the same state as a fresh dump', async () => {
    const netns = await createNetns()
    ip('-n', netns, 'link', 'add', 'keep', 'type', 'veth', 'peer', 'name', 'keep1')
    ip('-n', netns, 'link', 'add', 'doomed', 'type', 'veth', 'peer', 'name', 'doomed1')
    const errors: Error[] = []
    const namespace = await open(netns, { rcvbuf: 4096, onError: (error) => errors.push(error) })
    const removed: string[] = []
    namespace.links.on((event) => {
      if (event.type === 'removed') removed.push(event.link.name)
    })
    const lines: string[] = []
    for (let i = 0; i < 3000; i++) lines.push(`link set keep mtu ${1000 + (i % 400)}`)
    lines.push('link del doomed', 'link add late type veth peer name late1', 'link set late up')
    // Synchronous: nothing is read meanwhile.
    ipBatch(netns, lines)
    const settled = until(namespace, (event) => event.link.name === 'late' && event.type !== 'removed' && event.link.up)
    await settled
    // Whoever asks now is served after the dump that is under way.
    const fresh = await dumpLinks(namespace.socket)
    expect(namespace.socket.counters.overruns).toBeGreaterThan(0)
    expect(namespace.links.counters.resyncs).toBeGreaterThan(0)
    expect(errors).toEqual([])
    expect(sorted(namespace.links.links())).toEqual(sorted(fresh.values()))
    expect(sorted(fresh.values())).toEqual(sorted(byIp(netns)))
    expect(removed.sort()).toEqual(['doomed', 'doomed1'])
  })

  test('a namespace dies with its name: no socket of ours keeps it', async () => {
    const netns = await createNetns()
    const other = await createNetns()
    ip('-n', other, 'link', 'add', 'here', 'type', 'veth', 'peer', 'name', 'there', 'netns', netns)
    await open(netns)
    const witness = await open(other)
    const died = until(witness, (event) => event.type === 'removed' && event.link.name === 'here')
    ip('netns', 'del', netns)
    await died
  })

  test('a namespace whose name is deleted is reported, and its socket does not spin', async () => {
    const netns = await createNetns()
    let report: () => void = () => {}
    const gone = new Promise<void>((resolve) => {
      report = resolve
    })
    const namespace = await open(netns, { onGone: () => report() })
    const heard: (string | undefined)[] = []
    namespace.links.subscribe('lo', (link) => heard.push(link?.name))
    ip('netns', 'del', netns)
    await gone
    expect(heard).toEqual(['lo', undefined])
    expect([...namespace.links.links()]).toEqual([])
    // A measuring window: what a dead socket costs while nothing is awaited.
    const before = process.cpuUsage()
    await delay(500)
    const { user, system } = process.cpuUsage(before)
    expect(user + system).toBeLessThan(250_000)
    namespace.close()
    await expect(namespace.getLink('lo')).rejects.toMatchObject({ code: 'ECLOSED' })
  })
})

describe('operations', () => {
  test('up, MTU, MAC, name, addresses', async () => {
    const netns = await createNetns()
    ip('-n', netns, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
    const namespace = await open(netns)
    const { ifindex } = await namespace.getLink('v0')
    await namespace.setLink(ifindex, { mtu: 1450, mac: '02:00:00:00:01:01', up: true })
    await namespace.addAddress(ifindex, '192.0.2.1/24')
    await namespace.addAddress(ifindex, '2001:db8::1:2/64')
    expect(await namespace.getLink(ifindex)).toEqual(byIp(netns).find((link) => link.name === 'v0'))
    expect(await namespace.getLink('v0')).toMatchObject({ mtu: 1450, mac: '02:00:00:00:01:01', up: true })
    const shown = ip('-n', netns, '-o', 'addr', 'show', 'dev', 'v0')
    expect(shown).toContain('inet 192.0.2.1/24 brd 192.0.2.255')
    expect(shown).toContain('inet6 2001:db8::1:2/64')
    const mine = (await dumpAddresses(namespace.socket)).filter((address) => address.ifindex === ifindex)
    expect(mine.map((a) => [a.version, a.prefixLength, Buffer.from(a.bytes).toString('hex')])).toEqual(
      expect.arrayContaining([
        [4, 24, 'c0000201'],
        [6, 64, '20010db8000000000000000000010002'],
      ]),
    )
    await namespace.setLink(ifindex, { up: false })
    expect((await namespace.getLink(ifindex)).up).toBe(false)
    await namespace.setLink(ifindex, { name: 'w0' })
    expect(await namespace.getLink('w0')).toMatchObject({ ifindex })
  })

  test("failures have a code and the kernel's own words", async () => {
    const netns = await createNetns()
    ip('-n', netns, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
    const namespace = await open(netns)
    const { ifindex } = await namespace.getLink('v0')
    await expect(namespace.getLink('nosuch')).rejects.toMatchObject({
      code: 'ENODEV',
      errno: 19,
      syscall: 'RTM_GETLINK',
    })
    await expect(namespace.setLink(ifindex, { mtu: 10 })).rejects.toThrow(
      'RTM_NEWLINK: mtu less than device minimum (EINVAL)',
    )
    await namespace.addAddress(ifindex, '192.0.2.1/24')
    await expect(namespace.addAddress(ifindex, '192.0.2.1/24')).rejects.toMatchObject({ code: 'EEXIST' })
    await expect(namespace.addAddress(ifindex, '192.0.2.1')).rejects.toThrow(
      /"192.0.2.1": an address with prefix length/,
    )
  })

  test('requests that are made at once are answered each by its own answer', async () => {
    const netns = await createNetns()
    ipBatch(
      netns,
      Array.from({ length: 20 }, (_, i) => `link add a${i} mtu ${1000 + i} type veth peer name b${i}`),
    )
    const namespace = await open(netns)
    const answers = await Promise.all([
      ...Array.from({ length: 20 }, (_, i) => namespace.getLink(`a${i}`)),
      dumpLinks(namespace.socket).then((links) => links.size),
      namespace.getLink('nosuch').catch((error: { code: string }) => error.code),
      namespace.getLink('b7'),
    ])
    expect(answers.slice(0, 20).map((link) => (link as Link).mtu)).toEqual(
      Array.from({ length: 20 }, (_, i) => 1000 + i),
    )
    expect(answers.slice(20)).toEqual([41, 'ENODEV', expect.objectContaining({ name: 'b7' })])
  })

  test('a namespace that is not there', async () => {
    await expect(
      Namespace.open({ transport: nativeTransport, netns: 'ts-nosuch', onError: () => {} }),
    ).rejects.toMatchObject({
      code: 'ENOENT',
    })
  })
})

test("neither the package's addon nor its sockets are loaded", () => {
  const maps = readFileSync('/proc/self/maps', 'utf8')
  expect(maps).toContain('tapswitch.node')
  expect(maps).not.toMatch(/node_modules\/netlink\/.*\.node/)
})
