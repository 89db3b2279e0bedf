/** Switches that several tests stand on. */
import { Daemon } from '../kit/daemon.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'

export interface Bed {
  readonly bed: Testbed
  readonly daemon: Daemon
  /** Two VFs and the uplink of nic0, a VF of nic1, and a TAP on no NIC; with 10.7.0.N/24 and fd07::N/64. */
  readonly guests: Record<'vm0' | 'vm1' | 'fabric' | 'vm2' | 'c0', Guest>
}

export const LINK = { vm0: 'vf0', vm1: 'vf1', fabric: 'p0', vm2: 'vf2', c0: 'tap0' } as const
export const HOST = { vm0: 1, vm1: 2, vm2: 3, c0: 4, fabric: 9 } as const
export type GuestName = keyof typeof LINK
export const NAMES = Object.keys(LINK) as GuestName[]

export const mac = (name: GuestName): string => `02:00:00:00:07:0${HOST[name]}`
export const ip4 = (name: GuestName): string => `10.7.0.${HOST[name]}`
export const ip6 = (name: GuestName): string => `fd07::${HOST[name]}`

export interface BedOptions {
  readonly offload?: boolean
  /** Guests whose TAP negotiates no offloads. */
  readonly plain?: readonly GuestName[]
  readonly profile?: string
  readonly flows?: readonly string[]
  readonly datapath?: Record<string, number>
  /** Addresses and links up; true unless told. */
  readonly addressed?: boolean
  readonly bridge?: Record<string, unknown>
  /** Port settings of the bridge (tag, trunks, ...). */
  readonly ports?: Partial<Record<GuestName, Record<string, unknown>>>
}

/** Guests, a switch with one bridge br0, all started and addressed. Ports have ofport 1 (vm0), 2 (vm1), 3 (vm2), 4 (c0), 9 (fabric). */
export const startBed = async (options: BedOptions = {}): Promise<Bed> => {
  const bed = new Testbed()
  try {
    const guests = await bed.guests(...NAMES)
    // Without router solicitations and the like, what is captured is what the test sends.
    for (const guest of Object.values(guests))
      for (const key of ['net.ipv6.conf.default.router_solicitations', 'net.ipv6.conf.default.autoconf'])
        await guest.sysctl(key, 0)
    const plain = (name: GuestName): object => (options.plain?.includes(name) ? { offloads: 'none' } : {})
    const nic = (name: GuestName, role: string): object => ({
      [LINK[name]]: { role, netns: bed.netns(name), mac: mac(name), ...plain(name) },
    })
    const profile = options.profile ?? 'default'
    const port = (name: GuestName): object => ({ ofport: HOST[name], ...options.ports?.[name] })
    const daemon = await Daemon.start(bed, {
      offload: { enabled: options.offload ?? true },
      ...(options.datapath ? { datapath: options.datapath } : {}),
      eswitches: {
        nic0: { profile, ports: { ...nic('fabric', 'uplink'), ...nic('vm0', 'vf'), ...nic('vm1', 'vf') } },
        nic1: { profile, ports: nic('vm2', 'vf') },
      },
      bridges: {
        br0: {
          ...options.bridge,
          ...(options.flows ? { flows: options.flows } : {}),
          ports: {
            [LINK.fabric]: port('fabric'),
            [LINK.vm0]: port('vm0'),
            [LINK.vm1]: port('vm1'),
            [LINK.vm2]: port('vm2'),
            [LINK.c0]: { ...port('c0'), type: 'tap', netns: bed.netns('c0'), mac: mac('c0'), ...plain('c0') },
          },
        },
      },
    })
    if (options.addressed ?? true)
      for (const name of NAMES) await guests[name].address(LINK[name], `${ip4(name)}/24`, `${ip6(name)}/64`)
    return { bed, daemon, guests }
  } catch (error) {
    await bed.close()
    throw error
  }
}
