/**
 * A set-up's place: links of its own, with a subnet of its own, in the two guests that all set-ups of a scenario share, and, for tunnels, hosts and an
 * underlay of its own.
 */
import { must } from '../../test/system/kit/process.ts'
import type { Guest, Testbed } from '../../test/system/kit/testbed.ts'
import { ipBatch, wire } from '../../test/system/kit/underlay.ts'
import { type Scenario, type Side, UNDERLAY_MTU } from './scenario.ts'

export class Site {
  readonly bed: Testbed
  readonly scenario: Scenario
  readonly guests: Readonly<Record<Side, Guest>>
  /** Options of Node.js for switches that are ours. */
  readonly node: readonly string[]
  readonly #index: number
  #fabric: Promise<Guest> | undefined

  /** `index`: 1..250, unique in the scenario. */
  constructor(
    bed: Testbed,
    scenario: Scenario,
    guests: Readonly<Record<Side, Guest>>,
    index: number,
    node: readonly string[] = [],
  ) {
    this.node = node
    this.bed = bed
    this.scenario = scenario
    this.guests = guests
    this.#index = index
  }

  /** The guest's link. */
  link(side: Side): string {
    return `g${this.#index}${side}`
  }

  uplink(side: Side): string {
    return `u${this.#index}${side}`
  }

  address(side: Side): string {
    return `10.${this.#index}.0.${side === 'a' ? 1 : 2}`
  }

  /** A namespace for a switch or a host's stack. */
  host(side: Side): Promise<Guest> {
    return this.bed.guest(`h${this.#index}${side}`)
  }

  /** Moves a link that a switch has made in its own namespace to where it belongs. */
  async take(from: string, link: string, to: Guest): Promise<void> {
    await must(['ip', '-netns', from, 'link', 'set', link, 'netns', to.netns])
  }

  async hostAddress(host: string, link: string, address: string): Promise<void> {
    const lines = [`address add ${address} dev ${link}${address.includes(':') ? ' nodad' : ''}`, `link set ${link} up`]
    await must(['ip', '-netns', host, '-batch', '-'], { input: `${lines.join('\n')}\n` })
  }

  /** Plugs an uplink's far end, which is in the fabric already, into its side. */
  async plug(side: Side): Promise<void> {
    const fabric = await this.fabric()
    const bridge = this.scenario.cut && side === 'b' ? 'right' : 'left'
    await ipBatch(fabric, [`link set ${this.uplink(side)} master ${bridge} up`])
  }

  /** The namespace between the hosts: one bridge, or two with a wire between them. */
  fabric(): Promise<Guest> {
    this.#fabric ??= this.#makeFabric()
    return this.#fabric
  }

  async #makeFabric(): Promise<Guest> {
    const fabric = await this.bed.guest(`f${this.#index}`)
    await fabric.sysctl('net.ipv6.conf.default.disable_ipv6', 1)
    const bridge = (name: string): string[] => [
      `link add ${name} mtu ${UNDERLAY_MTU} type bridge mcast_snooping 0`,
      `link set ${name} up`,
    ]
    await ipBatch(fabric, bridge('left'))
    if (!this.scenario.cut) return fabric
    await ipBatch(fabric, [
      ...bridge('right'),
      `link add wire0 mtu ${UNDERLAY_MTU} type veth peer name wire1 mtu ${UNDERLAY_MTU}`,
      'link set wire0 master left up',
      'link set wire1 master right up',
    ])
    await wire(fabric, 'wire0', 'wire1')
    return fabric
  }

  /** Gives the guests' links their MTU and addresses; the links are there. */
  async dress(): Promise<void> {
    for (const side of ['a', 'b'] as const)
      await ipBatch(this.guests[side], [
        `address add ${this.address(side)}/24 dev ${this.link(side)}`,
        `link set ${this.link(side)} mtu ${this.scenario.mtu} up`,
      ])
  }
}
