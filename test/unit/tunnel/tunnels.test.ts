import { describe, expect, test } from 'vitest'
import { addressText } from '../../../src/flow/address.ts'
import type { EncapEntry } from '../../../src/flow/encap.ts'
import {
  LOST_FLOW_DROP,
  LOST_NEIGHBOUR_FAILED,
  LOST_NO_ROUTE,
  LOST_TRANSLATION,
  LOST_TUNNEL_LOOP,
} from '../../../src/flow/execute.ts'
import { K_DL_TYPE, K_ETH, K_IN_PORT, K_NW, K_NW_DST, K_NW_SRC, K_TP, K_VLAN0 } from '../../../src/flow/key.ts'
import type { Tunnels } from '../../../src/tunnel/tunnels.ts'
import { wayHash } from '../../../src/tunnel/way-look.ts'
import { createSimple, ip, mac, pass, specTo } from './fakes.ts'

const entryTo = (tunnels: Tunnels, peer: string, change: Parameters<typeof specTo>[1] = {}): EncapEntry =>
  tunnels.entry(tunnels.encap(specTo(peer, change), true))!
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('an entry', () => {
  test('through a gateway is ready, with the whole header, and was put', () => {
    const { tunnels, dpif } = createSimple()
    const entry = entryTo(tunnels, '192.0.2.9')
    expect(entry).toMatchObject({
      id: 0,
      state: 'ready',
      reason: 'valid',
      detail: '10.0.2.254 on br2 is at 02:00:00:00:00:fe',
      actions: [{ type: 'output', port: 20 }],
      mtu: 1500,
      local: ip('10.0.2.1'),
      tunnelPort: 1000,
      underlayPort: 2,
      version: 4,
      generation: 0,
    })
    expect(hex(entry.header.subarray(0, 12))).toBe('0200000000fe020000000066')
    expect(hex(entry.header.subarray(26, 34))).toBe('0a000201c0000209')
    expect(dpif.entries.get(0)).toBe(entry)
    expect(dpif.puts).toBe(1)
  })

  test('on link asks for the peer itself, waits, and is ready when it answers', () => {
    const { tunnels, neighbours, dpif, scheduler } = createSimple()
    const { id } = entryTo(tunnels, '10.0.2.7')
    expect(tunnels.entry(id)).toMatchObject({ state: 'pending', reason: 'neighbour-pending', actions: [] })
    expect(hex(tunnels.entry(id)!.header.subarray(0, 12))).toBe('00'.repeat(12))
    expect(tunnels.entry(id)!.detail).toBe('10.0.2.7 on br2 is not known yet')
    expect(neighbours.resolved).toEqual(['10.0.2.7@2'])
    neighbours.set(2, '10.0.2.7', 7)
    scheduler.run()
    expect(tunnels.entry(id)).toMatchObject({ state: 'ready', generation: 1 })
    expect(dpif.log).toEqual(['put 0 neighbour-pending', 'put 0 valid'])
  })

  test('is shared by equal specs, and the way by different ones to the same peer', () => {
    const { tunnels, translator, dpif } = createSimple()
    const a = tunnels.encap(specTo('192.0.2.9', { vni: 1 }), true)
    expect(tunnels.encap(specTo('192.0.2.9', { vni: 1 }), true)).toBe(a)
    const b = tunnels.encap(specTo('192.0.2.9', { vni: 2 }), true)
    expect(b).not.toBe(a)
    expect(tunnels.counters()).toMatchObject({ entries: 2, ways: 1, translations: 1, looks: 1 })
    expect(translator.calls).toHaveLength(1)
    expect(dpif.puts).toBe(2)
  })

  test('the underlay is asked with the key of an outer packet and what differs between packets', () => {
    const { tunnels, translator } = createSimple()
    entryTo(tunnels, '192.0.2.9', { tos: 0xb8, ttl: 7 })
    entryTo(tunnels, '192.0.2.9', { tos: 'inherit', ttl: 'inherit' })
    const [plain, inherited] = translator.calls
    const { key, varying, learn } = plain!
    expect([key[K_IN_PORT], key[K_ETH]! >>> 0, key[K_ETH + 1], key[K_ETH + 2]]).toEqual([
      2, 0x02000000, 0x00fe0200, 0x00000066,
    ])
    expect([key[K_DL_TYPE], key[K_VLAN0], key[K_NW_SRC], key[K_NW_DST]! >>> 0]).toEqual([
      0x08000000, 0, 0x0a000201, 0xc0000209,
    ])
    expect([key[K_NW], key[K_TP]! >>> 0]).toEqual([0x11b80700, 0x800012b5])
    expect([varying[K_NW], varying[K_TP], learn]).toEqual([0x00030000, 0x7fff0000, true])
    expect([inherited!.key[K_NW], inherited!.varying[K_NW]]).toEqual([0x11004000, 0x00ffff00])
  })

  test('its MTU is the smaller one of port and route, and follows both', () => {
    const { tunnels, fib, ports, observer, scheduler } = createSimple()
    const { id } = entryTo(tunnels, '192.0.2.9')
    const mtu = () => {
      scheduler.run()
      return tunnels.entry(id)!.mtu
    }
    fib.set('0.0.0.0/0', { members: [{ oif: 2, weight: 1, via: ip('10.0.2.254') }], mtu: 1400 })
    expect(mtu()).toBe(1400)
    ports.set(2, { mtu: 1300 })
    expect(mtu()).toBe(1300)
    ports.set(2, { mtu: 1600 })
    expect(mtu()).toBe(1400)
    expect(observer.causes.map(({ kind }) => kind)).toEqual(['route', 'link', 'mtu'])
  })

  test('follows a new MAC address of the next hop', () => {
    const { tunnels, neighbours, scheduler, observer } = createSimple()
    const { id } = entryTo(tunnels, '192.0.2.9')
    neighbours.set(2, '10.0.2.254', 9)
    scheduler.run()
    expect(hex(tunnels.entry(id)!.header.subarray(0, 6))).toBe('020000000009')
    expect(observer.causes).toMatchObject([{ kind: 'neighbour', text: '10.0.2.254 dev br2 lladdr 02:00:00:00:00:09' }])
  })

  test('follows a new MAC address and another number of the internal port', () => {
    const { tunnels, ports, translator, scheduler } = createSimple()
    const { id } = entryTo(tunnels, '192.0.2.9')
    ports.set(2, { mac: mac(8) })
    scheduler.run()
    expect(hex(tunnels.entry(id)!.header.subarray(6, 12))).toBe('020000000008')
    ports.set(2, { dpPort: 9 })
    scheduler.run()
    expect(tunnels.entry(id)).toMatchObject({ underlayPort: 9, actions: [{ type: 'output', port: 90 }] })
    expect(translator.calls).toHaveLength(3)
  })

  test('events that change nothing put nothing', () => {
    const { tunnels, neighbours, fib, ports, dpif, scheduler } = createSimple()
    entryTo(tunnels, '192.0.2.9')
    neighbours.set(2, '10.0.2.254', 254)
    fib.set('192.0.2.0/24', { members: [{ oif: 2, weight: 1, via: ip('10.0.2.254') }] })
    ports.set(2, {})
    fib.tell({ kind: 'rules' })
    fib.tell({ kind: 'resync' })
    tunnels.revalidate()
    scheduler.run()
    expect(dpif.puts).toBe(1)
  })

  test('over IPv6, with a next hop of its own', () => {
    const { tunnels, fib, neighbours } = createSimple()
    fib.set('2001:db8::/32', { members: [{ oif: 2, weight: 1, via: ip('fe80::1'), src: ip('2001:db8::1') }] })
    neighbours.set(2, 'fe80::1', 1)
    const entry = entryTo(tunnels, '2001:db8::9')
    expect(entry).toMatchObject({ state: 'ready', version: 6, local: ip('2001:db8::1') })
    expect(entry.header.length).toBe(70)
  })
})

describe('refusals say why', () => {
  const refusal = (prepare: (parts: ReturnType<typeof createSimple>) => void, change = {}) => {
    const parts = createSimple()
    prepare(parts)
    const { state, reason, detail, lost, actions } = entryTo(parts.tunnels, '192.0.2.9', change)
    expect(actions).toEqual([])
    return { state, reason, detail, lost }
  }
  const noRoute = (detail: string) => ({ state: 'drop', reason: 'no-route', detail, lost: LOST_NO_ROUTE })

  test('routes', () => {
    expect(refusal(({ fib }) => fib.set('0.0.0.0/0', undefined))).toEqual(noRoute('no route to 192.0.2.9'))
    for (const why of ['unreachable', 'blackhole', 'prohibit'] as const)
      expect(refusal(({ fib }) => fib.set('192.0.2.0/24', why))).toEqual(
        noRoute(`the route to 192.0.2.9 is of type ${why}`),
      )
    expect(refusal(({ fib }) => fib.set('192.0.2.0/24', 'not-local'), { local: ip('10.9.9.9') })).toEqual(
      noRoute('10.9.9.9 is no address of ours'),
    )
    const members = [{ oif: 2, weight: 1 }]
    expect(refusal(({ fib }) => fib.set('192.0.2.9/32', { members, type: 'local' }))).toEqual(
      noRoute('192.0.2.9 is an address of our own'),
    )
    expect(refusal(({ fib }) => fib.set('192.0.2.9/32', { members, type: 'multicast' }))).toEqual(
      noRoute('192.0.2.9 is a multicast address'),
    )
  })

  test('interfaces', () => {
    expect(refusal(({ ports }) => ports.set(2, undefined))).toEqual(
      noRoute('192.0.2.9 leaves by if2, which is no internal port of a bridge'),
    )
    expect(refusal(({ ports }) => ports.set(2, { up: false }))).toEqual(
      noRoute('192.0.2.9 leaves by br2, which is down'),
    )
    expect(refusal(({ fib }) => fib.setAddresses(2))).toEqual(noRoute('br2 has no address to send to 192.0.2.9 from'))
  })

  test('neighbours', () => {
    expect(refusal(({ neighbours }) => neighbours.set(2, '10.0.2.254', 'failed'))).toEqual({
      state: 'drop',
      reason: 'neighbour-failed',
      detail: '10.0.2.254 on br2 does not answer',
      lost: LOST_NEIGHBOUR_FAILED,
    })
  })

  test('the underlay', () => {
    const underlay = (way: object) => refusal(({ translator }) => translator.uplinks.set(2, way))
    expect(underlay({ actions: [], dropped: 'tunnel-loop' })).toEqual({
      state: 'drop',
      reason: 'tunnel-loop',
      detail: 'the way to 192.0.2.9 by br2 leads through a tunnel',
      lost: LOST_TUNNEL_LOOP,
    })
    const detail = 'what br2 sends to 192.0.2.9 is dropped: recursion-too-deep'
    const dropped = { state: 'drop', reason: 'underlay-drop', detail, lost: LOST_TRANSLATION }
    expect(underlay({ actions: [], dropped: 'recursion-too-deep' })).toEqual(dropped)
    expect(underlay({ actions: [], dropped: 'flow-drop' })).toMatchObject({ lost: LOST_FLOW_DROP })
    expect(underlay({ actions: [] })).toMatchObject({ reason: 'underlay-drop', lost: LOST_FLOW_DROP })
  })

  test('a translation that fails harms only its own way', () => {
    const parts = createSimple()
    parts.translator.during = () => {
      throw new Error('broken')
    }
    expect(entryTo(parts.tunnels, '192.0.2.9')).toMatchObject({
      reason: 'underlay-drop',
      detail: 'the underlay cannot be told: broken',
    })
    expect(parts.warnings).toHaveLength(1)
    parts.translator.during = () => {}
    parts.tunnels.revalidate()
    parts.scheduler.run()
    expect(parts.tunnels.entry(0)).toMatchObject({ state: 'ready' })
  })
})

test('rules that send packets of one entry different ways: a second pass', () => {
  const { tunnels, translator, scheduler } = createSimple()
  translator.uplinks.set(2, { ambiguous: true })
  const { id } = entryTo(tunnels, '192.0.2.9')
  expect(tunnels.entry(id)).toMatchObject({
    state: 'ready',
    reason: 'underlay-ambiguous',
    actions: [{ type: 'reenter', port: 2 }],
  })
  translator.uplinks.delete(2)
  tunnels.revalidate()
  scheduler.run()
  expect(tunnels.entry(id)).toMatchObject({ reason: 'valid', actions: [{ type: 'output', port: 20 }] })
})

describe('multipath', () => {
  const create = () => {
    const parts = createSimple()
    parts.ports.set(3, {})
    parts.fib.setAddresses(3, '10.0.3.1')
    const members = [
      { oif: 2, weight: 1, via: ip('10.0.2.254') },
      { oif: 3, weight: 3, via: ip('10.0.3.254') },
    ]
    parts.fib.set('192.0.0.0/16', { members })
    parts.neighbours.set(3, '10.0.3.254', 33)
    return parts
  }

  test('the hash of source and destination picks a member, by weight', () => {
    const { tunnels } = create()
    let third = 0
    for (let i = 0; i < 256; i++)
      for (let j = 0; j < 16; j++) {
        const peer = `192.0.${j}.${i}`
        const member = wayHash({ peer: ip(peer) }) / 2 ** 32 < 0.25 ? 2 : 3
        if (j === 0) expect(entryTo(tunnels, peer).underlayPort).toBe(member)
        if (member === 3) third++
      }
    expect(third / 4096).toBeGreaterThan(0.72)
    expect(third / 4096).toBeLessThan(0.78)
    expect(wayHash({ peer: ip('192.0.2.9'), local: ip('10.0.2.1') })).not.toBe(wayHash({ peer: ip('192.0.2.9') }))
  })

  test('a member that leads nowhere is passed by until it leads on', () => {
    const { tunnels, neighbours, ports, scheduler } = create()
    const { id } = entryTo(tunnels, '192.0.2.9')
    const first = tunnels.entry(id)!.underlayPort
    const other = 5 - first
    tunnels.hold(id)
    neighbours.set(first, `10.0.${first}.254`, 'failed')
    scheduler.run()
    expect(tunnels.entry(id)).toMatchObject({ state: 'ready', underlayPort: other })
    // Both are kept: the one for its use, the other one to hear of its return.
    expect([...neighbours.alive].sort()).toEqual(['10.0.2.254@2', '10.0.3.254@3'])
    neighbours.set(first, `10.0.${first}.254`, 8)
    scheduler.run()
    expect(tunnels.entry(id)).toMatchObject({ state: 'ready', underlayPort: first })
    expect([...neighbours.alive]).toEqual([`10.0.${first}.254@${first}`])
    ports.set(first, { up: false })
    scheduler.run()
    expect(tunnels.entry(id)).toMatchObject({ state: 'ready', underlayPort: other })
    ports.set(other, { up: false })
    scheduler.run()
    expect(tunnels.entry(id)).toMatchObject({ state: 'drop', reason: 'no-route' })
  })

  test('all members are expected as ingress; one that is not known yet holds the answer back', () => {
    const { tunnels, neighbours, scheduler, observer } = create()
    const ingress = () => tunnels.ingress(ip('192.0.2.9'), ip('10.0.2.1'), 4789)
    tunnels.watch(ip('192.0.2.9'), ip('10.0.2.1'))
    expect(ingress()).toMatchObject({ type: 'found', members: [{ port: 20 }, { port: 30 }] })
    neighbours.set(3, '10.0.3.254', 'pending')
    scheduler.run()
    expect(ingress()).toMatchObject({ type: 'none', check: 'neighbour-pending' })
    neighbours.set(3, '10.0.3.254', 'failed')
    scheduler.run()
    expect(ingress()).toMatchObject({ type: 'found', members: [{ port: 20 }] })
    expect(observer.moves).toBe(2)
    neighbours.set(2, '10.0.2.254', 'failed')
    scheduler.run()
    expect(ingress()).toMatchObject({ type: 'none', check: 'neighbour-failed' })
  })
})

describe('lifetime', () => {
  test('an entry that nobody holds goes after 10 s, and its way with it', () => {
    const parts = createSimple()
    const { tunnels, dpif, neighbours } = parts
    const { id } = entryTo(tunnels, '192.0.2.9')
    tunnels.hold(id)
    tunnels.hold(id)
    pass(parts, 60_000)
    tunnels.release(id)
    pass(parts, 60_000)
    expect(tunnels.entry(id)).toBeDefined()
    tunnels.release(id)
    pass(parts, 9_990)
    expect(tunnels.entry(id)).toBeDefined()
    pass(parts, 20)
    expect(tunnels.entry(id)).toBeUndefined()
    expect(dpif.log.at(-1)).toBe(`del ${id}`)
    expect(tunnels.counters()).toMatchObject({ entries: 0, ways: 0, nextHops: 0 })
    expect(neighbours.alive.size).toBe(0)
  })

  test('what is asked for or carries packets stays', () => {
    const parts = createSimple()
    const { tunnels } = parts
    const a = tunnels.encap(specTo('192.0.2.1'), true)
    const b = tunnels.encap(specTo('192.0.2.2'), true)
    const c = tunnels.encap(specTo('192.0.2.3'), true)
    for (let i = 0; i < 4; i++) {
      pass(parts, 6000)
      tunnels.encap(specTo('192.0.2.1'), true)
      tunnels.credit(b, 1, 100, parts.clock.now())
    }
    expect([a, b, c].map((id) => tunnels.entry(id) !== undefined)).toEqual([true, true, false])
  })

  test('ids are not used again soon', () => {
    const parts = createSimple()
    const a = parts.tunnels.encap(specTo('192.0.2.1'), true)
    pass(parts, 11_000)
    expect(parts.tunnels.encap(specTo('192.0.2.1'), true)).not.toBe(a)
  })

  test('a spec that lasts is known again, and after its entry has gone gets another one', () => {
    const parts = createSimple()
    const { tunnels } = parts
    const spec = specTo('192.0.2.1', { lasting: true })
    const a = tunnels.encap(spec, true)
    expect(tunnels.encap(spec, true)).toBe(a)
    expect(tunnels.encap(specTo('192.0.2.1'), true)).toBe(a)
    pass(parts, 11_000)
    expect(tunnels.entry(a)).toBeUndefined()
    const b = tunnels.encap(spec, true)
    expect(b).not.toBe(a)
    expect(tunnels.entry(b)!.peer).toEqual(ip('192.0.2.1'))
    expect(tunnels.encap(spec, true)).toBe(b)
  })

  test('asking for a spec that lasts keeps its entry, and asks for a neighbour anew', () => {
    const parts = createSimple()
    const { tunnels, neighbours } = parts
    const spec = specTo('10.0.2.7', { lasting: true })
    const a = tunnels.encap(spec, false)
    expect(neighbours.resolved).toEqual([])
    for (let i = 0; i < 4; i++) {
      tunnels.encap(spec, false)
      pass(parts, 6000)
    }
    expect(tunnels.encap(spec, true)).toBe(a)
    expect(neighbours.resolved).toEqual(['10.0.2.7@2'])
  })

  test('next hops are kept alive while an entry is held', () => {
    const { tunnels, neighbours, fib, scheduler } = createSimple()
    const { id } = entryTo(tunnels, '192.0.2.9')
    expect(neighbours.alive.size).toBe(0)
    tunnels.hold(id)
    expect([...neighbours.alive]).toEqual(['10.0.2.254@2'])
    fib.set('192.0.2.0/24', { members: [{ oif: 2, weight: 1, via: ip('10.0.2.253') }] })
    scheduler.run()
    expect([...neighbours.alive]).toEqual(['10.0.2.253@2'])
    // Flows depend on it: nobody waits for a packet to ask for it.
    expect(neighbours.resolved).toEqual(['10.0.2.253@2'])
    tunnels.release(id)
    expect(neighbours.alive.size).toBe(0)
  })

  test('a trace asks nobody; the flow that follows does', () => {
    const { tunnels, neighbours } = createSimple()
    const id = tunnels.encap(specTo('10.0.2.7'), false)
    expect(tunnels.entry(id)).toMatchObject({ state: 'pending' })
    expect(neighbours.resolved).toEqual([])
    tunnels.hold(id)
    expect(neighbours.resolved).toEqual(['10.0.2.7@2'])
  })

  test('misuse is told at once', () => {
    const { tunnels } = createSimple()
    const { id } = entryTo(tunnels, '192.0.2.9')
    expect(() => tunnels.release(id)).toThrow('more often')
    expect(() => tunnels.hold(99)).toThrow('no encap entry 99')
    expect(() => tunnels.unwatch(ip('10.0.0.1'), undefined)).toThrow('not watched')
    tunnels.credit(99, 1, 1, 1)
  })

  test('credits go to the underlay with the outer header', () => {
    const { tunnels, translator } = createSimple()
    const { id } = entryTo(tunnels, '192.0.2.9')
    tunnels.credit(id, 10, 1000, 5)
    tunnels.credit(id, 0, 0, 5)
    expect(translator.credits).toEqual([{ port: 2, packets: 10, bytes: 1500 }])
  })
})

describe('a translation that comes back with a packet of its own', () => {
  test('finds an entry that is looked up later, and no recursion', () => {
    const { tunnels, translator, scheduler } = createSimple()
    let inner = -1
    translator.during = () => {
      translator.during = () => {}
      inner = tunnels.encap(specTo('192.0.2.77'), true)
    }
    entryTo(tunnels, '192.0.2.9')
    expect(tunnels.entry(inner)).toMatchObject({ state: 'pending', detail: 'not looked up yet' })
    scheduler.run()
    expect(tunnels.entry(inner)).toMatchObject({ state: 'ready' })
  })
})

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
