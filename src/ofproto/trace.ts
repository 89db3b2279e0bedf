/**
 * `ofproto/trace`: the way of a packet through the tables, told in Open vSwitch's layout. Nothing is changed by it: no address is learned, no rule counted. Main thread.
 */

import { addressToWords } from '../flow/address.ts'
import { formatFlow } from '../flow/flow-text.ts'
import { createKey, K_ACTSET_OUTPUT, K_IN_PORT, K_TUN_DST, K_TUN_ID, K_TUN_SRC, type Match } from '../flow/key.ts'
import type { OdpAction } from '../flow/odp.ts'
import { formatOdpActions, parseOdpMatch } from '../flow/odp-text.ts'
import type { OdpActionNames } from '../flow/odp-text-actions.ts'
import { formatMatch, parseMatch } from '../flow/ofp-text.ts'
import { CodedError } from '../lib/errors.ts'
import type { Ofproto } from './ofproto.ts'
import type { Port } from './port.ts'
import { TraceTree } from './trace-tree.ts'
import type { XlateResult } from './translate/context.ts'
import { OFPP_UNSET } from './translate/pipeline.ts'
import { translate } from './translate/translate.ts'
import { settleTag } from './translate/vlan-actions.ts'
import { datapathMask } from './translate/wildcards.ts'
import { matchOf } from './upcall.ts'

/** What the flow that the trace would make looks like: for whoever adds its own verdict below. */
export interface TracedFlow {
  readonly inPort: Port
  /** The datapath's match: in_port is a datapath port. */
  readonly match: Match
  readonly actions: readonly OdpAction[]
}

/** Appends to a trace what the tiers below would do; lines without a line feed at the end. */
export type TraceVerdict = (flow: TracedFlow) => string

/**
 * The flow to trace: `BRIDGE FLOW` with a flow in ovs-ofctl's match syntax, or `FLOW` alone in the datapath's (`in_port(2),eth(...),...`). Fields that are not
 * given are zero. Throws CodedError or FlowSyntaxError for the user to see.
 */
export const parseTraceArgs = (ofproto: Ofproto, args: readonly string[]): { key: Int32Array; inPort: Port } => {
  const [first = '', second] = args
  return second === undefined ? fromDatapath(ofproto, first) : fromBridge(ofproto, first, second)
}

/** tun_src and tun_dst speak of an address's last word. Of a packet that comes by a tunnel port, what is not given is as the port's options say. */
const fillInTunnel = (key: Int32Array, mask: Int32Array, { tunnel }: Port): void => {
  const absent = (from: number, words: number): boolean => mask.subarray(from, from + words).every((word) => word === 0)
  for (const at of [K_TUN_SRC, K_TUN_DST]) if (key[at + 3] !== 0 && absent(at, 3)) key[at + 2] = 0xffff
  if (tunnel === null) return
  if (tunnel.remote !== 'flow' && absent(K_TUN_SRC, 4)) addressToWords(tunnel.remote, key, K_TUN_SRC)
  if (tunnel.local instanceof Uint8Array && absent(K_TUN_DST, 4)) addressToWords(tunnel.local, key, K_TUN_DST)
  if (typeof tunnel.key === 'number' && absent(K_TUN_ID, 2)) key[K_TUN_ID + 1] = tunnel.key
}

const fromDatapath = (ofproto: Ofproto, text: string): { key: Int32Array; inPort: Port } => {
  const portNo = (name: string): number | undefined => {
    const no = ofproto.portByName(name)?.dpPort
    return no === undefined || no < 0 ? undefined : no
  }
  const { key: parsed } = parseOdpMatch(text, { portByName: portNo })
  const key = createKey()
  key.set(parsed)
  const inPort = ofproto.receiver(key)
  if (inPort === 'unknown-vni')
    throw new CodedError('ENODEV', 'no tunnel port takes packets with this tun_id, src and dst: drop(unknown-vni)')
  if (inPort === undefined) throw new CodedError('ENODEV', `no OpenFlow port for datapath port ${key[K_IN_PORT]}`)
  return { key, inPort }
}

const fromBridge = (ofproto: Ofproto, name: string, text: string): { key: Int32Array; inPort: Port } => {
  const bridge = ofproto.bridge(name)
  if (bridge === undefined) throw new CodedError('ENODEV', `${name}: unknown bridge`)
  const { key, mask } = parseMatch(text, { portByName: (port) => bridge.portByName(port)?.no })
  if (mask[K_IN_PORT] === 0) throw new CodedError('EINVAL', `${text}: expected in_port=PORT, where the packet enters`)
  const inPort = bridge.port(key[K_IN_PORT]!)
  if (inPort === undefined) throw new CodedError('ENODEV', `bridge ${name} has no port ${key[K_IN_PORT]}`)
  fillInTunnel(key, mask, inPort)
  // Rules do not speak of the TPID; a packet has one.
  settleTag(key)
  return { key, inPort }
}

const asPipelineKey = (key: Int32Array, inPort: Port): Int32Array => {
  const copy = key.slice()
  copy[K_IN_PORT] = inPort.no
  copy[K_ACTSET_OUTPUT] = OFPP_UNSET
  return copy
}

const sameKey = (a: Int32Array, b: Int32Array): boolean => a.every((word, i) => word === b[i])

/** Fields that Open vSwitch prints before it says that packets are Ethernet ones. */
const BEFORE_ETH = /^(pkt_mark|recirc_id|dp_hash|conj_id|skb_priority|actset_output|ct_[a-z0-9_]*)=/

const megaflowText = (match: Match): string => {
  const fields = formatMatch(match).split(',')
  const at = fields.findIndex((field) => !BEFORE_ETH.test(field))
  return fields.toSpliced(at < 0 ? fields.length : at, 0, 'eth').join(',')
}

/** As a match of OpenFlow's, with the port's number in the bridge. */
const megaflow = (key: Int32Array, inPort: Port, { wc }: XlateResult): Match => {
  const mask = wc.slice()
  const masked = key.map((word, i) => word & mask[i]!)
  masked[K_IN_PORT] = inPort.no
  return { key: masked, mask }
}

/** Traces a packet with this key; `key`'s K_IN_PORT is not used. */
export const trace = (key: Int32Array, inPort: Port, verdict?: TraceVerdict): string => {
  const { tunnels } = inPort.bridge
  const names: OdpActionNames = { encap: (entry) => tunnels.layer?.entry(entry) }
  const packet = key.slice()
  packet[K_IN_PORT] = tunnels.ingress(inPort)
  const tree = new TraceTree()
  const result = translate({ key: packet, inPort, learn: false, used: 0, reporter: tree })
  const initial = asPipelineKey(packet, inPort)
  const lines = [
    `Flow: ${flowText(initial)}`,
    ...tree.lines(),
    '',
    `Final flow: ${sameKey(initial, result.flow) ? 'unchanged' : flowText(result.flow)}`,
    `Megaflow: ${megaflowText(megaflow(packet, inPort, result))}`,
    `Datapath actions: ${formatOdpActions(result.actions, names)}`,
  ]
  if (result.error !== null) lines.push(`Translation failed (${result.error}), packet is dropped.`)
  else if (verdict !== undefined) {
    const match = matchOf(packet, datapathMask(result.wc, packet))
    const text = verdict({ inPort, match, actions: result.actions })
    if (text !== '') lines.push(text)
  }
  return lines.join('\n')
}

/** The text of a complete key; the action set's output only when there is one. */
const flowText = (flow: Int32Array): string => {
  if (flow[K_ACTSET_OUTPUT] !== OFPP_UNSET) return formatFlow(flow)
  const shown = flow.slice()
  shown[K_ACTSET_OUTPUT] = 0
  return formatFlow(shown)
}
