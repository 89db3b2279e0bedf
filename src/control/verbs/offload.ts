/** Our own verbs of tier 3: offload/show, offload/why, offload/events, offload/set, eswitch/show, eswitch/fail. */

import { formatOdpActions, formatOdpMatch } from '../../flow/odp-text.ts'
import { explain } from '../../offload/explain.ts'
import { summaryText } from '../../offload/show.ts'
import { VerbError, type VerbRegistry } from '../registry.ts'
import type { EswitchReply, OffloadEventsReply, OffloadReply, WhyReply } from '../replies.ts'
import { asked, type SwitchView } from './context.ts'
import { flowReply } from './flow-rows.ts'
import { eventLine, eventReply, flowsOfPeers, parsePeers, tunnelReplies } from './offload-tunnels.ts'

/** Unless told. */
const EVENTS_SHOWN = 20

const sum = (counts: Readonly<Partial<Record<string, number>>>): number =>
  Object.values(counts).reduce((total: number, n) => total + (n ?? 0), 0)

const eswitchReplies = (view: SwitchView): EswitchReply[] => {
  const ports = view.ports()
  return view.offload.summary().eswitches.map((e) => ({
    name: e.name,
    switchId: e.switchId,
    state: e.state,
    profile: e.profile,
    rules: e.rules,
    capacity: e.capacity,
    ports: ports
      .filter((port) => port.eswitch === e.name)
      .map(({ name, role, link }) => ({ name, role: role ?? 'vf', link })),
    insertions: e.insertions,
    evictions: e.evictions,
    refusals: { ...e.refusals } as Record<string, number>,
    restarts: view.restarts(e.name),
  }))
}

const eswitchText = (e: EswitchReply): string =>
  `${e.name}: switch_id ${e.switchId} state ${e.state} profile ${e.profile} restarts ${e.restarts}\n` +
  `  rules ${e.rules}/${e.capacity}, inserted ${e.insertions}, evicted ${e.evictions}\n` +
  e.ports.map((port) => `  ${port.name}: ${port.role}, link ${port.link}\n`).join('')

export const registerOffloadVerbs = (registry: VerbRegistry, view: SwitchView): void => {
  registry.register('offload/show', '', 0, 0, () => {
    const summary = view.offload.summary()
    const json: OffloadReply = {
      enabled: summary.enabled,
      offloaded: summary.offloaded,
      refused: sum(summary.refused),
      byReason: { ...summary.refused } as Record<string, number>,
      tunnels: { ...summary.tunnels },
    }
    return { text: summaryText(summary), json }
  })

  registry.register('offload/why', '[UFID | PEER[/LEN]]', 0, 1, ([given]) => {
    const peers = given === undefined ? undefined : parsePeers(given)
    const ufid = peers ? undefined : given?.replace(/^ufid:/, '')
    const under = peers && flowsOfPeers(view, peers.bytes, peers.length)
    const names = {
      portName: (no: number) => view.dpif.port(no)?.name,
      encap: (id: number) => view.ofproto.tunnels.layer?.entry(id),
    }
    const found = [...view.offload.list()].filter(
      ({ flow }) => (under?.has(flow.id) ?? true) && (ufid === undefined || flow.ufid.startsWith(ufid)),
    )
    if (found.length === 0 && peers) throw new VerbError(`no flow has a tunnel's peer under ${given}`)
    if (found.length === 0 && ufid !== undefined) throw new VerbError(`no flow has a ufid that begins with ${ufid}`)
    const now = view.clock.now()
    return {
      text: found
        .map(
          ({ flow, verdict }) =>
            `ufid:${flow.ufid}, ${formatOdpMatch(flow.match, names)}, actions:${formatOdpActions(flow.actions, names)}\n` +
            [explain(verdict, { now }), ...tunnelReplies(view, flow.id).map(({ text }) => text)]
              .map((line) => `  ${line}\n`)
              .join(''),
        )
        .join(''),
      json: found.map(({ flow, verdict }): WhyReply => {
        const tunnels = tunnelReplies(view, flow.id)
        return {
          ...flowReply(view, flow, verdict, { names: true }),
          ...(verdict.state === 'refused' ? { retryOn: [...verdict.retryOn] } : {}),
          ...(tunnels.length > 0 ? { tunnels } : {}),
        }
      }),
    }
  })

  registry.register('offload/events', '[N]', 0, 1, ([given]) => {
    const n = given === undefined ? EVENTS_SHOWN : Number(given)
    if (!Number.isInteger(n) || n < 1) throw new VerbError(`${given}: a number of events, 1 or more, expected`)
    const now = performance.now()
    const { events, idle } = view.offload.summary().tunnels
    const json: OffloadEventsReply = {
      total: events,
      idle,
      events: view.offload.events(n).map((event) => eventReply(event, now)),
    }
    return { text: json.events.map(eventLine).join(''), json }
  })

  registry.register('offload/set', 'on|off [PORT]', 1, 2, ([state, port]) => {
    if (state !== 'on' && state !== 'off') throw new VerbError(`${state}: "on" or "off" expected`)
    const enabled = state === 'on'
    if (port === undefined) view.offload.setPolicy({ enabled })
    else {
      const dp = [...view.dpif.ports()].find((p) => p.name === port)
      if (!dp) throw new VerbError(`no datapath port ${port}`)
      view.offload.setPortPolicy(dp.no, { enabled })
    }
    return { text: '' }
  })

  registry.register('eswitch/show', '[NAME]', 0, 1, ([name]) => {
    const all = eswitchReplies(view)
    const rows = name === undefined ? all : all.filter((e) => e.name === name)
    if (rows.length === 0 && name !== undefined)
      throw new VerbError(`no eswitch ${name}; there are: ${all.map((e) => e.name).join(', ') || 'none'}`)
    return { text: rows.map(eswitchText).join(''), json: rows }
  })

  registry.register('eswitch/fail', 'NAME crash|hang', 2, 2, ([name, how]) => {
    if (how !== 'crash' && how !== 'hang') throw new VerbError(`${how}: "crash" or "hang" expected`)
    asked(() => view.failEswitch(name!, how))
    return { text: '' }
  })
}
