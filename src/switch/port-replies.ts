/** What `port/show` tells: each port's place, state, and counters of all threads that handled its frames. Main thread. */
import type { PortReply } from '../control/replies.ts'
import type { EswitchClient } from '../eswitch/client.ts'
import type { Ofproto } from '../ofproto/ofproto.ts'
import { PORT_STAT_WORDS, PS_DROPS, PS_RX_BYTES, PS_RX_PACKETS, PS_TX_BYTES, PS_TX_PACKETS } from '../port/contract.ts'
import { DROP_REASONS } from '../port/drop.ts'
import { offloadNames } from './open-port.ts'
import { linkUp, type PortTable, type SwitchPort } from './ports.ts'

const sumAt = (views: readonly Float64Array[], no: number, at: number): number =>
  views.reduce((sum, stats) => sum + stats[no * PORT_STAT_WORDS + at]!, 0)

/** Those that were met. */
const dropsOf = (no: number, views: readonly Float64Array[]): Record<string, number> => {
  const drops: Record<string, number> = {}
  DROP_REASONS.forEach((reason, i) => {
    const n = sumAt(views, no, PS_DROPS + i)
    if (n > 0) drops[reason] = n
  })
  return drops
}

const reply = (port: SwitchPort, ofproto: Ofproto, views: readonly Float64Array[]): PortReply => {
  const { plan, no, link, opened } = port
  const member = ofproto.portByDp(no)
  return {
    name: plan.name,
    no,
    kind: plan.kind,
    admin: port.adminUp ? 'up' : 'down',
    link: linkUp(port) ? 'up' : 'down',
    ...(port.gone ? { gone: true as const } : {}),
    offloads: offloadNames(opened.offloads),
    rxPackets: sumAt(views, no, PS_RX_PACKETS),
    rxBytes: sumAt(views, no, PS_RX_BYTES),
    txPackets: sumAt(views, no, PS_TX_PACKETS),
    txBytes: sumAt(views, no, PS_TX_BYTES),
    drops: dropsOf(no, views),
    ...(member === undefined ? {} : { bridge: member.bridge.name, ofport: member.no }),
    ...(plan.eswitch === undefined ? {} : { eswitch: plan.eswitch }),
    ...(plan.role === undefined ? {} : { role: plan.role }),
    ...(plan.netns === undefined ? {} : { netns: plan.netns }),
    ...(link === undefined ? {} : { mtu: link.mtu, mac: link.mac }),
  }
}

/** `datapath`: tier 2's statistics. The datapath's ports of tunnels come next, patch and tunnel ports last. */
export const portReplies = (
  ports: PortTable,
  ofproto: Ofproto,
  datapath: Float64Array,
  eswitch: (name: string) => EswitchClient,
): PortReply[] => {
  const rows = [...ports.all()].map((port) =>
    reply(
      port,
      ofproto,
      port.plan.eswitch === undefined ? [datapath] : [eswitch(port.plan.eswitch).memory.portStats, datapath],
    ),
  )
  // Packets are counted at the tunnel ports that take them; here, what none took.
  for (const { name, no } of ports.tunnelPorts())
    rows.push({
      name,
      no,
      kind: 'vxlan',
      admin: 'up',
      link: 'up',
      rxPackets: 0,
      rxBytes: 0,
      txPackets: 0,
      txBytes: 0,
      drops: dropsOf(no, [datapath]),
    })
  for (const bridge of ofproto.bridges())
    for (const port of bridge.ports())
      if (port.kind !== 'dp')
        rows.push({
          name: port.name,
          bridge: bridge.name,
          ofport: port.no,
          kind: port.kind === 'patch' ? 'patch' : 'vxlan',
          admin: port.flags.down ? 'down' : 'up',
          link: port.kind === 'patch' && bridge.peerOf(port) === undefined ? 'down' : 'up',
          rxPackets: port.rxPackets,
          rxBytes: port.rxBytes,
          txPackets: port.txPackets,
          txBytes: port.txBytes,
          drops: {},
        })
  return rows
}
