/** Tiers 2 and 3 on real TAPs with static flows: workers of the compiled tree, no tier 1. */
import { type RunningDatapath, startDatapath } from '../../../src/datapath/spawn.ts'
import { EswitchClient } from '../../../src/eswitch/client.ts'
import { eswitchWorkers } from '../../../src/eswitch/spawn.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { native, type TapInfo, type TapOptions } from '../../../src/native/binding.ts'
import { portMatch, putFlow } from '../../pipeline/tiers/flows.ts'
import { testProfile } from '../../pipeline/tiers/harness.ts'
import type { Guest, Testbed } from '../kit/testbed.ts'

export class RealWorld {
  readonly datapath: RunningDatapath
  readonly nics = new Map<string, EswitchClient>()
  readonly taps = new Map<number, TapInfo>()
  readonly flows = new Map<number, number>()
  readonly dead: number[] = []
  readonly losses: string[] = []

  private constructor(datapath: RunningDatapath) {
    this.datapath = datapath
    datapath.client.onPortDead((no) => this.dead.push(no))
  }

  static async open(bed: Testbed, ...nics: string[]): Promise<RealWorld> {
    const datapath = await startDatapath({
      eswitches: 2,
      flows: 1000,
      onDeath: (error) => world.losses.push(error.message),
    })
    const world = new RealWorld(datapath)
    bed.defer(() => world.close())
    for (const name of nics) {
      const nic = new EswitchClient({
        name,
        switchId: '0a:00:00:00:00:01',
        profile: testProfile(64),
        datapath: datapath.client,
        clock: systemClock,
        spawn: eswitchWorkers(name, datapath.eventfd),
      })
      nic.onPortDead((no) => world.dead.push(no))
      await nic.start()
      world.nics.set(name, nic)
    }
    return world
  }

  /** A TAP in the guest, on a NIC or, without one, on tier 2. */
  async tap(no: number, guest: Guest, options: Partial<TapOptions> = {}, nic?: string): Promise<TapInfo> {
    const name = `tap${no}`
    const info = native.openTap({ name, netns: guest.netns, ...options })
    this.taps.set(no, info)
    const open = { type: 'tap' as const, fd: info.fd, vnetHdr: info.vnetHdr, offloads: info.offloads }
    const { client } = this.datapath
    if (nic === undefined) await client.portAdd({ no, name, kind: 'tap' }, open)
    else {
      await client.portAdd({ no, name, kind: 'representor', eswitch: nic })
      await this.nics.get(nic)!.portAdd(no, name, open)
    }
    return info
  }

  /** All of `from` goes to `to`, and back. */
  join(from: number, to: number): void {
    for (const [a, b] of [
      [from, to],
      [to, from],
    ] as const)
      this.flows.set(a, putFlow(this.datapath.client, portMatch(a), [{ type: 'output', port: b }]))
  }

  /** Gives the flow of ingress `no` to its NIC. */
  async offload(nic: string, no: number): Promise<void> {
    const eswitch = this.nics.get(nic)!
    const flow = this.datapath.client.flow(this.flows.get(no)!)!
    const answer = eswitch.rulePut({ id: flow.id, match: flow.match, actions: flow.actions })
    if (answer !== 'ok') throw new Error(`rule of port ${no}: ${answer}`)
    await until(() => eswitch.ruleActive(flow.id), 'the rule becomes active')
  }

  frames(): number {
    const counters = { frames: 0, cacheHits: 0, flowHits: 0, misses: 0, upcalls: 0, masks: 0, maskHits: 0, flows: 0 }
    this.datapath.client.counters(counters)
    return counters.frames
  }

  async close(): Promise<void> {
    for (const nic of this.nics.values()) await nic.stop()
    await this.datapath.stop()
    for (const { fd } of this.taps.values()) native.close(fd)
    this.taps.clear()
  }
}

/** Waits for a condition that no event announces. */
export const until = async (holds: () => boolean, what: string, ms = 5000): Promise<void> => {
  for (const end = Date.now() + ms; !holds(); ) {
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
