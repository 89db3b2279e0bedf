/** What is measured: two guests on one link each, and something between them. All stand at the same time; only one carries traffic at any moment. */
import { Daemon } from '../../test/system/kit/daemon.ts'
import type { Guest, Testbed } from '../../test/system/kit/testbed.ts'
import { program } from './programs.ts'

export interface Setup {
  readonly name: string
  readonly a: Guest
  readonly b: Guest
  /** Address of b. */
  readonly address: string
  /** Throws when the traffic of the last measurement did not go the way that the set-up's name says. */
  check(): Promise<void>
}

const LINKS = ['vf0', 'vf1'] as const

const guests = async (bed: Testbed, name: string): Promise<{ a: Guest; b: Guest }> => ({
  a: await bed.guest(`${name}-a`),
  b: await bed.guest(`${name}-b`),
})

const addressed = async (a: Guest, b: Guest): Promise<string> => {
  await a.address(LINKS[0], '10.8.0.1/24')
  await b.address(LINKS[1], '10.8.0.2/24')
  return '10.8.0.2'
}

/** Two TAPs joined by a C++ loop that looks at nothing: the limit. */
export const splice = async (bed: Testbed): Promise<Setup> => {
  const { a, b } = await guests(bed, 'splice')
  const running = bed.start([await program('splice'), a.netns, LINKS[0], b.netns, LINKS[1]])
  await running.until(/ready/)
  return { name: 'splice', a, b, address: await addressed(a, b), check: async () => undefined }
}

/** The switch, two VFs of one NIC; offload on (tier 3 forwards) or off (tier 2 does, by two thread hops). */
export const tapswitch = async (bed: Testbed, name: string, offload: boolean): Promise<Setup> => {
  const { a, b } = await guests(bed, name)
  const vf = (guest: Guest): object => ({ role: 'vf', netns: guest.netns })
  const daemon = await Daemon.start(bed, {
    offload: { enabled: offload },
    eswitches: { nic0: { ports: { [LINKS[0]]: vf(a), [LINKS[1]]: vf(b) } } },
    bridges: { br0: { ports: { [LINKS[0]]: {}, [LINKS[1]]: {} } } },
  })
  const check = async (): Promise<void> => {
    const flows = await daemon.flows()
    const packets = (offloaded: boolean): number =>
      flows.filter((f) => f.offloaded === offloaded).reduce((n, f) => n + f.packets, 0)
    if (packets(offload) <= packets(!offload))
      throw new Error(`${name}: ${packets(true)} packets in offloaded flows, ${packets(false)} in others`)
  }
  return { name, a, b, address: await addressed(a, b), check }
}
