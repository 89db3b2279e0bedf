/** Verbs that program bridges: flow/add, flow/mod, flow/del, flow/dump, in ovs-ofctl's syntax. */

import type { FlowSpec } from '../../flow/ofp.ts'
import {
  type FlowKind,
  formatActions,
  formatFlowStats,
  formatMatch,
  type PortNames,
  parseFlow,
} from '../../flow/ofp-text.ts'
import type { Bridge } from '../../ofproto/bridge.ts'
import type { VerbRegistry } from '../registry.ts'
import { asked, bridgeOf, type SwitchView } from './context.ts'

const namesOf = (bridge: Bridge): PortNames => ({
  portByName: (name) => bridge.portByName(name)?.no,
  portName: (no) => bridge.port(no)?.name,
})

const parse = (bridge: Bridge, text: string, kind: FlowKind): FlowSpec =>
  asked(() => parseFlow(text, { kind, ...namesOf(bridge) }))

const STRICT = '--strict'

export const registerFlowVerbs = (registry: VerbRegistry, view: SwitchView): void => {
  registry.register('flow/add', 'BRIDGE FLOW', 2, 2, ([name, text]) => {
    const bridge = bridgeOf(view, name!)
    const spec = parse(bridge, text!, 'add')
    asked(() => bridge.tables.add(spec))
    return { text: '' }
  })

  registry.register('flow/mod', '[--strict] BRIDGE FLOW', 2, 3, (args) => {
    const [name, text] = args.filter((arg) => arg !== STRICT)
    const bridge = bridgeOf(view, name!)
    const spec = parse(bridge, text ?? '', 'modify')
    const done = asked(() => bridge.tables.modify(spec, args.includes(STRICT)))
    return { text: '', json: done }
  })

  registry.register('flow/del', '[--strict] BRIDGE [FLOW]', 1, 3, (args) => {
    const [name, text] = args.filter((arg) => arg !== STRICT)
    const bridge = bridgeOf(view, name!)
    const spec = parse(bridge, text ?? '', 'delete')
    const deleted = asked(() => bridge.tables.delete(spec, args.includes(STRICT)))
    return { text: '', json: { deleted } }
  })

  registry.register('flow/dump', '[--no-stats] BRIDGE [FLOW]', 1, 3, (args) => {
    const [name, text] = args.filter((arg) => arg !== '--no-stats')
    const bridge = bridgeOf(view, name!)
    const spec = parse(bridge, text ?? '', 'delete')
    // Show what has been counted so far, not what the last periodic pass knew.
    return view.udpif.settled().then(() => {
      const rules = asked(() => bridge.tables.dump(spec))
      const now = view.clock.now()
      const names = { ...namesOf(bridge), stats: !args.includes('--no-stats') }
      return {
        text: rules
          .map((rule) =>
            formatFlowStats(
              {
                ...rule,
                table: rule.table,
                durationMs: now - rule.created,
                hardMs: now - rule.modified,
                idleMs: now - rule.stats.used,
                packets: BigInt(rule.stats.packets),
                bytes: BigInt(rule.stats.bytes),
              },
              names,
            ),
          )
          .map((line) => `${line}\n`)
          .join(''),
        json: rules.map((rule) => ({
          table: rule.table,
          priority: rule.priority,
          cookie: `0x${rule.cookie.toString(16)}`,
          idleTimeout: rule.idleTimeout,
          hardTimeout: rule.hardTimeout,
          match: formatMatch(rule.match, namesOf(bridge)),
          actions: formatActions(rule.actions, namesOf(bridge)),
          packets: rule.stats.packets,
          bytes: rule.stats.bytes,
        })),
      }
    })
  })
}
