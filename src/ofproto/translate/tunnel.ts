/** Tunnels: outputs that encapsulate, and outputs to the host that decapsulate instead. */
import { addressOfWords } from '../../flow/address.ts'
import { FRAG_ANY, K_ETH, K_NW, K_NW_DST, K_TP, K_TUN_DST, K_TUN_ID, K_TUN_SRC, K_VLAN0 } from '../../flow/key.ts'
import { OFPP_LOCAL } from '../../flow/ofp.ts'
import type { EncapSpec, TunnelConfig } from '../../tunnel/contract.ts'
import type { Port } from '../port.ts'
import { commit } from './commit.ts'
import type { Xlate } from './context.ts'
import type { DropReason } from './limits.ts'
import { ETH_IP, ETH_IPV6, ethDst, ethType, ipProto, isLaterFragment, NW_PROTO, PROTO_UDP } from './packet.ts'

const VNI = 0xffffff

/** Of options that say all: one object for all flows. */
const lasting = new WeakMap<TunnelConfig, EncapSpec | DropReason>()

/** The header that the port's options and the flow's tun_* fields ask for, or why there can be none. */
const specOf = (flow: Int32Array, config: TunnelConfig): EncapSpec | DropReason => {
  if (config.remote === 'flow' || config.local === 'flow' || config.key === 'flow') return makeSpec(flow, config)
  const known = lasting.get(config)
  if (known !== undefined) return known
  const made = makeSpec(flow, config)
  const spec = typeof made === 'string' ? made : { ...made, lasting: true as const }
  lasting.set(config, spec)
  return spec
}

const makeSpec = (flow: Int32Array, config: TunnelConfig): EncapSpec | DropReason => {
  const peer = config.remote === 'flow' ? addressOfWords(flow, K_TUN_DST) : config.remote
  const local = config.local === 'flow' ? addressOfWords(flow, K_TUN_SRC) : config.local
  if (peer === undefined) return 'no-tunnel-remote'
  if (local !== undefined && local.length !== peer.length) return 'tunnel-address-mismatch'
  return {
    peer,
    ...(local === undefined ? {} : { local }),
    vni: config.key === 'flow' ? flow[K_TUN_ID + 1]! & VNI : (config.key ?? 0),
    dstPort: config.dstPort,
    tos: config.tos,
    ttl: config.ttl,
    df: config.df,
    csum: config.csum ?? peer.length === 16,
  }
}

const refuse = (x: Xlate, reason: DropReason, text: string): void => {
  x.reporter?.warn(text)
  x.emptyReason ??= reason
}

const REFUSALS: Partial<Record<DropReason, string>> = {
  'no-tunnel-remote': 'tun_dst is not set, skipping output to the tunnel',
  'tunnel-address-mismatch': 'local and remote address are of different versions, skipping output to the tunnel',
}

/**
 * Encapsulates. The flow's tunnel fields stay as they are: those of the packet as it came, unless rules have set them, so they are what the next rules see, too. No bit need be
 * looked at: they are exact in every flow of tunnelled packets, and constant in all others.
 */
export const outputTunnel = (x: Xlate, port: Port, config: TunnelConfig): void => {
  const { layer } = x.bridge.tunnels
  if (layer === null) return
  if (x.input.underlay) {
    x.fail('tunnel-loop', `the underlay leads to tunnel ${port.name}: a tunnel inside of a tunnel`)
    return
  }
  const spec = specOf(x.flow, config)
  if (typeof spec === 'string') {
    refuse(x, spec, REFUSALS[spec] ?? spec)
    return
  }
  // The address at which the packet arrived is our own.
  const came = addressOfWords(x.input.key, K_TUN_DST)
  if (came !== undefined && Buffer.compare(came, spec.peer) === 0) {
    refuse(x, 'tunnel-to-self', 'Not tunneling to our own address')
    return
  }
  const entry = layer.encap(spec, x.input.learn)
  if (entry < 0) {
    refuse(x, 'too-many-encaps', 'too many tunnel endpoints, skipping output')
    return
  }
  commit(x)
  x.actions.push({ type: 'tnl_push', entry })
  x.effects.push({ type: 'encap', layer, entry, port })
  if (x.reporter) {
    const is = layer.entry(entry)
    x.reporter.detail('output to native tunnel')
    if (is !== undefined) x.reporter.detail(`encap entry ${entry} is ${is.reason}: ${is.detail}`)
  }
}

const destination = (flow: Int32Array): Uint8Array | undefined => {
  const words = new Int32Array(4)
  if (ethType(flow) === ETH_IP) words.set([0, 0, 0xffff, flow[K_NW_DST]!])
  else words.set(flow.subarray(K_NW_DST, K_NW_DST + 4))
  return addressOfWords(words, 0)
}

/**
 * Whether an output to `port` is where a tunnel ends: the datapath port to which the inner packet is delivered, else -1; 'fragment': it would, but is the first fragment of
 * a packet that only the host could put together. Looks at what it reads, the cheap and telling parts first.
 */
export const terminates = (x: Xlate, port: Port): number | 'fragment' => {
  const { tunnels } = x.bridge
  const { flow } = x
  if (port.no !== OFPP_LOCAL || !tunnels.any || tunnels.layer === null || port.mac < 0) return -1
  const type = ethType(flow)
  // With a tag it is for an interface above the bridge's own.
  if ((type !== ETH_IP && type !== ETH_IPV6) || flow[K_VLAN0] !== 0 || x.wasMpls) return -1
  x.look(K_NW, NW_PROTO)
  if (ipProto(flow) !== PROTO_UDP || isLaterFragment(flow)) return -1
  x.look(K_TP, 0xffff)
  const to = tunnels.popPort(flow[K_TP]! & 0xffff)
  if (to < 0) return -1
  x.wc.fill(-1, K_NW_DST, K_NW_DST + (type === ETH_IP ? 1 : 4))
  const address = destination(flow)
  if (address === undefined || !tunnels.layer.isLocal(address)) return -1
  x.look(K_ETH, -1)
  x.look(K_ETH + 1, 0xffff0000 | 0)
  if (ethDst(flow) !== port.mac) return -1
  return (flow[K_NW]! & FRAG_ANY) === 0 ? to : 'fragment'
}
