/** The golden rule for tunnels, at random: whatever routes, next hops and MTUs do between the packets, offload changes nothing about what leaves where. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Nics, P0, P1, P2, UPLINKS, VF0 } from './nics.ts'

const peer = fc.integer({ min: 1, max: 3 })
const uplink = fc.constantFrom(P0, P0, P1, P2)
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('route' as const),
      peer,
      by: fc.constantFrom([1], [2], [3], [1, 2], [1, 3], []),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('know' as const),
      peer,
      answer: fc.constantFrom(77, 78, 'failed' as const, 'pending' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('mtu' as const),
      port: fc.constantFrom(VF0, P0, P1),
      mtu: fc.constantFrom(1400, 1500, 1549, 1550, 1569, 1570, 1600),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('kill' as const), nic: fc.constantFrom('nic0', 'nic1') }) },
)

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** By tier 3 or not, what left: as captured, and lost, by reason. Each change is followed by traffic of every flow; `uplinks`: by which that of each peer comes. */
const play = async (
  steps: readonly (readonly [Step, readonly number[]])[],
  offload: boolean,
  version: 4 | 6,
): Promise<[object, object]> => {
  const nics = await Nics.open({ offload, version, peers: 3, flows: 2 })
  nics.mtus.set(VF0, 1500)
  for (const port of UPLINKS) nics.mtus.set(port, 1600)
  nics.send(1, 0, 0)
  nics.receive(1, 0, 0)
  await nics.rest()
  // Both ways it works, by the NIC if it may.
  expect([nics.left(P0, 1, 0), nics.left(VF0, 1, 0)]).toEqual([[0], [0]])
  const all = offload ? { 'offloaded nic0': 1 } : { policy: 1 }
  expect([nics.verdicts('encap', 1), nics.verdicts('decap', 1)]).toEqual([all, all])
  let n = 1
  for (const [s, uplinks] of steps) {
    if (s.do === 'route') nics.route(s.peer, ...s.by)
    else if (s.do === 'know') nics.know(s.peer, s.answer)
    else if (s.do === 'kill') {
      nics.world.kill(s.nic)
      await nics.rest(1000)
    } else {
      nics.mtus.set(s.port, s.mtu)
      nics.offload.mtuChanged(s.port)
    }
    await nics.rest()
    for (let round = 0; round < 3; round++, n++) {
      for (const [i, uplink] of uplinks.entries())
        for (const flow of [0, 1]) {
          nics.send(i + 1, flow, n)
          nics.receive(i + 1, flow, n, uplink)
        }
      await nics.step()
    }
    await nics.rest()
  }
  // What still waits for a next hop is given up.
  await nics.rest(1000)
  const result: [object, object] = [Object.fromEntries(nics.capture()), nics.drops()]
  await nics.close()
  return result
}

test.each([4, 6] as const)(
  'over IPv%s, offload on and off: the same frames by port and flow, the same losses',
  async (version) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(step, fc.tuple(uplink, uplink, uplink)), { minLength: 3, maxLength: 8, size: 'max' }),
        async (steps) => {
          expect(await play(steps, true, version)).toEqual(await play(steps, false, version))
        },
      ),
      { numRuns: 6 },
    )
  },
  60_000,
)
