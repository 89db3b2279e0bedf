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
      mtu: fc.constantFrom(1400, 1500, 1549, 1550, 1600),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('kill' as const), nic: fc.constantFrom('nic0', 'nic1') }) },
)

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** By tier 3 or not, what left: as captured, and lost, by reason. Each change is followed by traffic of every flow; `uplinks`: by which that of each peer comes. */
const play = async (
  steps: readonly (readonly [Step, readonly number[]])[],
  offload: boolean,
): Promise<[object, object]> => {
  const nics = await Nics.open({ offload, peers: 3, flows: 2 })
  nics.mtus.set(VF0, 1500)
  for (const port of UPLINKS) nics.mtus.set(port, 1600)
  let n = 0
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

test('offload on and off: the same frames by port and flow, the same losses', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(step, fc.tuple(uplink, uplink, uplink)), { minLength: 3, maxLength: 8, size: 'max' }),
      async (steps) => {
        expect(await play(steps, true)).toEqual(await play(steps, false))
      },
    ),
    { numRuns: 6 },
  )
}, 60_000)
