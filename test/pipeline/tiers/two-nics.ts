/** Two NICs and the datapath, for tests that import this: after each of them every slot must be back. */
import { afterEach, expect } from 'vitest'
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

export const send = (port: number, from: number, to: number, flow = 0): void => world.inject(port, from, to, flow)
export const sent = (port: number, flow = 0): number[] => world.sent(port, flow)
export const frames = (): number => world.frames()
export const offload = (id: number): string => {
  const flow = world.dpif.flow(id)!
  return world.eswitch('nic0').rulePut({ id, match: flow.match, actions: flow.actions })
}
