/** The offload module over the real tiers 2 and 3 in one thread, with traffic: what its decisions do to frames. */
import { afterEach, describe, expect, test } from 'vitest'
import type { FlowStats } from '../../../src/datapath/contract.ts'
import type { Profile } from '../../../src/eswitch/profile.ts'
import { loadProfile } from '../../../src/eswitch/profile-file.ts'
import { K_IN_PORT, K_TP } from '../../../src/flow/key.ts'
import { OffloadModule } from '../../../src/offload/module.ts'
import { RoundScheduler } from '../../unit/offload/fakes.ts'
import { flowMatch, keyOf, output } from '../tiers/flows.ts'
import { numbered, range } from '../tiers/frames.ts'
import { World } from '../tiers/harness.ts'
import { withProfile } from './with-profile.ts'

let world: World
let module: OffloadModule
let scheduler: RoundScheduler
let upcalls: number
/** Frames sent so far, by flow. */
let sent: number[]

/** nic0: vf0 1, vf1 2. Port 9 is on no NIC. Frames from 1 go to 2; a flow for each source port. */
const open = async (profile: Profile, tableSize = profile.tableSize): Promise<void> => {
  world = new World({ eswitches: { nic0: tableSize } })
  scheduler = new RoundScheduler(world.clock)
  await world.start()
  await world.addVf(1, 'vf0', 'nic0')
  await world.addVf(2, 'vf1', 'nic0')
  await world.addPort(9, 'tap9')
  module = new OffloadModule(world.dpif, {
    clock: world.clock,
    scheduler,
    eswitches: [withProfile(world.eswitch('nic0'), profile)],
  })
  upcalls = 0
  sent = []
  module.onUpcall((slot) => {
    upcalls++
    const key = keyOf(world.dpif, slot)
    const flow = (key[K_TP]! >>> 16) - 1000
    put(flow, key[K_IN_PORT]!, 2)
    module.upcallDone(slot, output(2))
  })
}

const ids = new Map<number, number>()

const put = (flow: number, from: number, to: number, id = module.flowNew()): number => {
  ids.set(flow, id)
  const ufid = `00000000-0000-0000-0000-${id.toString(16).padStart(12, '0')}`
  module.flowPut({ id, ufid, match: flowMatch(from, flow), actions: output(to) })
  return id
}

const send = (flow: number, count: number): void => {
  for (let i = 0; i < count; i++) {
    const n = sent[flow] ?? 0
    world.port(1).inject(numbered(flow, n))
    sent[flow] = n + 1
  }
}

const rest = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) {
    await world.settle()
    scheduler.drain()
  }
}

const packets = (flow: number): number => {
  const out: FlowStats = { packets: 0, bytes: 0, used: 0, tcpFlags: 0 }
  expect(module.flowStats(ids.get(flow)!, out)).toBe(true)
  return out.packets
}

const state = (flow: number): string => {
  const verdict = module.verdict(ids.get(flow)!)!
  return verdict.state === 'offloaded' ? 'offloaded' : verdict.check
}

afterEach(async () => {
  module.close()
  await rest()
  expect(world.missingSlots()).toEqual({})
  ids.clear()
})

describe('offloaded', () => {
  test('one upcall, then tier 3 alone: the datapath stands still, statistics are of both', async () => {
    await open(loadProfile('default'), 64)
    send(0, 5)
    await rest()
    expect([state(0), module.active(ids.get(0)!)]).toEqual(['offloaded', true])
    const before = world.frames()
    send(0, 200)
    await rest()
    expect([upcalls, world.frames() - before]).toEqual([1, 0])
    expect(world.sent(2, 0)).toEqual(range(0, 205))
    // The packet of the upcall itself was answered by tier 1.
    expect(packets(0)).toBe(204)
  })

  test('off and on again under traffic: nothing lost, nothing out of order', async () => {
    await open(loadProfile('default'), 64)
    send(0, 5)
    for (let round = 0; round < 6; round++) {
      module.setPolicy({ enabled: round % 2 === 1 })
      for (let i = 0; i < 10; i++) {
        send(0, 7)
        world.step()
        scheduler.step()
      }
    }
    await rest()
    expect(world.sent(2, 0)).toEqual(range(0, sent[0]!))
    expect(packets(0)).toBe(sent[0]! - 1)
    expect(state(0)).toBe('offloaded')
  })

  test('a flow that moves to a port on no NIC goes there by tier 2, in order', async () => {
    await open(loadProfile('default'), 64)
    send(0, 20)
    await rest()
    put(0, 1, 9, ids.get(0)!)
    await rest()
    send(0, 20)
    await rest()
    expect(state(0)).toBe('switch-id')
    expect(world.sent(2, 0)).toEqual(range(0, 20))
    expect(world.sent(9, 0)).toEqual(range(0, 40).slice(20))
  })
})

describe('a small table', () => {
  test('evictions and rebalancing under traffic lose nothing', async () => {
    await open(loadProfile('tiny'))
    const flows = 24
    for (let round = 0; round < 12; round++) {
      // Half of the flows are busy, another half each three rounds.
      for (let flow = 0; flow < flows; flow++) send(flow, (flow + (round >> 2)) % 2 === 0 ? 9 : 1)
      for (let i = 0; i < 5; i++) world.step()
      scheduler.advance(1000)
    }
    await rest()
    for (let flow = 0; flow < flows; flow++) {
      expect(world.sent(2, flow)).toEqual(range(0, sent[flow]!))
      expect(packets(flow)).toBe(sent[flow]! - 1)
    }
    const { eswitches, offloaded } = module.summary()
    expect(offloaded).toBe(16)
    expect(eswitches[0]!.rules).toBe(16)
    expect(eswitches[0]!.evictions).toBeGreaterThan(0)
    expect(upcalls).toBe(flows)
  })
})

describe('worker loss', () => {
  test('tier 2 takes over, then the flows are offered again; statistics go on', async () => {
    await open(loadProfile('default'), 64)
    send(0, 50)
    await rest()
    expect(state(0)).toBe('offloaded')
    const counted = packets(0)
    world.kill('nic0')
    expect(module.verdict(ids.get(0)!)).toMatchObject({ check: 'worker-gone', retryOn: ['eswitch-up'] })
    expect(packets(0)).toBe(counted)
    await rest()
    send(0, 50)
    await rest()
    expect(world.sent(2, 0).length).toBeGreaterThanOrEqual(100)
    world.clock.advance(20_000)
    await rest()
    expect(state(0)).toBe('offloaded')
    const before = world.frames()
    send(0, 30)
    await rest()
    expect(world.frames() - before).toBe(0)
    expect(world.sent(2, 0)).toEqual(range(0, 130))
    expect([packets(0), upcalls]).toEqual([129, 1])
    expect(module.summary().eswitches[0]).toMatchObject({ losses: 1, insertions: 2, state: 'running' })
  })
})
