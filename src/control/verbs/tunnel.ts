/** Verbs of tunnels and their underlay, with OVS's names and texts: tnl/ports/show, tnl/neigh/show, ovs/route/show, ovs/route/lookup. */
import { addressBytes, addressText } from '../../flow/address.ts'
import type { NextHop, Route } from '../../netlink/route.ts'
import { VerbError, type VerbRegistry } from '../registry.ts'
import type { NeighbourReply, RouteReply } from '../replies.ts'
import type { SwitchView, UnderlayView } from './context.ts'
import { lookupText, neighbourReply, neighbourTable, routeLine, routeReply } from './route-text.ts'

const parsed = (text: string): Uint8Array => {
  const bytes = addressBytes(text)
  if (!bytes) throw new VerbError(`${text}: an IPv4 or IPv6 address expected`)
  return bytes
}

const underlayOf = (view: SwitchView): UnderlayView => {
  const underlay = view.underlay()
  if (!underlay) throw new VerbError('this switch has no tunnels, so it follows no routes')
  return underlay
}

/** A route's own hops, or those of its next-hop object. */
const hopsOf = ({ fib }: UnderlayView, { nexthopId, nexthops }: Route): readonly NextHop[] => {
  const object = fib.nexthops.get(nexthopId)
  if (nexthops.length > 0 || object === undefined) return nexthops
  return (object.group ?? [{ id: object.id, weight: 1 }]).flatMap(({ id, weight }) => {
    const member = fib.nexthops.get(id)
    if (member === undefined || member.blackhole) return []
    const { oif, via, flags } = member
    return [{ oif, weight, flags, ...(via === undefined ? {} : { via }) }]
  })
}

/** Longest prefixes first, as Open vSwitch lists them. */
const routes = (underlay: UnderlayView): RouteReply[] =>
  [...underlay.fib.routes(4), ...underlay.fib.routes(6)]
    .sort((a, b) => b.length - a.length || a.version - b.version)
    .map((route) => routeReply(route, hopsOf(underlay, route), underlay.linkName))

const neighbours = ({ neighbours, bridgeOf }: UnderlayView): NeighbourReply[] =>
  [...neighbours.entries()].flatMap((n) => {
    const bridge = bridgeOf(n.ifindex)
    return bridge === undefined ? [] : [neighbourReply(n, bridge)]
  })

/** `pkt_mark=N` or nothing. */
const markOf = (text: string | undefined): number => {
  if (text === undefined) return 0
  const mark = /^pkt_mark=(0x[0-9a-fA-F]{1,8}|\d{1,10})$/.exec(text)?.[1]
  if (mark === undefined || Number(mark) > 0xffffffff) throw new VerbError(`${text}: pkt_mark=MARK expected`)
  return Number(mark) | 0
}

export const registerTunnelVerbs = (registry: VerbRegistry, view: SwitchView): void => {
  registry.register('tnl/ports/show', '[-v]', 0, 1, ([flag]) => {
    if (flag !== undefined && flag !== '-v') throw new VerbError(`${flag}: "-v" expected`)
    const { ports } = view.ofproto.tunnels
    const listening = ports.listening()
    const rows =
      flag === undefined
        ? listening.map((row) => `${row.name} (${row.dpPort ?? 'none'}) ref_cnt=${row.ports}\n`)
        : (view.underlay()?.decapsulated() ?? []).map(
            ({ name, dpPort, udpPort, mac, address }) =>
              `${name} (${dpPort}) : eth(dst=${mac}),eth_type(${address.length === 4 ? '0x0800),ipv4' : '0x86dd),ipv6'}(dst=${addressText(address)},proto=17,frag=no),udp(dst=${udpPort})\n`,
          )
    return { text: `Listening ports:\n${rows.join('')}`, json: listening }
  })

  for (const name of ['tnl/neigh/show', 'tnl/arp/show'])
    registry.register(name, '', 0, 0, () => {
      const rows = view.underlay() === undefined ? [] : neighbours(underlayOf(view))
      return { text: neighbourTable(rows), json: rows }
    })

  registry.register('ovs/route/show', '', 0, 0, () => {
    const rows = view.underlay() === undefined ? [] : routes(underlayOf(view))
    return { text: `Route Table:\n${rows.map((row) => `${routeLine(row)}\n`).join('')}`, json: rows }
  })

  registry.register('ovs/route/lookup', 'IP [pkt_mark=MARK]', 1, 2, ([ip, mark]) => {
    const { fib, linkName } = underlayOf(view)
    const dst = parsed(ip!)
    const found = fib.lookup({ dst, mark: markOf(mark) })
    if (found.type === 'none') throw new VerbError(`Not found: ${found.why}`)
    return { text: lookupText(found, dst.length, linkName) }
  })
}
