import { describe, expect, test } from 'vitest'
import {
  LOST_FLOW_DROP,
  LOST_NEIGHBOUR_FAILED,
  LOST_NO_ROUTE,
  LOST_TRANSLATION,
  LOST_TUNNEL_LOOP,
} from '../../../src/flow/execute.ts'
import { K_DL_TYPE, K_ETH, K_IN_PORT, K_NW, K_NW_DST, K_NW_SRC, K_TP, K_VLAN0 } from '../../../src/flow/key.ts'
import { createSimple, entryTo, hex, ip, mac, pass, specTo } from './fakes.ts'

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
