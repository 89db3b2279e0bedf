import { describe, expect, test } from 'vitest'
import { addressText } from '../../../src/flow/address.ts'
import type { Tunnels } from '../../../src/tunnel/tunnels.ts'
import { createSimple, entryTo, hex, ip, mac, specTo } from './fakes.ts'

describe('only what is concerned is looked at', () => {
  /** 50 peers, 20 users each: entries with VNIs of their own, and watches. */
  const create = () => {
    const parts = createSimple()
    const peers = Array.from({ length: 50 }, (_, i) => `192.0.${i}.9`)
    for (const peer of peers) {
      tunnelsTo(parts.tunnels, peer)
      parts.tunnels.watch(ip(peer), ip('10.0.2.1'))
    }
    parts.scheduler.run()
    const since = parts.tunnels.counters()
    const looked = () => {
      parts.scheduler.run()
      const { looks, translations, puts } = parts.tunnels.counters()
      return {
        looks: looks - since.looks,
        translations: translations - since.translations,
        puts: puts - since.puts,
        examined: parts.observer.examined,
        moves: parts.observer.moves,
      }
    }
    return { ...parts, peers, looked }
  }
  const tunnelsTo = (tunnels: Tunnels, peer: string): void => {
    for (let vni = 0; vni < 20; vni++) tunnels.hold(tunnels.encap(specTo(peer, { vni }), true))
  }

  test('a /32: one peer of 50, whose 20 entries are put; the others are not touched', () => {
    const { fib, neighbours, looked, observer, dpif } = create()
    neighbours.set(2, '10.0.2.253', 253)
    const puts = dpif.puts
    fib.set('192.0.7.9/32', { members: [{ oif: 2, weight: 1, via: ip('10.0.2.253') }] })
    // One way of the entries, one of the watch.
    expect(looked()).toEqual({ looks: 2, translations: 2, puts: 20, examined: 1, moves: 1 })
    expect(dpif.puts - puts).toBe(20)
    expect(observer.log).toEqual(['begin route 192.0.7.9/32', 'moved 192.0.7.9', 'end 1'])
    const changed = [...dpif.entries.values()].filter(({ generation }) => generation > 0)
    expect(new Set(changed.map(({ peer }) => addressText(peer)))).toEqual(new Set(['192.0.7.9']))
  })

  test('a prefix: the peers under it', () => {
    const { fib, looked } = create()
    fib.set('192.0.8.0/21', { members: [{ oif: 2, weight: 1, via: ip('10.0.2.254') }] })
    // The same next hop: looked at, and nothing moved.
    expect(looked()).toEqual({ looks: 16, translations: 0, puts: 0, examined: 8, moves: 0 })
  })

  test('a prefix that has none of them costs nothing', () => {
    const { fib, looked, observer } = create()
    fib.set('198.51.100.0/24', { members: [{ oif: 2, weight: 1, via: ip('10.0.2.254') }] })
    fib.set('2001:db8::/32', { members: [{ oif: 2, weight: 1 }] })
    expect(looked()).toEqual({ looks: 0, translations: 0, puts: 0, examined: 0, moves: 0 })
    expect(observer.log).toEqual([])
  })

  test('another next hop, interface or address costs nothing', () => {
    const { fib, neighbours, ports, looked } = create()
    neighbours.set(2, '10.0.2.77', 7)
    ports.set(3, {})
    fib.tell({ kind: 'link', ifindex: 9 })
    fib.tell({ kind: 'address', family: 6, ifindex: 2, address: ip('2001:db8::1') })
    expect(looked()).toEqual({ looks: 0, translations: 0, puts: 0, examined: 0, moves: 0 })
  })

  test('rules concern all, and thousand events of one prefix are one look at each way', () => {
    const { fib, looked, tunnels } = create()
    fib.tell({ kind: 'rules' })
    for (let i = 0; i < 1000; i++) fib.tell({ kind: 'rules' })
    expect(looked()).toMatchObject({ looks: 100, examined: 50, moves: 0 })
    expect(tunnels.counters().events).toBeGreaterThan(1000)
  })

  test('one entry to a peer, one peer in 50: the entries of others are not put when a MAC address changes behind a gateway of its own', () => {
    const { fib, neighbours, looked } = create()
    neighbours.set(2, '10.0.2.253', 253)
    fib.set('192.0.7.0/24', { members: [{ oif: 2, weight: 1, via: ip('10.0.2.253') }] })
    const first = looked()
    neighbours.set(2, '10.0.2.253', 99)
    expect(looked()).toEqual({
      looks: first.looks + 2,
      translations: first.translations + 2,
      puts: first.puts + 20,
      examined: 2,
      moves: 2,
    })
  })
})

test('tier 2 has all entries of a way before its watchers are told, in slices, too', () => {
  const parts = createSimple()
  const { tunnels, dpif, observer, neighbours, scheduler } = parts
  const peer = ip('192.0.2.9')
  for (let vni = 0; vni < 1000; vni++) tunnels.encap(specTo('192.0.2.9', { vni }), true)
  tunnels.watch(peer, undefined)
  observer.onMoved = () => {
    for (const entry of dpif.entries.values()) expect(hex(entry.header.subarray(0, 6))).toBe('020000000009')
  }
  const put = dpif.encapPut.bind(dpif)
  dpif.encapPut = (entry) => {
    scheduler.spend(0.01)
    put(entry)
  }
  neighbours.set(2, '10.0.2.254', 9)
  scheduler.run()
  expect(observer.moves).toBe(1)
  expect(observer.log.filter((line) => line.startsWith('begin')).length).toBeGreaterThanOrEqual(5)
  expect(tunnels.counters().longest).toBeLessThan(2.5)
})

test('an entry asked for again after a failure asks again, and who watches hears of it outside of the call', () => {
  const { tunnels, neighbours, scheduler, observer } = createSimple()
  tunnels.watch(ip('10.0.2.7'), undefined)
  scheduler.run()
  neighbours.set(2, '10.0.2.7', 'failed')
  scheduler.run()
  observer.log.length = 0
  // The answer changes without news: the provider has begun to ask again within the call.
  neighbours.resolve = (ifindex, address) => {
    neighbours.answers.set(`${addressText(address)}@${ifindex}`, { type: 'found', lladdr: mac(7) })
  }
  const { id } = entryTo(tunnels, '10.0.2.7')
  expect(tunnels.entry(id)).toMatchObject({ state: 'ready' })
  expect(observer.log).toEqual([])
  scheduler.run()
  expect(observer.log.filter((line) => line.startsWith('moved'))).toEqual(['moved 10.0.2.7'])
})

test('no more entries than the workers have room for: idle ones make room, held ones do not', async () => {
  const { EncapTable } = await import('../../../src/tunnel/entries.ts')
  const { Ways } = await import('../../../src/tunnel/ways.ts')
  const world = createSimple()
  const { fib, neighbours, ports, translator, dpif, clock, scheduler, tunnelPorts } = world
  const log = { warnLimited: () => {} }
  const ways = new Ways({ fib, neighbours, underlayPorts: ports, translator, log, stamp: () => 0 })
  const later = () => {}
  const table = new EncapTable({ ways, dpif, ports: tunnelPorts, clock, scheduler, later, moved: later }, 3)
  const [a, b, c] = [1, 2, 3].map((vni) => table.encap(specTo('192.0.2.9', { vni }), true))
  table.hold(a!)
  table.hold(c!)
  expect(table.encap(specTo('192.0.2.9', { vni: 4 }), true)).toBe(b)
  table.hold(b!)
  expect(table.encap(specTo('192.0.2.9', { vni: 5 }), true)).toBe(-1)
  expect(table.counters).toMatchObject({ refused: 1, deleted: 1 })
  expect(table.encap(specTo('192.0.2.9', { vni: 1 }), true)).toBe(a)
})

test('the datapath port of the tunnel follows', () => {
  const { tunnels, tunnelPorts, scheduler } = createSimple()
  const { id } = entryTo(tunnels, '192.0.2.9')
  tunnelPorts.setDpPort(4789, 1001)
  tunnels.revalidate()
  scheduler.run()
  expect(tunnels.entry(id)).toMatchObject({ tunnelPort: 1001, generation: 1 })
  expect(tunnels.udpPort(1001)).toBe(4789)
})

test('after the end nothing is heard', () => {
  const { tunnels, fib, neighbours, ports, scheduler, dpif, observer } = createSimple()
  const { id } = entryTo(tunnels, '192.0.2.9')
  tunnels.close()
  expect(tunnels.entry(id)).toBeUndefined()
  fib.tell({ kind: 'rules' })
  neighbours.set(2, '10.0.2.254', 1)
  ports.set(2, undefined)
  scheduler.run()
  expect(dpif.entries.size).toBe(0)
  expect(observer.log).toEqual([])
})
