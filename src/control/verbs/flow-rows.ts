/** One cached flow with its verdict, as data and as dpctl's text. */
import type { DpFlow, FlowStats } from '../../datapath/contract.ts'
import { formatOdpActions, formatOdpFlow, formatOdpMatch } from '../../flow/odp-text.ts'
import { explain } from '../../offload/explain.ts'
import type { Verdict } from '../../offload/verdict.ts'
import type { FlowReply } from '../replies.ts'
import type { SwitchView } from './context.ts'

export interface FlowTextOptions {
  readonly verbose?: boolean
  readonly names?: boolean
  /** Which layer has the flow; true unless told. dpif/dump-flows does not say. */
  readonly layers?: boolean
}

/** Encap entries are written out. */
const portNames = (view: SwitchView, names: boolean | undefined) => ({
  encap: (id: number) => view.ofproto.tunnels.layer?.entry(id),
  ...(names ? { portName: (no: number) => view.dpif.port(no)?.name } : {}),
})

export const flowReply = (view: SwitchView, flow: DpFlow, verdict: Verdict, options: FlowTextOptions): FlowReply => {
  const stats: FlowStats = { packets: 0, bytes: 0, used: 0, tcpFlags: 0 }
  view.dpif.flowStats(flow.id, stats)
  const names = portNames(view, options.names)
  const now = view.clock.now()
  const reply: FlowReply = {
    ufid: flow.ufid,
    match: formatOdpMatch(flow.match, { ...names, verbose: options.verbose ?? false }),
    actions: formatOdpActions(flow.actions, names),
    packets: stats.packets,
    bytes: stats.bytes,
    used: stats.used === 0 ? null : Math.max(0, now - stats.used) / 1000,
    offloaded: verdict.state === 'offloaded',
    why: explain(verdict, { now }),
  }
  if (view.udpif.flow(flow.id)?.preinstalled) reply.preinstalled = true
  if (verdict.eswitch !== undefined) reply.eswitch = verdict.eswitch
  if (verdict.state === 'refused') reply.reason = verdict.check
  return reply
}

export const flowLine = (view: SwitchView, flow: DpFlow, verdict: Verdict, options: FlowTextOptions): string => {
  const stats: FlowStats = { packets: 0, bytes: 0, used: 0, tcpFlags: 0 }
  view.dpif.flowStats(flow.id, stats)
  const { verbose = false, layers = true } = options
  const line = formatOdpFlow(
    {
      ...(layers ? { ufid: flow.ufid } : {}),
      match: flow.match,
      packets: stats.packets,
      bytes: stats.bytes,
      usedMs: stats.used === 0 ? undefined : view.clock.now() - stats.used,
      tcpFlags: stats.tcpFlags,
      ...(layers && verdict.state === 'offloaded' ? { offloaded: 'yes' } : {}),
      ...(layers ? { dp: verdict.state === 'offloaded' ? verdict.eswitch : 'tapswitch' } : {}),
      preinstalled: layers && view.udpif.flow(flow.id)?.preinstalled === true,
      actions: flow.actions,
    },
    { verbose, ...portNames(view, options.names) },
  )
  return verbose && !layers ? `ufid:${flow.ufid} ${line}` : line
}
