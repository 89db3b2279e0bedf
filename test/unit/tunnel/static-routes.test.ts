import { describe, expect, it, test } from 'vitest'
import type { FibChange, FibFound } from '../../../src/tunnel/fib-contract.ts'
import type { OwnPort } from '../../../src/tunnel/own-port.ts'
import { type KernelRoutes, StaticRoutes, type UserRoute } from '../../../src/tunnel/static-routes.ts'
import { FakeFib, ip, mac } from './fakes.ts'

const prefix = (text: string): { dst: Uint8Array; length: number } => {
  const [address, bits] = text.split('/')
  return { dst: ip(address!), length: Number(bits) }
}

/** The kernel has br2 (10.0.2.1/24, fd02::1/64) with a default route; br-own (10.9.0.1/24, fd09::1/64) is ours alone. */
const create = () => {
  const fib = new FakeFib()
  const kernelAddresses = new Map([
    [
      2,
      [
        { bytes: ip('10.0.2.1'), prefixLength: 24, flags: 0 },
        { bytes: ip('fd02::1'), prefixLength: 64, flags: 0 },
      ],
    ],
  ])
  const kernel: KernelRoutes = {
    lookup: (query) => fib.lookup(query),
    on: (listener) => fib.on(listener),
    addresses: kernelAddresses,
  }
  fib.setAddresses(2, '10.0.2.1', 'fd02::1')
  fib.set('10.0.2.0/24', { members: [{ oif: 2, weight: 1 }] })
  fib.set('fd02::/64', { members: [{ oif: 2, weight: 1 }] })
  fib.set('0.0.0.0/0', { members: [{ oif: 2, weight: 1, via: ip('10.0.2.254') }] })
  const own: OwnPort = {
    name: 'br-own',
    ifindex: -7,
    dpPort: 7,
    mac: mac(1),
    addresses: [
      { bytes: ip('10.9.0.1'), prefixLength: 24 },
      { bytes: ip('fd09::1'), prefixLength: 64 },
    ],
  }
  let ports: readonly OwnPort[] = [own]
  const bridges = new Map([
    ['br2', 2],
    ['br-own', -7],
  ])
  const routes = new StaticRoutes({ kernel, own: () => ports, ifindexOf: (name) => bridges.get(name) })
  const changes: FibChange[] = []
  routes.on((change) => changes.push(change))
  const add = (text: string, bridge: string, more: Partial<UserRoute> = {}): void =>
    routes.add({ ...prefix(text), bridge, mark: 0, ...more })
  const found = (dst: string, more: object = {}): Partial<FibFound> | string => {
    const answer = routes.lookup({ dst: ip(dst), ...more })
    if (answer.type === 'none') return answer.why
    const { oif, via, src, prefix: by } = answer
    return { oif, ...(via ? { via } : {}), ...(src ? { src } : {}), prefix: by }
  }
  return {
    fib,
    routes,
    changes,
    add,
    found,
    bridges,
    own,
    setPorts: (now: readonly OwnPort[]) => {
      ports = now
    },
  }
}

describe('a bridge without a stack', () => {
  it('has its connected prefixes, with their addresses as sources', () => {
    const { found } = create()
    expect(found('10.9.0.77')).toMatchObject({ oif: -7, src: ip('10.9.0.1'), prefix: { length: 24 } })
    expect(found('fd09::77')).toMatchObject({ oif: -7, src: ip('fd09::1') })
    expect(found('10.9.0.77')).not.toHaveProperty('via')
    expect(found('10.8.0.1')).toMatchObject({ oif: 2 })
  })

  it('has its addresses, which are ours and lead nowhere', () => {
    const { routes } = create()
    expect(routes.lookup({ dst: ip('10.9.0.1') })).toMatchObject({ type: 'found', routeType: 'local' })
    expect([...routes.addresses.keys()]).toEqual([2, -7])
    expect(routes.addresses.get(-7)).toMatchObject([{ flags: 0 }, { flags: 0 }])
  })

  it('gives way to a longer route of the kernel, not to an equal one', () => {
    const { fib, found } = create()
    fib.set('10.9.0.0/24', { members: [{ oif: 2, weight: 1 }] })
    expect(found('10.9.0.77')).toMatchObject({ oif: -7 })
    fib.set('10.9.0.77/32', { members: [{ oif: 2, weight: 1 }] })
    expect(found('10.9.0.77')).toMatchObject({ oif: 2 })
    expect(found('10.9.0.78')).toMatchObject({ oif: -7 })
  })

  it('sends from its address by the kernel too, and the host from its own by us; nobody from what is not ours', () => {
    const { found, fib, routes } = create()
    expect(found('10.8.0.1', { src: ip('10.9.0.1') })).toMatchObject({ oif: 2, src: ip('10.9.0.1') })
    expect(found('10.9.0.77', { src: ip('10.0.2.1') })).toMatchObject({ oif: -7, src: ip('10.0.2.1') })
    expect(found('10.9.0.77', { src: ip('1.2.3.4') })).toBe('not-local')
    fib.set('10.8.0.0/16', {
      members: [
        { oif: 2, weight: 1 },
        { oif: 2, weight: 1, via: ip('10.0.2.9') },
      ],
    })
    const answer = routes.lookup({ dst: ip('10.8.0.1'), src: ip('10.9.0.1') })
    expect(answer).toMatchObject({ multipath: [{ src: ip('10.9.0.1') }, { src: ip('10.9.0.1') }] })
  })

  it('is told of when it comes, goes, or has other addresses', () => {
    const { routes, changes, own, setPorts } = create()
    routes.portsChanged()
    changes.length = 0
    routes.portsChanged()
    expect(changes).toEqual([])
    setPorts([{ ...own, addresses: own.addresses.slice(1) }])
    routes.portsChanged()
    setPorts([])
    routes.portsChanged()
    expect(changes).toEqual([{ kind: 'resync' }, { kind: 'resync' }])
  })
})

describe('a route of the user', () => {
  it('wins over the kernel in IPv4, whatever the prefix, and is told of by its prefix', () => {
    const { add, found, routes, changes } = create()
    changes.length = 0
    add('10.0.0.0/8', 'br-own', { via: ip('10.9.0.254') })
    expect(found('10.0.2.9')).toMatchObject({ oif: -7, via: ip('10.9.0.254'), src: ip('10.9.0.1') })
    add('0.0.0.0/0', 'br2', { via: ip('10.0.2.9') })
    expect(found('8.8.8.8')).toMatchObject({ oif: 2, via: ip('10.0.2.9'), src: ip('10.0.2.1') })
    expect(routes.delete(ip('10.1.2.3'), 8, 0)).toBe(true)
    expect(routes.delete(ip('10.0.0.0'), 8, 0)).toBe(false)
    expect(found('10.0.2.9')).toMatchObject({ via: ip('10.0.2.9') })
    expect(changes).toMatchObject([
      { kind: 'route', family: 4, bytes: ip('10.0.0.0'), length: 8 },
      { kind: 'route', family: 4, bytes: ip('0.0.0.0'), length: 0 },
      { kind: 'route', family: 4, bytes: ip('10.0.0.0'), length: 8 },
    ])
  })

  it('wins in IPv6 over those that are at most 32 bits longer', () => {
    const { add, found } = create()
    add('fd00::/8', 'br-own', { via: ip('fd09::fe') })
    expect(found('fd02::9')).toMatchObject({ oif: 2 })
    add('fd02::/32', 'br-own', { via: ip('fd09::fe') })
    expect(found('fd02::9')).toMatchObject({ oif: -7 })
  })

  it('does not win over what is for the host itself', () => {
    const { add, fib, routes } = create()
    fib.set('10.0.2.1/32', { members: [{ oif: 1, weight: 1 }], type: 'local' })
    add('10.0.2.1/32', 'br-own', { via: ip('10.9.0.254') })
    add('10.9.0.1/32', 'br2', { via: ip('10.0.2.254') })
    expect(routes.lookup({ dst: ip('10.0.2.1') })).toMatchObject({ routeType: 'local' })
    expect(routes.lookup({ dst: ip('10.9.0.1') })).toMatchObject({ routeType: 'local' })
  })

  it('leads on where the kernel refuses', () => {
    const { add, fib, found } = create()
    fib.set('172.16.0.0/12', 'blackhole')
    expect(found('172.16.0.1')).toBe('blackhole')
    add('172.16.0.0/16', 'br-own', { via: ip('10.9.0.254') })
    expect(found('172.16.0.1')).toMatchObject({ oif: -7 })
  })

  it('with a mark is for packets with that mark, without one for those without', () => {
    const { add, found } = create()
    add('9.0.0.0/8', 'br-own', { via: ip('10.9.0.254'), mark: 5 })
    expect(found('9.1.1.1')).toMatchObject({ oif: 2 })
    expect(found('9.1.1.1', { mark: 5 })).toMatchObject({ oif: -7 })
    expect(found('9.1.1.1', { mark: 6 })).toMatchObject({ oif: 2 })
  })

  it('the longest wins; the same prefix again replaces', () => {
    const { add, found, routes } = create()
    add('9.0.0.0/8', 'br-own', { via: ip('10.9.0.8') })
    add('9.1.0.0/16', 'br-own', { via: ip('10.9.0.16') })
    add('9.1.2.3/16', 'br-own', { via: ip('10.9.0.17') })
    expect(found('9.1.1.1')).toMatchObject({ via: ip('10.9.0.17') })
    expect(found('9.2.1.1')).toMatchObject({ via: ip('10.9.0.8') })
    expect([...routes.user()].length).toBe(2)
  })

  it('takes the source that it names, else one of the destination or the next hop', () => {
    const { add, found, routes } = create()
    add('9.0.0.0/8', 'br-own', { via: ip('10.9.0.8'), src: ip('10.9.0.1') })
    expect(found('9.1.1.1')).toMatchObject({ src: ip('10.9.0.1') })
    expect(routes.sourceOf([...routes.user()][0]!)).toEqual(ip('10.9.0.1'))
    expect(() => add('9.0.0.0/8', 'br-own', { src: ip('10.9.0.2') })).toThrow(/no such address/)
  })

  it('is refused without a bridge, or an address to send from; passed by while the bridge is gone', () => {
    const { add, found, bridges, routes, changes } = create()
    expect(() => add('9.0.0.0/8', 'br9')).toThrow(/br9: the name of a bridge/)
    bridges.set('br3', 3)
    expect(() => add('9.0.0.0/8', 'br3')).toThrow(/no address to send to 9.0.0.0 from/)
    add('9.0.0.0/8', 'br-own')
    routes.portsChanged()
    changes.length = 0
    bridges.delete('br-own')
    routes.portsChanged()
    expect(found('9.1.1.1')).toMatchObject({ oif: 2 })
    expect(changes).toEqual([{ kind: 'resync' }])
    bridges.set('br-own', -8)
    routes.portsChanged()
    expect(found('9.1.1.1')).toMatchObject({ oif: -8 })
  })

  it('is not for what is bound to a link', () => {
    const { add, found } = create()
    add('0.0.0.0/0', 'br-own', { via: ip('10.9.0.254') })
    expect(found('8.8.8.8', { oif: 2 })).toMatchObject({ oif: 2 })
  })
})

test('without either, the kernel is asked as it is', () => {
  const { routes, setPorts, fib } = create()
  setPorts([])
  const query = { dst: ip('10.0.2.9'), src: ip('1.2.3.4') }
  expect(routes.lookup(query)).toEqual(fib.lookup(query))
})
