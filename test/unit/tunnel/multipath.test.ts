import { describe, expect, test } from 'vitest'
import { wayHash } from '../../../src/tunnel/way-look.ts'
import { createSimple, entryTo, ip } from './fakes.ts'

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
