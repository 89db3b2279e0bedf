/** Verbs of the learned addresses, with OVS's names and texts: fdb/show, fdb/flush, fdb/stats-show. */

import { OFPP_LOCAL } from '../../flow/ofp.ts'
import { formatEthernet } from '../../flow/text-values.ts'
import type { Bridge } from '../../ofproto/bridge.ts'
import type { VerbRegistry } from '../registry.ts'
import type { FdbEntry } from '../replies.ts'
import { bridgeOf, type SwitchView } from './context.ts'

const entries = (bridge: Bridge): FdbEntry[] =>
  [...bridge.macs.entries()].map((entry) => ({
    port: entry.bundle.port.no,
    name: entry.bundle.name,
    vlan: entry.vlan,
    mac: formatEthernet(BigInt(entry.mac)),
    age: bridge.macs.age(entry),
  }))

const showText = (rows: readonly FdbEntry[]): string =>
  [
    ' port  VLAN  MAC                Age',
    ...rows.map(({ port, vlan, mac, age }) => {
      const label = port === OFPP_LOCAL ? 'LOCAL' : String(port)
      return `${label.padStart(5)}  ${String(vlan).padStart(4)}  ${mac}  ${String(age).padStart(3)}`
    }),
    '',
  ].join('\n')

export const registerFdbVerbs = (registry: VerbRegistry, view: SwitchView): void => {
  registry.register('fdb/show', 'BRIDGE', 1, 1, ([name]) => {
    const rows = entries(bridgeOf(view, name!))
    return { text: showText(rows), json: rows }
  })

  registry.register('fdb/flush', '[BRIDGE]', 0, 1, ([name]) => {
    for (const bridge of name === undefined ? view.ofproto.bridges() : [bridgeOf(view, name)]) bridge.macs.flush()
    return { text: 'table successfully flushed\n' }
  })

  registry.register('fdb/stats-show', 'BRIDGE', 1, 1, ([name]) => {
    const { macs } = bridgeOf(view, name!)
    const { learned, expired, evicted, moved } = macs.counters
    return {
      text:
        `Statistics for bridge "${name}":\n  Current/maximum MAC entries in the table: ${macs.size}/${macs.max}\n` +
        '  Current static MAC entries in the table : 0\n' +
        `  Total number of learned MAC entries     : ${learned}\n  Total number of expired MAC entries     : ${expired}\n` +
        `  Total number of evicted MAC entries     : ${evicted}\n  Total number of port moved MAC entries  : ${moved}\n`,
      json: { current: macs.size, max: macs.max, learned, expired, evicted, moved },
    }
  })
}
