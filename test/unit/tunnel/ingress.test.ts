import { describe, expect, test } from 'vitest'
import { K_DL_TYPE, K_ETH, K_IN_PORT, K_NW, K_NW_DST, K_NW_SRC, K_TP, K_VLAN0 } from '../../../src/flow/key.ts'
import { createSimple, entryTo, ip } from './fakes.ts'

describe('ingress', () => {
  const peer = ip('192.0.2.9')
  const local = ip('10.0.2.1')

  test('is the key of a packet of the peer as it enters by the uplink', () => {
    const { tunnels, translator } = createSimple()
    translator.uplinks.set(2, { vlan: 0x81001005 | 0 })
    tunnels.watch(peer, local)
    const result = tunnels.ingress(peer, local, 8472)
    if (result.type === 'none') throw new Error(result.detail)
    expect(result.members).toHaveLength(1)
    const { port, key } = result.members[0]!
    expect(port).toBe(20)
    expect([key[K_IN_PORT], key[K_ETH], key[K_ETH + 1], key[K_ETH + 2]]).toEqual([
      20, 0x02000000, 0x00660200, 0x000000fe,
    ])
    expect([key[K_DL_TYPE], key[K_VLAN0], key[K_NW_SRC]! >>> 0, key[K_NW_DST]]).toEqual([
      0x08000000,
      0x81001005 | 0,
      0xc0000209,
      0x0a000201,
    ])
    expect([key[K_NW], key[K_TP]]).toEqual([0x11000000, 8472])
  })

  test('several outputs, or rules that look at what differs: it cannot be told', () => {
    const { tunnels, translator, scheduler } = createSimple()
    tunnels.watch(peer, undefined)
    const actions = [
      { type: 'output' as const, port: 20 },
      { type: 'clone' as const, actions: [{ type: 'output' as const, port: 21 }] },
    ]
    translator.uplinks.set(2, { actions })
    tunnels.revalidate()
    scheduler.run()
    expect(tunnels.ingress(peer, local, 4789)).toMatchObject({ check: 'underlay-ambiguous' })
    translator.uplinks.set(2, { ambiguous: true })
    tunnels.revalidate()
    scheduler.run()
    expect(tunnels.ingress(peer, local, 4789)).toMatchObject({ check: 'underlay-ambiguous' })
    translator.uplinks.set(2, { actions: [], dropped: 'flow-drop' })
    tunnels.revalidate()
    scheduler.run()
    expect(tunnels.ingress(peer, local, 4789)).toMatchObject({ check: 'no-route' })
  })

  test('of a peer that is not watched is looked up, and nothing of it stays', () => {
    const { tunnels, neighbours } = createSimple()
    expect(tunnels.ingress(peer, local, 4789)).toMatchObject({ type: 'found', members: [{ port: 20 }] })
    expect(tunnels.ingress(ip('10.0.2.7'), local, 4789)).toMatchObject({ check: 'neighbour-pending' })
    expect(tunnels.counters()).toMatchObject({ ways: 0, nextHops: 0 })
    expect(neighbours.resolved).toEqual([])
  })

  test('a watched peer is asked for and kept alive, whoever is told when it moves; counted', () => {
    const { tunnels, neighbours, scheduler, observer, fib } = createSimple()
    tunnels.watch(ip('10.0.2.7'), local)
    tunnels.watch(ip('10.0.2.7'), local)
    expect(tunnels.ingress(ip('10.0.2.7'), local, 4789)).toMatchObject({ check: 'neighbour-pending' })
    expect([...neighbours.alive]).toEqual(['10.0.2.7@2'])
    scheduler.run()
    observer.log.length = 0
    neighbours.set(2, '10.0.2.7', 7)
    scheduler.run()
    expect(observer.log).toEqual([
      'begin neighbour 10.0.2.7 dev br2 lladdr 02:00:00:00:00:07',
      'moved 10.0.2.7',
      'end 1',
    ])
    tunnels.unwatch(ip('10.0.2.7'), local)
    expect(neighbours.alive.size).toBe(1)
    tunnels.unwatch(ip('10.0.2.7'), local)
    expect(neighbours.alive.size).toBe(0)
    fib.set('10.0.2.0/24', undefined)
    scheduler.run()
    expect(tunnels.counters()).toMatchObject({ ways: 0, watches: 0, nextHops: 0 })
  })
})

describe('our addresses', () => {
  test('are local, and who asked hears when they differ', () => {
    const { tunnels, fib, scheduler } = createSimple()
    let heard = 0
    tunnels.onLocalChange(() => heard++)
    expect([tunnels.isLocal(ip('10.0.2.1')), tunnels.isLocal(ip('10.0.2.2'))]).toEqual([true, false])
    fib.setAddresses(2, '10.0.2.1', '10.0.2.2', '2001:db8::1')
    expect([tunnels.isLocal(ip('10.0.2.2')), tunnels.isLocal(ip('2001:db8::1'))]).toEqual([true, true])
    scheduler.run()
    expect(heard).toBe(1)
    fib.setAddresses(2, '10.0.2.1', '10.0.2.2', '2001:db8::1')
    fib.tell({ kind: 'resync' })
    scheduler.run()
    expect(heard).toBe(1)
  })

  test('one that is still tentative is not', () => {
    const { tunnels, fib } = createSimple()
    fib.addresses.set(2, [{ bytes: ip('2001:db8::1'), flags: 0x40 }])
    fib.tell({ kind: 'address', family: 6, ifindex: 2, address: ip('2001:db8::1') })
    expect(tunnels.isLocal(ip('2001:db8::1'))).toBe(false)
    fib.addresses.set(2, [{ bytes: ip('2001:db8::1'), flags: 0x44 }])
    fib.tell({ kind: 'address', family: 6, ifindex: 2, address: ip('2001:db8::1') })
    expect(tunnels.isLocal(ip('2001:db8::1'))).toBe(true)
  })

  test('a new one is the source of what had none, and only those of its version are looked at', () => {
    const { tunnels, fib, scheduler, observer } = createSimple()
    fib.setAddresses(2)
    scheduler.run()
    const { id } = entryTo(tunnels, '192.0.2.9')
    entryTo(tunnels, '192.0.2.10', { local: ip('10.0.2.5') })
    const before = tunnels.counters().looks
    fib.setAddresses(2, '10.0.2.1')
    scheduler.run()
    expect(tunnels.entry(id)).toMatchObject({ state: 'ready', local: ip('10.0.2.1') })
    expect(tunnels.counters().looks).toBe(before + 1)
    expect(observer.causes.at(-1)).toMatchObject({ kind: 'address', text: '10.0.2.1' })
  })
})

test('an address that is ours by a route of the local table: what is sent from it follows that route', () => {
  const { tunnels, fib, scheduler } = createSimple()
  fib.routes.set('192.0.2.9/32', 'not-local')
  const mine = entryTo(tunnels, '192.0.2.9', { local: ip('198.51.100.7') })
  const other = entryTo(tunnels, '192.0.2.10', { local: ip('10.0.2.1') })
  expect(mine).toMatchObject({ state: 'drop', reason: 'no-route' })
  fib.routes.delete('192.0.2.9/32')
  const { looks } = tunnels.counters()
  fib.tell({ kind: 'route', family: 4, bytes: ip('198.51.100.0'), length: 24 })
  scheduler.run()
  expect(tunnels.entry(mine.id)).toBe(mine)
  fib.tell({ kind: 'route', family: 4, bytes: ip('198.51.100.0'), length: 24, local: true })
  scheduler.run()
  expect(tunnels.entry(mine.id)).toMatchObject({ state: 'ready' })
  expect(tunnels.entry(other.id)).toBe(other)
  expect(tunnels.counters().looks - looks).toBe(1)
  // And when nobody sends from it any more, nothing is kept of it.
  tunnels.close()
  expect(tunnels.counters()).toMatchObject({ entries: 0, ways: 0 })
})
