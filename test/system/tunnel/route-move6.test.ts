import { afterAll, beforeAll, it } from 'vitest'
import { needKernel } from '../kit/kernel.ts'
import { type Dual, greet, route, startDual, type Way } from './dual.ts'
import { OTHER, OWN, underTraffic } from './moves.ts'

/** As route-move.test.ts, over an underlay of IPv6. */

let dual: Dual
beforeAll(async () => {
  dual = await startDual({ version: 6, datapath: { 'max-idle': 120_000 } })
  await greet(dual)
  await route(dual, 'replace', '::/0', ['p0'])
}, 60_000)
afterAll(() => dual?.bed.close())

it('over IPv6, under 5,000 packets a second both ways, none is lost and tier 1 is not asked when a /128, the default route, and a multipath route move', async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  const to =
    (verb: 'add' | 'replace' | 'del', prefix: string, ...ways: Way[]) =>
    () =>
      route(dual, verb, prefix, ways)
  await underTraffic(dual, [
    [to('add', '{}', 'p1'), 'offloaded', OWN],
    [to('replace', '{}', 'p2'), OTHER, OWN],
    [to('replace', '{}', 'p1'), 'offloaded', OWN],
    [to('del', '{}', 'p1'), 'offloaded', OWN],
    [to('replace', '::/0', 'p1'), 'offloaded', OWN],
    [to('replace', '::/0', 'p2'), OTHER, OWN],
    [to('replace', '::/0', 'p0'), 'offloaded', OWN],
    [to('add', '{}', 'p0', 'p1'), 'offloaded', OWN],
    [to('replace', '{}', 'p2'), OTHER, OWN],
    [to('replace', '{}', 'p1', 'p0'), 'offloaded', OWN],
  ])
})
