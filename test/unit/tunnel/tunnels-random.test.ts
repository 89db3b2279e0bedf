/**
 * Whatever happens in whatever order, and however little of it has been worked off when the next thing happens: in the end all is as a fresh layer finds it, tier 2
 * has what the layer shows, and who goes by `moved` alone knows every ingress.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EncapEntry } from '../../../src/flow/encap.ts'
import type { EncapSpec, IngressResult } from '../../../src/tunnel/contract.ts'
import type { FibMember } from '../../../src/tunnel/fib-contract.ts'
import { createTunnels, createWorld, FakeDpif, FakeObserver, ip, mac, pass, specTo, type World } from './fakes.ts'

const PEERS = ['192.0.2.1', '192.0.2.2', '192.0.3.1', '10.0.2.7', '2001:db8::1', '2001:db8:1::1']
const PREFIXES = ['0.0.0.0/0', '192.0.2.0/24', '192.0.2.1/32', '10.0.2.0/24', '::/0', '2001:db8::/48']
const LOCALS = ['10.0.2.1', '10.0.3.1', '2001:db8:2::1']
const GATEWAYS = ['10.0.2.254', '10.0.2.253', 'fe80::1']
const OIFS = [2, 3, 4]

const small = (max: number): fc.Arbitrary<number> => fc.nat({ max })
const one = <T>(items: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...items)
const isSix = (text: string): boolean => text.includes(':')

const member = fc
  .record({ oif: one(OIFS), weight: fc.constant(1), gateway: one([...GATEWAYS, undefined]) })
  .map(({ oif, weight, gateway }): FibMember => ({ oif, weight, ...(gateway ? { via: ip(gateway) } : {}) }))
const route = fc.oneof(
  { weight: 1, arbitrary: one(['unreachable', 'blackhole', undefined] as const) },
  {
    weight: 4,
    arbitrary: fc
      .record({
        members: fc.array(member, { minLength: 1, maxLength: 3 }),
        alternatives: fc.option(fc.array(member, { minLength: 1, maxLength: 2 }), { nil: undefined }),
        mtu: one([undefined, 1400, 9000]),
      })
      .map(({ members, alternatives, mtu }) => ({
        members,
        ...(alternatives ? { alternatives } : {}),
        ...(mtu === undefined ? {} : { mtu }),
      })),
  },
)
const pair = fc
  .record({ peer: one(PEERS), local: one([undefined, ...LOCALS]) })
  .map(({ peer, local }) => ({ peer, local: local && isSix(local) === isSix(peer) ? local : undefined }))
const spec = fc
  .record({ pair, vni: small(2), tos: one([0, 'inherit'] as const), dstPort: one([4789, 8472]) })
  .map(
    ({ pair: { peer, local }, vni, tos, dstPort }): EncapSpec =>
      specTo(peer, { vni, tos, dstPort, ...(local ? { local: ip(local) } : {}) }),
  )

const action = fc.oneof(
  fc.record({ do: fc.constant('route' as const), prefix: one(PREFIXES), route }),
  fc.record({
    do: fc.constant('neighbour' as const),
    oif: one(OIFS),
    address: one([...GATEWAYS, ...PEERS]),
    answer: one([1, 2, 3, 4, 5, 'failed', 'pending', 'none'] as const),
  }),
  fc.record({
    do: fc.constant('port' as const),
    oif: one(OIFS),
    change: one([
      undefined,
      {},
      {},
      { up: false },
      { up: true },
      { up: true },
      { mtu: 1300 },
      { mtu: 9000 },
      { dpPort: 9 },
      { mac: mac(42) },
    ]),
  }),
  fc.record({
    do: fc.constant('bridge' as const),
    dpPort: one([2, 3, 4, 9]),
    way: one([
      {},
      {},
      {},
      { ambiguous: true },
      { actions: [], dropped: 'tunnel-loop' },
      { actions: [] },
      { actions: [{ type: 'output' as const, port: 77 }] },
      { vlan: 0x81001005 | 0 },
    ]),
  }),
  fc.record({
    do: fc.constant('address' as const),
    oif: one(OIFS),
    addresses: fc.uniqueArray(one(LOCALS), { maxLength: 2 }),
  }),
  fc.record({ do: fc.constant('rules' as const) }),
  fc.record({ do: fc.constant('lost' as const), prefix: one(PREFIXES), route }),
  fc.record({ do: fc.constant('tunnelPort' as const), dpPort: one([undefined, 1000, 1001]) }),
  fc.record({ do: fc.constant('encap' as const), spec, resolve: fc.boolean(), hold: fc.boolean() }),
  fc.record({ do: fc.constant('release' as const), which: small(9) }),
  fc.record({ do: fc.constant('watch' as const), pair }),
  fc.record({ do: fc.constant('unwatch' as const), which: small(9) }),
  fc.record({ do: fc.constant('step' as const), pieces: small(3) }),
  fc.record({ do: fc.constant('pass' as const), ms: one([1, 4000, 11_000]) }),
)

type Action = typeof action extends fc.Arbitrary<infer T> ? T : never

/** What tier 2 is told, but for numbers that are the layer's own. */
const essence = ({ id: _id, nextHop: _nextHop, generation: _generation, ...rest }: EncapEntry): object => rest
const LOCAL_4 = ip('10.0.2.1')
const LOCAL_6 = ip('2001:db8:2::1')

const run = (actions: readonly Action[]): void => {
  const world: World = createWorld()
  const { fib, neighbours, ports, translator, dpif, scheduler, tunnelPorts } = world
  // Most things are well, or the first refusal would hide all that comes behind it.
  for (const oif of OIFS) {
    ports.set(oif, {})
    for (const address of [...GATEWAYS, ...PEERS]) neighbours.set(oif, address, oif)
  }
  fib.setAddresses(2, '10.0.2.1', '2001:db8:2::1')
  fib.setAddresses(3, '10.0.3.1')
  fib.set('0.0.0.0/0', { members: [{ oif: 2, weight: 1, via: ip('10.0.2.254') }] })
  fib.set('::/0', { members: [{ oif: 2, weight: 1, via: ip('fe80::1') }] })
  // Work costs time, so that slices end in the middle of it.
  translator.during = () => scheduler.spend(0.7)
  translator.telling = true
  const tunnels = createTunnels(world)
  const specs = new Map<number, EncapSpec>()
  const held: number[] = []
  const watched: { readonly peer: Uint8Array; readonly local: Uint8Array | undefined }[] = []
  const known = new Map<string, IngressResult>()
  const observer = new FakeObserver()
  tunnels.observe(observer)
  const keyOf = (peer: Uint8Array, local: Uint8Array | undefined): string => `${peer} ${local}`
  const ask = (peer: Uint8Array, local: Uint8Array | undefined): IngressResult =>
    tunnels.ingress(peer, local ?? (peer.length === 4 ? LOCAL_4 : LOCAL_6), 8472)
  observer.onMoved = (peer, local) => {
    if (known.has(keyOf(peer, local))) known.set(keyOf(peer, local), ask(peer, local))
  }
  for (const step of actions) {
    switch (step.do) {
      case 'route':
        fib.set(step.prefix, step.route)
        break
      case 'neighbour':
        neighbours.set(step.oif, step.address, step.answer)
        break
      case 'port':
        ports.set(step.oif, step.change)
        break
      case 'bridge':
        translator.uplinks.set(step.dpPort, step.way)
        tunnels.revalidate()
        break
      case 'address':
        fib.setAddresses(step.oif, ...step.addresses)
        break
      case 'lost':
        if (step.route === undefined) fib.routes.delete(step.prefix)
        else fib.routes.set(step.prefix, step.route)
        fib.tell({ kind: 'resync' })
        break
      case 'rules':
        fib.tell({ kind: 'rules' })
        break
      case 'tunnelPort':
        tunnelPorts.setDpPort(4789, step.dpPort)
        tunnels.revalidate()
        break
      case 'encap': {
        const id = tunnels.encap(step.spec, step.resolve)
        specs.set(id, step.spec)
        if (!step.hold) break
        tunnels.hold(id)
        held.push(id)
        break
      }
      case 'release': {
        const [id] = held.splice(step.which, 1)
        if (id !== undefined) tunnels.release(id)
        break
      }
      case 'watch': {
        const peer = ip(step.pair.peer)
        const local = step.pair.local ? ip(step.pair.local) : undefined
        tunnels.watch(peer, local)
        watched.push({ peer, local })
        known.set(keyOf(peer, local), ask(peer, local))
        break
      }
      case 'unwatch': {
        const [gone] = watched.splice(step.which, 1)
        if (!gone) break
        tunnels.unwatch(gone.peer, gone.local)
        const key = keyOf(gone.peer, gone.local)
        if (!watched.some((other) => keyOf(other.peer, other.local) === key)) known.delete(key)
        break
      }
      case 'step':
        for (let i = 0; i < step.pieces; i++) scheduler.step()
        break
      case 'pass':
        pass(world, step.ms)
    }
  }
  scheduler.run()
  const present = [...tunnels.entries()]
  expect(new Set(held)).toEqual(new Set(present.filter(({ holds }) => holds > 0).map(({ entry }) => entry.id)))
  expect([...dpif.entries.values()].sort((a, b) => a.id - b.id)).toEqual(
    present.map(({ entry }) => entry).sort((a, b) => a.id - b.id),
  )
  const fresh = createTunnels(world, { dpif: new FakeDpif() })
  for (const { entry } of present) {
    const twin = fresh.entry(fresh.encap(specs.get(entry.id)!, false))!
    expect(essence(entry)).toEqual(essence(twin))
  }
  for (const { peer, local } of watched) {
    const answer = ask(peer, local)
    expect(answer).toEqual(fresh.ingress(peer, local ?? (peer.length === 4 ? LOCAL_4 : LOCAL_6), 8472))
    expect(known.get(keyOf(peer, local))).toEqual(answer)
  }
  const alive = new Set(neighbours.alive)
  fresh.close()
  for (const id of held) tunnels.release(id)
  for (const { peer, local } of watched) tunnels.unwatch(peer, local)
  pass(world, 30_000)
  expect(tunnels.counters()).toMatchObject({ entries: 0, ways: 0, watches: 0, nextHops: 0 })
  expect(dpif.entries.size).toBe(0)
  expect(neighbours.alive.size).toBe(0)
  if (held.length === 0 && watched.length === 0) expect(alive.size).toBe(0)
}

test('after any sequence of events all is as a fresh layer finds it', () => {
  fc.assert(fc.property(fc.array(action, { minLength: 10, maxLength: 60 }), run), { numRuns: 250 })
}, 60_000)
