/** NORMAL: a learning switch with VLANs (IEEE 802.1Q clauses 6.9 and 8), as Open vSwitch does it. */
import { K_ETH, K_IN_PORT, K_NW, K_NW_DST, K_NW_SRC, K_VLAN0, K_VLAN1, VLAN_CFI } from '../../flow/key.ts'
import type { Bundle } from '../bundle.ts'
import {
  countTags,
  isVlanType,
  type Tags,
  tagsOf,
  tagWords,
  translateInput,
  translateOutput,
  trunksVlan,
} from '../vlan.ts'
import type { Xlate } from './context.ts'
import { ETH_ARP, ethDst, ethSrc, ethType, ipProto, NW_PROTO } from './packet.ts'

const VID = 0x0fff
const PCP = 0xe000
const BROADCAST = 0xffffffffffff

export type OutputTo = (x: Xlate, port: number) => void

/** 01:80:c2:00:00:0x, which bridges keep to themselves (IEEE 802.1Q table 8-1). */
const isReserved = (mac: number): boolean => mac >= 0x0180c2000000 && mac <= 0x0180c200000f

/** Also looks at what it reads. */
const isGratuitousArp = (x: Xlate): boolean => {
  const { flow } = x
  if (ethType(flow) !== ETH_ARP || ethDst(flow) !== BROADCAST) return false
  x.look(K_NW, NW_PROTO)
  const op = ipProto(flow)
  if (op === 2) return true
  if (op !== 1) return false
  x.look(K_NW_SRC, -1)
  x.look(K_NW_DST, -1)
  return flow[K_NW_SRC] === flow[K_NW_DST]
}

/** May a packet with this VID (0: none) enter by the port? */
const admitsVid = (x: Xlate, bundle: Bundle, vid: number): boolean => {
  const { vlan: config, name } = bundle
  switch (config.mode) {
    case 'access':
      if (vid === 0) return true
      x.reporter?.error(
        `dropping VLAN ${vid} tagged packet received on port ${name} configured as VLAN ${config.vlan} access port`,
      )
      return false
    case 'dot1q-tunnel':
      if (config.cvlans === null || config.cvlans.has(vid)) return true
      x.reporter?.error(`dropping VLAN ${vid} packet received on dot1q-tunnel port ${name} that excludes this VLAN`)
      return false
    default:
      if ((vid === 0 && config.mode !== 'trunk') || trunksVlan(config, vid)) return true
      x.reporter?.error(`dropping VLAN ${vid} packet received on port ${name} not configured for trunking VLAN ${vid}`)
      return false
  }
}

/** The inner tag counts: look at its VID, if there is one. */
const lookInner = (x: Xlate): void => {
  if (countTags(x.flow) === 2) x.look(K_VLAN1, VID)
}

const carries = (x: Xlate, bundle: Bundle, tags: Tags): boolean => {
  const config = bundle.vlan
  switch (config.mode) {
    case 'access':
      if (tags[0].vid !== config.vlan) return false
      lookInner(x)
      return tags[1].vid === 0
    case 'dot1q-tunnel':
      if (tags[0].vid !== config.vlan) return false
      if (config.cvlans === null) return true
      lookInner(x)
      return config.cvlans.has(tags[1].vid)
    default:
      return trunksVlan(config, tags[0].vid)
  }
}

const outputNormal = (x: Xlate, bundle: Bundle, tags: Tags, outputTo: OutputTo): void => {
  const { flow } = x
  const config = bundle.vlan
  if (config.mode === 'dot1q-tunnel' && config.cvlans !== null) x.look(K_VLAN1, 0xffff)
  const out = translateOutput(config, tags)
  // The packet's inner tag becomes its outer one, and what is done with that depends on it, even where the output comes to nothing.
  const inner = tags[1].tpid !== 0 && x.bridge.port(flow[K_IN_PORT]!)?.bundle.vlan.mode !== 'dot1q-tunnel'
  if (inner && out[0] === tags[1]) x.look(K_VLAN1, -1)
  let outer = out[0]
  const tagged = (flow[K_VLAN0]! & VLAN_CFI) !== 0
  if (config.priorityTags !== 'never') outer = { ...outer, pcp: tagged ? flow[K_VLAN0]! & PCP : 0 }
  // The priority moves to another tag, or, with no VLAN, decides alone whether the tag stays.
  if (tagged && (config.priorityTags !== 'never' || (outer.vid === 0 && out[1].tpid === 0))) x.look(K_VLAN0, PCP)
  const words = tagWords([outer, out[1], out[2]], config.priorityTags)
  if (words[2] !== 0) {
    x.reporter?.warn('more than two VLAN tags, skipping output')
    x.emptyReason ??= 'too-many-vlan-tags'
    return
  }
  const old0 = flow[K_VLAN0]!
  const old1 = flow[K_VLAN1]!
  flow[K_VLAN0] = words[0]
  flow[K_VLAN1] = words[1]
  outputTo(x, bundle.port.no)
  flow[K_VLAN0] = old0
  flow[K_VLAN1] = old1
}

const flood = (x: Xlate, from: Bundle, tags: Tags, outputTo: OutputTo): void => {
  for (const { bundle, flags } of x.bridge.ports()) {
    if (x.error !== null) return
    if (bundle !== from && !flags.noFlood && carries(x, bundle, tags)) outputNormal(x, bundle, tags, outputTo)
  }
}

const learn = (x: Xlate, bundle: Bundle, vlan: number, gratArp: boolean): void => {
  const mac = ethSrc(x.flow)
  x.effects.push({ type: 'learn', bundle, mac, vlan, gratArp })
  if (x.input.learn) x.bridge.macs.learn(mac, vlan, bundle, x.input.used, gratArp)
}

export const normal = (x: Xlate, outputTo: OutputTo): void => {
  const { flow, bridge } = x
  x.wc.fill(-1, K_ETH, K_ETH + 3)
  x.look(K_VLAN0, VID | VLAN_CFI)

  const inPort = bridge.port(flow[K_IN_PORT]!)
  if (inPort === undefined) {
    x.reporter?.error(`received packet on unknown port ${flow[K_IN_PORT]}`)
    x.reporter?.warn('no input bundle, dropping')
    return
  }
  const from = inPort.bundle
  if (isVlanType(ethType(flow)) && countTags(flow) === 0) {
    x.reporter?.warn('partial VLAN tag, dropping')
    return
  }
  const inTags = tagsOf(flow)
  if (!admitsVid(x, from, inTags[0].vid)) {
    x.reporter?.warn('disallowed VLAN VID for this input port, dropping')
    return
  }
  const tags = translateInput(from.vlan, inTags)
  const vlan = tags[0].vid
  if (!bridge.options.forwardBpdu && isReserved(ethDst(flow))) {
    x.reporter?.detail('packet has reserved destination MAC, dropping')
    return
  }

  learn(x, from, vlan, isGratuitousArp(x))

  const to = bridge.macs.lookup(ethDst(flow), vlan)
  if (to === undefined) {
    x.reporter?.detail('no learned MAC for destination, flooding')
    flood(x, from, tags, outputTo)
  } else if (to.bundle.port === from.port) {
    x.reporter?.detail('learned port is input port, dropping')
  } else {
    x.reporter?.detail('forwarding to learned port')
    outputNormal(x, to.bundle.port.bundle, tags, outputTo)
  }
}
