/**
 * Next hops of tunnels, with the kernel's own neighbour table: a veth pair stands for a bridge's internal port and the wire behind it. What the underlay's bridge
 * would do is a stand-in; routes, neighbours and their events are real.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import { addressBytes } from '../../../src/flow/address.ts'
import type { EncapEntry } from '../../../src/flow/encap.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { eventLoopScheduler } from '../../../src/lib/scheduler.ts'
import { Namespace } from '../../../src/netlink/namespace.ts'
import { nativeTransport } from '../../../src/netlink/native-transport.ts'
import { NUD_REACHABLE, NUD_STALE, NUD_VALID } from '../../../src/netlink/neighbour.ts'
import { FIB_GROUPS, Fib } from '../../../src/tunnel/fib.ts'
import { KernelNeighbours } from '../../../src/tunnel/kernel-neighbours.ts'
import { NEIGHBOUR_GROUPS, Neighbours } from '../../../src/tunnel/neighbours.ts'
import { TunnelPorts } from '../../../src/tunnel/tunnel-ports.ts'
import { Tunnels } from '../../../src/tunnel/tunnels.ts'
import { Testbed } from '../kit/testbed.ts'
import { until as reached } from '../tiers/world.ts'

const ip = (text: string): Uint8Array => addressBytes(text)!
const macOf = (entry: EncapEntry): string => Buffer.from(entry.header.subarray(0, 6)).toString('hex')
const onError = (error: Error): never => {
  throw error
}

/** The kernel gives up after 0.4 s, has doubts after 1.1 to 3.3 s, which must be more than the second after which it probes. */
const SYSCTLS = {
  base_reachable_time_ms: 2200,
  delay_first_probe_time: 1,
  retrans_time_ms: 200,
  mcast_solicit: 2,
  ucast_solicit: 2,
  locktime: 0,
}

const PEER_MAC = '020000000002'

const create = async () => {
  const bed = new Testbed()
  onTestFinished(() => bed.close())
  const { host, far } = await bed.guests('host', 'far')
  const inFar = ['link', 'add', 'br-phy', 'type', 'veth', 'peer', 'name', 'p0', 'netns', far.netns]
  await host.must(['ip', '-n', host.netns, ...inFar])
  await far.must(['ip', '-n', far.netns, 'link', 'set', 'p0', 'address', '02:00:00:00:00:02'])
  // Only IPv4 has a time for which an address is locked.
  for (const [key, value] of Object.entries(SYSCTLS))
    for (const version of ['ipv4', 'ipv6'])
      if (key !== 'locktime' || version === 'ipv4') await host.sysctl(`net.${version}.neigh.br-phy.${key}`, value)
  await far.address('p0', '10.0.0.2/24', '10.0.0.3/24', 'fd00::2/64')
  await host.address('br-phy', '10.0.0.1/24', 'fd00::1/64')
  const namespace = await Namespace.open({
    transport: nativeTransport,
    netns: host.netns,
    groups: [...FIB_GROUPS, ...NEIGHBOUR_GROUPS],
    onError,
  })
  onTestFinished(() => namespace.close())
  const fib = new Fib(namespace, { onError })
  const neighbours = new Neighbours(namespace, { onError })
  await fib.start()
  await neighbours.start()
  const link = namespace.links.link('br-phy')!
  const { ifindex } = link
  const source = new KernelNeighbours({
    neighbours,
    socket: namespace.socket,
    scheduler: eventLoopScheduler,
    onError,
  })
  const entries = new Map<number, EncapEntry>()
  let heard = (_entry: EncapEntry): void => {}
  const mac = Uint8Array.from(Buffer.from(link.mac.replaceAll(':', ''), 'hex'))
  const port = { name: 'br-phy', dpPort: 2, ifindex, mac, mtu: 1500, up: true }
  const tunnels = new Tunnels({
    fib,
    neighbours: source,
    underlayPorts: { byIfindex: (i) => (i === ifindex ? port : undefined), onChange: () => {} },
    translator: {
      translate: () => ({ actions: [{ type: 'output', port: 1 }], ambiguous: false, vlan: 0, credit: () => {} }),
    },
    dpif: {
      encapPut: (entry) => {
        entries.set(entry.id, entry)
        heard(entry)
      },
      encapDel: (id) => entries.delete(id),
    },
    ports: new TunnelPorts(),
    clock: systemClock,
    scheduler: eventLoopScheduler,
    log: { warnLimited: (text, data) => onError(new Error(`${text} ${JSON.stringify(data)}`)) },
  })
  onTestFinished(() => {
    tunnels.close()
    source.close()
  })
  /** The first entry put from now on, or there already, that `is` wanted. */
  const until = (id: number, what: string, is: (entry: EncapEntry) => boolean, ms = 5000): Promise<EncapEntry> =>
    new Promise((resolve, reject) => {
      const now = entries.get(id)
      if (now && is(now)) {
        resolve(now)
        return
      }
      const timer = setTimeout(() => reject(new Error(`not ${what}: ${JSON.stringify(entries.get(id))}`)), ms)
      heard = (entry) => {
        if (entry.id !== id || !is(entry)) return
        clearTimeout(timer)
        heard = () => {}
        resolve(entry)
      }
    })
  const encap = (peer: string): number => {
    const id = tunnels.encap({ peer: ip(peer), vni: 1, dstPort: 4789, tos: 0, ttl: 64, df: true, csum: false }, true)
    tunnels.hold(id)
    return id
  }
  return { host, far, ifindex, neighbours, source, tunnels, entries, until, encap }
}

const ready = (entry: EncapEntry): boolean => entry.state === 'ready'

describe('next hops', () => {
  test.each(['10.0.0.2', 'fd00::2'])(
    '%s is pending, asked for, and found; the header has its address',
    async (peer) => {
      const { entries, until, encap } = await create()
      const id = encap(peer)
      expect(entries.get(id)).toMatchObject({ state: 'pending', reason: 'neighbour-pending' })
      const entry = await until(id, 'ready', ready)
      expect(macOf(entry)).toBe(PEER_MAC)
      expect(entry.local).toEqual(ip(peer.includes(':') ? 'fd00::1' : '10.0.0.1'))
    },
  )

  test('a new MAC address is in the entry within 100 ms of the news', async () => {
    const { far, neighbours, until, encap } = await create()
    const id = encap('10.0.0.2')
    await until(id, 'ready', ready)
    let news = 0
    neighbours.on(({ neighbour }) => {
      if (neighbour.lladdr?.[5] === 9 && news === 0) news = performance.now()
    })
    const moved = until(id, 'moved', (entry) => macOf(entry) === '020000000009')
    await far.must(['ip', '-n', far.netns, 'link', 'set', 'p0', 'address', '02:00:00:00:00:09'])
    // It speaks first, so that the host hears where it is now.
    await far.must(['ping', '-c', '1', '-W', '1', '10.0.0.1'])
    await moved
    expect(news).toBeGreaterThan(0)
    expect(performance.now() - news).toBeLessThan(100)
  })

  test('one that does not answer has failed, and is ready by itself when it answers', async () => {
    const { far, until, encap, source } = await create()
    const id = encap('10.0.0.9')
    const failed = await until(id, 'failed', (entry) => entry.state === 'drop')
    expect(failed).toMatchObject({ reason: 'neighbour-failed', detail: '10.0.0.9 on br-phy does not answer' })
    await far.address('p0', '10.0.0.9/24')
    await until(id, 'ready', ready, 8000)
    expect(source.counters.asked).toBeGreaterThan(1)
    // And back, when it has gone: the kernel's probes find nobody.
    await far.must(['ip', '-n', far.netns, 'address', 'del', '10.0.0.9/24', 'dev', 'p0'])
    await until(id, 'failed', (entry) => entry.state === 'drop', 10_000)
  })

  test('what flows use stays valid although the kernel sends nothing; what nobody uses does not', async () => {
    const { ifindex, neighbours, tunnels, until, encap, entries, host, source } = await create()
    const used = encap('10.0.0.2')
    await until(used, 'ready', ready)
    const idle = encap('10.0.0.3')
    await until(idle, 'ready', ready)
    tunnels.release(idle)
    const states: number[] = []
    /** Told by the kernel of a neighbour, so many times from now on. */
    const news = (last: number, count: number, is: (state: number) => boolean): Promise<void> =>
      new Promise((resolve) => {
        let left = count
        const end = neighbours.on(({ neighbour: { address, state }, result }) => {
          if (address[3] !== last || result.type === 'none' || !is(state) || --left > 0) return
          end()
          resolve()
        })
      })
    neighbours.on(({ neighbour: { address, state } }) => address[3] === 2 && states.push(state))
    await Promise.all([news(2, 1, (state) => state === NUD_REACHABLE), news(3, 1, (state) => state === NUD_STALE)])
    await news(2, 1, (state) => state === NUD_REACHABLE)
    expect(states.every((state) => (state & NUD_VALID) !== 0)).toBe(true)
    expect(entries.get(used)).toMatchObject({ state: 'ready', generation: 1 })
    expect(neighbours.lookup(ifindex, ip('10.0.0.3'))).toMatchObject({ state: NUD_STALE })
    expect(source.counters).toMatchObject({ asked: 2 })
    expect(source.counters.confirmed).toBeGreaterThan(0)
    // Thrown away, by `ip` as often as it comes back: asked for at once, and not after the pause that a failure has.
    await host.must(['ip', '-n', host.netns, 'neighbour', 'flush', 'dev', 'br-phy'])
    await reached(() => source.counters.asked > 2 && ready(entries.get(used)!), 'asked for and ready', 500)
    expect(neighbours.lookup(ifindex, ip('10.0.0.3'))).toEqual({ type: 'none' })
  })
})
