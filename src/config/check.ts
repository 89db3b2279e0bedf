/** What one value of the configuration demands of another, and what rules and profiles must be. Complaints carry the path, load.ts gives them line and column. */
import { dirname } from 'node:path'
import { loadProfile } from '../eswitch/profile-file.ts'
import { OFPP_LOCAL } from '../flow/ofp.ts'
import { parseFlow } from '../flow/ofp-text.ts'
import type { BridgeConfig, BridgePortConfig, Config } from './schema.ts'
import { bridgePortDefaults } from './schema.ts'
import { readTunnelOptions } from './tunnel-options.ts'

export interface Complaint {
  readonly path: readonly (string | number)[]
  readonly message: string
}

const checkPort = (config: Config, bridge: string, name: string, port: BridgePortConfig): Complaint[] => {
  const path = ['bridges', bridge, 'ports', name]
  const complaints: Complaint[] = []
  const say = (key: string, message: string): number => complaints.push({ path: [...path, key], message })
  const owner = Object.entries(config.eswitches).find(([, nic]) => name in nic.ports)?.[0]
  if (owner !== undefined) {
    if (port.type !== undefined) say('type', `${name} is a port of eswitch ${owner}; no type expected here`)
    for (const key of ['netns', 'mtu', 'mac'] as const)
      if (port[key] !== undefined) say(key, `belongs to eswitches.${owner}.ports.${name}, not here`)
  } else if (port.type === undefined) {
    complaints.push({
      path,
      message: `${name} is on no eswitch: "type" expected ("tap", "packet", "patch" or "vxlan")`,
    })
  }
  if (port.type === 'patch') {
    const peer = port.options['peer']
    const other = Object.entries(config.bridges).find(
      ([, b]) => typeof peer === 'string' && b.ports[peer] !== undefined,
    )
    if (typeof peer !== 'string') say('options', 'a patch port needs options: { peer: NAME }')
    else if (!other) say('options', `peer ${peer}: no bridge has a port of that name`)
    else if (other[1].ports[peer]?.type !== 'patch' || other[1].ports[peer]?.options['peer'] !== name)
      say('options', `peer ${peer} is not a patch port whose peer is ${name}`)
    else if (peer === name) say('options', 'a patch port cannot be its own peer')
  }
  if (port.type === 'vxlan') {
    for (const message of readTunnelOptions(port.options).complaints) say('options', message)
    for (const key of ['netns', 'mtu', 'mac'] as const)
      if (port[key] !== undefined) say(key, 'a vxlan port has no interface: not expected here')
  } else {
    for (const key of Object.keys(port.options))
      if (!(port.type === 'patch' && key === 'peer')) say('options', `unknown option "${key}" for this type of port`)
  }
  if (port.vlan_mode === 'access' && port.trunks) say('trunks', 'an access port has no trunks')
  if (port.vlan_mode?.startsWith('native') && port.tag === undefined)
    say('vlan_mode', `${port.vlan_mode} needs "tag", the native VLAN`)
  if (port.cvlans && port.vlan_mode !== 'dot1q-tunnel') say('cvlans', 'only a dot1q-tunnel port has cvlans')
  return complaints
}

const messageOf = (act: () => unknown): string | undefined => {
  try {
    act()
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** Numbers that ports will have are known later; here only names that are none matter. */
const checkFlows = (name: string, bridge: BridgeConfig): Complaint[] => {
  const portByName = (port: string): number | undefined =>
    port === name ? OFPP_LOCAL : port in bridge.ports ? (bridge.ports[port]?.ofport ?? 1) : undefined
  return (bridge.flows ?? []).flatMap((text, i) => {
    const message = messageOf(() => parseFlow(text, { portByName }))
    return message === undefined ? [] : [{ path: ['bridges', name, 'flows', i], message }]
  })
}

const checkEswitches = (config: Config, file: string): Complaint[] => {
  const complaints: Complaint[] = []
  const ids = new Map<string, string>()
  for (const [name, nic] of Object.entries(config.eswitches)) {
    const message = messageOf(() => loadProfile(nic.profile, dirname(file)))
    if (message !== undefined) complaints.push({ path: ['eswitches', name, 'profile'], message })
    const id = nic['switch-id']
    if (id === undefined) continue
    const other = ids.get(id)
    if (other !== undefined)
      complaints.push({ path: ['eswitches', name, 'switch-id'], message: `switch ID ${id} is taken by ${other}` })
    ids.set(id, name)
  }
  return complaints
}

const checkInternal = (name: string, { internal }: BridgeConfig): Complaint[] =>
  internal?.stack === 'none' && internal.netns !== undefined
    ? [
        {
          path: ['bridges', name, 'internal', 'netns'],
          message: 'with stack "none" there is no interface: not expected here',
        },
      ]
    : []

/** Tunnels look routes up in one namespace: that of the internal ports, which must be one unless the file says which. */
const checkUnderlay = (config: Config): Complaint[] => {
  const complaints: Complaint[] = []
  const internals = Object.values(config.bridges).flatMap(({ internal }) => (internal ? [internal] : []))
  const homes = new Set(internals.flatMap(({ stack, netns }) => (stack === 'host' ? [netns ?? ''] : [])))
  const seen = new Map<string, string>()
  for (const [bridge, { ports }] of Object.entries(config.bridges))
    for (const [name, port] of Object.entries(ports)) {
      if (port?.type !== 'vxlan') continue
      const path = ['bridges', bridge, 'ports', name, 'options']
      if (internals.length === 0)
        complaints.push({ path, message: 'no bridge has an internal port that could be the underlay' })
      if (homes.size > 1 && config.underlay.netns === undefined)
        complaints.push({
          path,
          message: 'internal ports are in several namespaces: underlay.netns expected, to say whose routes count',
        })
      const same = tunnelIdentity(port.options)
      const other = seen.get(same)
      if (other !== undefined)
        complaints.push({ path, message: `remote_ip, local_ip, key and dst_port are those of ${other}` })
      seen.set(same, name)
    }
  return complaints
}

const tunnelIdentity = (options: BridgePortConfig['options']): string => {
  const { config } = readTunnelOptions(options)
  const text = (value: Uint8Array | string | number | undefined): string => value?.toString() ?? ''
  return config === undefined
    ? JSON.stringify(options)
    : [config.remote, config.local, config.key ?? 0, config.dstPort].map(text).join(' ')
}

/** All complaints about a configuration whose shape is right. `file` is where profiles with a relative name are looked for. */
export const checkConfig = (config: Config, file: string): Complaint[] => {
  const complaints: Complaint[] = [...checkEswitches(config, file), ...checkUnderlay(config)]
  const taken = new Map<string, string>()
  const take = (name: string, where: string, path: readonly string[]): void => {
    const before = taken.get(name)
    if (before !== undefined) complaints.push({ path, message: `port name ${name} is taken by ${before}` })
    else taken.set(name, where)
  }
  for (const bridge of Object.keys(config.bridges)) take(bridge, `bridge ${bridge}`, ['bridges', bridge])
  for (const [nic, { ports }] of Object.entries(config.eswitches))
    for (const name of Object.keys(ports)) take(name, `eswitch ${nic}`, ['eswitches', nic, 'ports', name])
  const inBridge = new Map<string, string>()
  for (const [name, bridge] of Object.entries(config.bridges))
    complaints.push(...checkInternal(name, bridge), ...checkFlows(name, bridge))
  for (const [bridge, { ports }] of Object.entries(config.bridges)) {
    const ofports = new Map<number, string>()
    for (const [name, maybe] of Object.entries(ports)) {
      const port = maybe ?? bridgePortDefaults
      const path = ['bridges', bridge, 'ports', name]
      const before = inBridge.get(name)
      if (before !== undefined) complaints.push({ path, message: `port ${name} is already in bridge ${before}` })
      inBridge.set(name, bridge)
      if (config.bridges[name]) complaints.push({ path, message: `port name ${name} is taken by bridge ${name}` })
      if (port.ofport !== undefined) {
        const other = ofports.get(port.ofport)
        if (other !== undefined)
          complaints.push({ path: [...path, 'ofport'], message: `ofport ${port.ofport} is taken by ${other}` })
        ofports.set(port.ofport, name)
      }
      complaints.push(...checkPort(config, bridge, name, port))
    }
  }
  return complaints
}
