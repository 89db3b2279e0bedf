/** Two NICs and the datapath, for tests that import this: after each of them every slot must be back. */
import { afterEach, expect } from 'vitest'
import { numbered, numberOf } from './frames.ts'
import { World, type WorldOptions } from './harness.ts'

export let world: World

afterEach(async () => {
  await world.settle()
  expect(world.missingSlots()).toEqual({})
})

/** Ports 1 and 2 on nic0, 3 on nic1, 4 on tier 2. */
export const open = async (options: WorldOptions = {}): Promise<World> => {
  world = new World({ eswitches: { nic0: 16, nic1: 16 }, ...options })
  await world.start()
  await world.addVf(1, 'vf1', 'nic0')
  await world.addVf(2, 'vf2', 'nic0')
  await world.addVf(3, 'vf3', 'nic1')
  await world.addPort(4, 'tap4')
  return world
}

export const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)
export const send = (port: number, from: number, to: number, flow = 0): void => {
  for (const n of range(from, to)) world.port(port).inject(numbered(flow, n))
}
export const sent = (port: number, flow = 0): number[] =>
  world
    .port(port)
    .sent.map((f) => numberOf(f.data))
    .filter((f) => f.flow === flow)
    .map((f) => f.n)
export const frames = (): number => {
  const counters = { frames: 0, cacheHits: 0, flowHits: 0, misses: 0, upcalls: 0, masks: 0, maskHits: 0, flows: 0 }
  world.dpif.counters(counters)
  return counters.frames
}
export const offload = (id: number): string => {
  const flow = world.dpif.flow(id)!
  return world.eswitch('nic0').rulePut({ id, match: flow.match, actions: flow.actions })
}
