/** One bridge br0 with ports 1..4 (datapath ports 11..14) and LOCAL (10), its rules, and what becomes of a flow. */
import { createKey, K_IN_PORT } from '../../../src/flow/key.ts'
import { formatOdpActions } from '../../../src/flow/odp-text.ts'
import { formatMatch, parseFlow } from '../../../src/flow/ofp-text.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import type { Bridge } from '../../../src/ofproto/bridge.ts'
import { Ofproto } from '../../../src/ofproto/ofproto.ts'
import { parseTraceArgs } from '../../../src/ofproto/trace.ts'
import type { XlateResult } from '../../../src/ofproto/translate/context.ts'
import { translate } from '../../../src/ofproto/translate/translate.ts'

export const addPorts = (bridge: Bridge, dpBase: number, ports: readonly number[]): void => {
  for (const no of ports) bridge.addPort({ name: `${bridge.name}-${no}`, dpPort: dpBase + no, ofport: no })
}

export const bridgeWith = (...rules: string[]): { ofproto: Ofproto; bridge: Bridge; clock: ManualClock } => {
  const clock = new ManualClock()
  const ofproto = new Ofproto(clock)
  const bridge = ofproto.addBridge('br0', { normal: false })
  bridge.addPort({ name: 'br0', dpPort: 10 })
  addPorts(bridge, 10, [1, 2, 3, 4])
  for (const rule of rules) bridge.tables.add(parseFlow(rule))
  return { ofproto, bridge, clock }
}

export interface Translated {
  readonly result: XlateResult
  readonly actions: string
  /** Without in_port and recirc_id. */
  readonly megaflow: string
}

/** Translates a flow of br0; in_port=1 unless it says otherwise. */
export const translated = (ofproto: Ofproto, flow: string): Translated => {
  const { key, inPort } = parseTraceArgs(ofproto, ['br0', flow.includes('in_port') ? flow : `in_port=1,${flow}`])
  const packet = key.slice()
  packet[K_IN_PORT] = inPort.dpPort
  const result = translate({ key: packet, inPort, learn: false, used: 0, reporter: null })
  const mask = result.wc.slice()
  mask[K_IN_PORT] = 0
  mask[0] = 0
  const masked = createKey()
  packet.forEach((word, i) => {
    masked[i] = word & mask[i]!
  })
  return { result, actions: formatOdpActions(result.actions), megaflow: formatMatch({ key: masked, mask }) }
}

/** Actions of a flow under these rules. */
export const actionsOf = (rules: readonly string[], flow: string): string =>
  translated(bridgeWith(...rules).ofproto, flow).actions

/** The same, for one rule that matches everything. */
export const act = (actions: string, flow: string): string => actionsOf([`actions=${actions}`], flow)

export const TCP =
  'tcp,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,tp_src=5,tp_dst=80'
