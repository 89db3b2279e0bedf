/** ofproto/trace: a packet's way through all three tiers. OVS's text, then what the eswitch would say. */
import { formatOdpActions, formatOdpMatch } from '../../flow/odp-text.ts'
import { explain } from '../../offload/explain.ts'
import { parseTraceArgs, type TracedFlow, trace } from '../../ofproto/trace.ts'
import type { VerbRegistry } from '../registry.ts'
import { asked, type SwitchView } from './context.ts'

export const registerTraceVerbs = (registry: VerbRegistry, view: SwitchView): void => {
  registry.register('ofproto/trace', '{BRIDGE OFPROTO_FLOW | DATAPATH_FLOW}', 1, 2, (args) => {
    const { key, inPort } = asked(() => parseTraceArgs(view.ofproto, args))
    let traced: TracedFlow | undefined
    let sentence = ''
    const text = trace(key, inPort, (flow) => {
      traced = flow
      sentence = explain(view.offload.wouldOffload(flow.match, flow.actions), { would: true })
      return `Offload: ${sentence}`
    })
    const names = {
      portName: (no: number) => view.dpif.port(no)?.name,
      encap: (entry: number) => view.ofproto.tunnels.layer?.entry(entry),
    }
    return {
      text: `${text}\n`,
      json: {
        text,
        ...(traced === undefined
          ? {}
          : {
              match: formatOdpMatch(traced.match, names),
              actions: formatOdpActions(traced.actions, names),
              offload: view.offload.wouldOffload(traced.match, traced.actions),
              why: sentence,
            }),
      },
    }
  })
}
