/** A NIC with two uplinks, and tunnels, for tests that import this: after each of them every slot must be back, and no frame held. */
import { afterEach, expect } from 'vitest'
import { range } from './frames.ts'
import { World, type WorldOptions } from './harness.ts'
import { VXLAN, wrapped } from './tunnels.ts'

export let world: World

/** 1: a VF, 2 and 3: uplinks, all on nic0; 4: of tier 2. */
export const open = async (options: WorldOptions = {}): Promise<World> => {
  world = new World({ eswitches: { nic0: 16 }, small: 1024, ...options })
  await world.start()
  await world.addVf(1, 'vf1', 'nic0')
  await world.addVf(2, 'p2', 'nic0')
  await world.addVf(3, 'p3', 'nic0')
  await world.addPort(4, 'tap4')
  await world.dpif.portAdd({ no: VXLAN, name: 'vxlan_4789', kind: 'vxlan' })
  return world
}

afterEach(async () => {
  await world.settle()
  expect([world.missingSlots(), world.core('nic0').held]).toEqual([{}, 0])
})

export const send = (from: number, to: number, flow = 0): void => world.inject(1, from, to, flow)
export const sendWrapped = (from: number, to: number, flow = 0): void => {
  for (const n of range(from, to)) world.port(2).inject(wrapped(flow, n))
}
export const sent = (port: number, flow = 0): number[] => world.sent(port, flow)
export const frames = (): number => world.frames()
export const counted = (id: number): [number, number] => {
  const stats = { packets: 0, bytes: 0, used: 0, tcpFlags: 0 }
  world.eswitch('nic0').ruleStats(id, stats)
  return [stats.packets, stats.bytes]
}
export const nic = () => world.eswitch('nic0')
