/** Verbs of tunnels and their underlay, with OVS's names and texts: tnl/ports/show, tnl/neigh/show, ovs/route/show, ovs/route/lookup. */
import { addressText } from '../../flow/address.ts'
import type { NextHop, Route } from '../../netlink/route.ts'
import { connectedOf } from '../../tunnel/static-routes.ts'
import { VerbError, type VerbRegistry } from '../registry.ts'
import type { NeighbourReply, RouteReply } from '../replies.ts'
import type { SwitchView, UnderlayView } from './context.ts'
import {
  connectedReply,
  lookupText,
  neighbourReply,
  neighbourTable,
  routeLine,
  routeReply,
  userRouteReply,
} from './route-text.ts'
import { addressOf, markOf, underlayOf } from './underlay.ts'

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

/** Longest prefixes first, as Open vSwitch lists them; of equal ones the users' own. */
const routes = (underlay: UnderlayView): RouteReply[] => {
  const own = [
    ...[...underlay.routes.user()].map((route) => userRouteReply(route, underlay.routes.sourceOf(route))),
    ...underlay.stackless().flatMap(connectedOf).map(connectedReply),
  ]
  const kernel = [...underlay.fib.routes(4), ...underlay.fib.routes(6)].map((route) =>
    routeReply(route, hopsOf(underlay, route), underlay.linkName),
  )
  const key = ({ prefix }: RouteReply): [length: number, version: number] => [
    Number(prefix.split('/')[1]),
    prefix.includes(':') ? 6 : 4,
  ]
  return [...own, ...kernel]
    .map((row) => ({ row, key: key(row) }))
    .sort((a, b) => b.key[0] - a.key[0] || a.key[1] - b.key[1])
    .map(({ row }) => row)
}

const neighbours = ({ kernelNeighbours, ownNeighbours, bridgeOf }: UnderlayView): NeighbourReply[] =>
  [...kernelNeighbours(), ...ownNeighbours.entries()].flatMap((n) => {
    const bridge = bridgeOf(n.ifindex)
    return bridge === undefined ? [] : [neighbourReply(n, bridge)]
  })

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

  registry.register('ovs/route/lookup', 'IP [pkt_mark=MARK]', 1, 2, ([ip, word]) => {
    const { routes: all, linkName } = underlayOf(view)
    const dst = addressOf(ip!)
    const mark = word === undefined ? 0 : markOf(word)
    if (mark === undefined) throw new VerbError(`${word}: pkt_mark=MARK expected`)
    const found = all.lookup({ dst, mark })
    if (found.type === 'none') throw new VerbError(`Not found: ${found.why}`)
    return { text: lookupText(found, dst.length, linkName) }
  })
}
