/**
 * What a configuration asks for, as flat lists: ports to open, bridges to make. Pure. A reload compares two plans and touches only what differs.
 */
import { isDeepStrictEqual } from 'node:util'
import type { BridgeConfig, BridgePortConfig, Config } from '../config/schema.ts'
import { bridgePortDefaults } from '../config/schema.ts'
import { readTunnelOptions } from '../config/tunnel-options.ts'
import type { DpPortKind } from '../datapath/contract.ts'
import type { Profile } from '../eswitch/profile.ts'
import type { PortSpec } from '../ofproto/port.ts'
import type { TunnelConfig } from '../tunnel/contract.ts'
import { generateMac } from './switch-id.ts'

const DEFAULT_MTU = 1500

/** A port of the datapath: everything but patch and tunnel ports. */
export interface PortPlan {
  readonly name: string
  readonly kind: Exclude<DpPortKind, 'memory' | 'vxlan'>
  readonly netns?: string
  readonly mtu?: number
  readonly mac?: string
  readonly offloads: 'best' | 'none'
  readonly persist: boolean
  readonly eswitch?: string
  readonly role?: 'vf' | 'uplink'
  /** Of an internal port. */
  readonly addresses?: readonly string[]
  /** Of an internal port that no host's stack owns: it has no descriptor, and MAC and MTU are always given. */
  readonly stack?: 'none'
}

export interface EswitchPlan {
  readonly name: string
  readonly profile: Profile
  readonly switchId?: string
}

/** A port of a bridge; without dpPort, which is known when it is open. */
export type BridgePortPlan = Omit<PortSpec, 'dpPort' | 'tunnel'> & { readonly tunnel?: TunnelConfig }

export interface BridgePlan {
  readonly name: string
  readonly options: { readonly macAgeing: number; readonly macTableSize: number; readonly forwardBpdu: boolean }
  /** Absent: one NORMAL rule. */
  readonly flows?: readonly string[]
  readonly ports: readonly BridgePortPlan[]
}

export interface Plan {
  /** Namespace whose routes and neighbours tunnels use; absent: the switch's own. */
  readonly underlay?: string
  readonly eswitches: readonly EswitchPlan[]
  readonly ports: readonly PortPlan[]
  readonly bridges: readonly BridgePlan[]
}

/** Leaves out what is undefined, so that plans compare and fit exact optional types. */
const present = <T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  JSON.parse(JSON.stringify(object))

const bridgePort = (name: string, port: BridgePortConfig): BridgePortPlan => ({
  ...(present({
    name,
    tag: port.tag,
    trunks: port.trunks,
    vlanMode: port.vlan_mode,
    cvlans: port.cvlans,
    ofport: port.ofport,
    protected: port.protected,
    peer: port.type === 'patch' ? String(port.options['peer']) : undefined,
  }) as BridgePortPlan),
  ...tunnelOf(port),
})

/** Not through `present`: it has bytes. */
const tunnelOf = (port: BridgePortConfig): { tunnel?: TunnelConfig } => {
  const tunnel = port.type === 'vxlan' ? readTunnelOptions(port.options).config : undefined
  return tunnel === undefined ? {} : { tunnel }
}

const internalPort = (
  control: string,
  name: string,
  { stack, ...internal }: NonNullable<BridgeConfig['internal']>,
): PortPlan => {
  const base = { name, kind: 'internal', offloads: 'best', persist: false } as const
  if (stack === 'host') return present({ ...base, ...internal }) as PortPlan
  const { mac = generateMac(control, name), mtu = DEFAULT_MTU, addresses } = internal
  return { ...base, stack, mac, mtu, addresses }
}

/** `profileOf`: the profile of that name or file; one whose file has changed is another one. */
export const planOf = (config: Config, profileOf: (name: string) => Profile): Plan => {
  const ports: PortPlan[] = []
  for (const [eswitch, nic] of Object.entries(config.eswitches))
    for (const [name, { role, ...rest }] of Object.entries(nic.ports))
      ports.push(present({ name, kind: 'representor' as const, eswitch, role, ...rest }) as PortPlan)
  const bridges: BridgePlan[] = []
  for (const [name, bridge] of Object.entries(config.bridges)) {
    const own: BridgePortPlan[] = []
    if (bridge.internal) {
      ports.push(internalPort(config.control, name, bridge.internal))
      own.push({ name })
    }
    for (const [portName, maybe] of Object.entries(bridge.ports)) {
      const port = maybe ?? bridgePortDefaults
      own.push(bridgePort(portName, port))
      if (port.type !== 'tap' && port.type !== 'packet') continue
      const { type: kind, netns, mtu, mac, offloads, persist } = port
      ports.push(present({ name: portName, kind, netns, mtu, mac, offloads, persist }) as PortPlan)
    }
    bridges.push({
      ...(present({
        name,
        options: {
          macAgeing: bridge['mac-aging'],
          macTableSize: bridge['mac-table-size'],
          forwardBpdu: bridge['forward-bpdu'],
        },
        flows: bridge.flows,
      }) as Omit<BridgePlan, 'ports'>),
      ports: own,
    })
  }
  const eswitches = Object.entries(config.eswitches).map(
    ([name, nic]): EswitchPlan => ({
      name,
      profile: profileOf(nic.profile),
      ...(nic['switch-id'] === undefined ? {} : { switchId: nic['switch-id'] }),
    }),
  )
  const internals = Object.values(config.bridges).flatMap(({ internal }) => (internal ? [internal] : []))
  const underlay = config.underlay.netns ?? internals.find(({ stack }) => stack === 'host')?.netns
  return { eswitches, ports, bridges, ...(underlay === undefined ? {} : { underlay }) }
}

export const samePlan = (a: object, b: object): boolean => isDeepStrictEqual(a, b)

const ADJUSTABLE: readonly string[] = ['mtu', 'mac', 'addresses']

/** True when an open port can be given the settings of `after` while frames pass: nothing differs but MTU, MAC and addresses. */
export const canAdjust = (before: PortPlan, after: PortPlan): boolean => {
  const rest = (plan: PortPlan): object =>
    Object.fromEntries(Object.entries(plan).filter(([key]) => !ADJUSTABLE.includes(key)))
  // What was asked for and is not any more: its value before that is not known.
  const forgotten = (['mtu', 'mac'] as const).some((key) => before[key] !== undefined && after[key] === undefined)
  return samePlan(rest(before), rest(after)) && !forgotten
}

/** Whether bridges have internal ports that no host's stack owns. */
export const hasStackless = ({ ports }: Plan): boolean => ports.some(({ stack }) => stack === 'none')

/** UDP ports of all tunnel ports. */
export const tunnelUdpPorts = ({ bridges }: Plan): Set<number> =>
  new Set(bridges.flatMap(({ ports }) => ports.flatMap(({ tunnel }) => (tunnel === undefined ? [] : [tunnel.dstPort]))))
