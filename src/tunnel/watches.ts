/**
 * Where packets of a peer are expected to enter, for flows that decapsulate them: the way back to the peer shows it, each member of a multipath route being a
 * possible ingress. Ways are watched while such flows exist. Main thread.
 */
import { addressText } from '../flow/address.ts'
import type { OdpAction } from '../flow/odp.ts'
import { VXLAN_PORT } from '../packet/vxlan.ts'
import type { IngressMember, IngressResult } from './contract.ts'
import { DEFAULT_TOS, DEFAULT_TTL } from './header.ts'
import { incomingKey } from './outer-key.ts'
import { bytesKey, type Look, type WaySpec } from './way.ts'
import type { Way, Ways } from './ways.ts'

export interface Watch {
  readonly key: string
  readonly peer: Uint8Array
  readonly local: Uint8Array | undefined
  /** Those who watch. */
  count: number
  readonly ways: Set<Way>
  /** Last piece of work in which it was looked at. */
  examined: number
}

export interface WatchesParts {
  readonly ways: Ways
  /** Looks along a way that is new, or watched as of now; not at once where that cannot be. */
  readonly examine: (way: Way) => void
}

const keyOf = (peer: Uint8Array, local: Uint8Array | undefined): string =>
  `${bytesKey(peer)}|${local ? bytesKey(local) : ''}`

const specOf = (peer: Uint8Array, local: Uint8Array | undefined, dstPort: number): WaySpec => ({
  peer,
  ...(local ? { local } : {}),
  tos: DEFAULT_TOS,
  ttl: DEFAULT_TTL,
  dstPort,
})

export class Watches {
  readonly #parts: WatchesParts
  readonly #watches = new Map<string, Watch>()

  constructor(parts: WatchesParts) {
    this.#parts = parts
  }

  get size(): number {
    return this.#watches.size
  }

  watch(peer: Uint8Array, local: Uint8Array | undefined): void {
    const key = keyOf(peer, local)
    let watch = this.#watches.get(key)
    if (!watch) {
      watch = { key, peer, local, count: 0, ways: new Set(), examined: -1 }
      this.#watches.set(key, watch)
      this.#add(watch, specOf(peer, local, VXLAN_PORT))
    }
    watch.count++
  }

  /** Throws when it was not watched. */
  unwatch(peer: Uint8Array, local: Uint8Array | undefined): void {
    const watch = this.#watches.get(keyOf(peer, local))
    if (!watch) throw new Error(`${addressText(peer)} is not watched`)
    if (--watch.count > 0) return
    this.#watches.delete(watch.key)
    for (const way of watch.ways) {
      way.watches.delete(watch)
      this.#parts.ways.updateWanted(way)
      this.#parts.ways.drop(way)
    }
  }

  /** TunnelView.ingress. Of a peer that is not watched it is looked up each time. */
  ingress(peer: Uint8Array, local: Uint8Array, dstPort: number): IngressResult {
    const spec = specOf(peer, local, dstPort)
    let way: Way | undefined
    // Both who watch it from this address and who do from any hear of it.
    for (const from of [local, undefined]) {
      const watch = this.#watches.get(keyOf(peer, from))
      if (watch) way = this.#add(watch, spec)
    }
    return ingressOf(spec, local, way?.look ?? this.#parts.ways.peek(spec))
  }

  #add(watch: Watch, spec: WaySpec): Way {
    const way = this.#parts.ways.get(spec)
    if (way.watches.has(watch)) return way
    const first = way.watches.size === 0
    way.watches.add(watch)
    watch.ways.add(way)
    this.#parts.ways.updateWanted(way)
    if (first || way.looked < 0) this.#parts.examine(way)
    return way
  }
}

const outputsOf = (actions: readonly OdpAction[], out: Set<number>): Set<number> => {
  for (const action of actions)
    if (action.type === 'output') out.add(action.port)
    else if (action.type === 'clone') outputsOf(action.actions, out)
  return out
}

const ingressOf = (spec: WaySpec, local: Uint8Array, { answer, hops, chosen, outcome }: Look): IngressResult => {
  const none = (check: Extract<IngressResult, { type: 'none' }>['check'], detail: string): IngressResult => ({
    type: 'none',
    check,
    detail,
  })
  const members: IngressMember[] = []
  let waits: IngressResult | undefined
  let fails: IngressResult | undefined
  const alternatives = answer.type === 'found' ? (answer.alternatives ?? []) : []
  for (const hop of hops) {
    // These are no members of the route: packets go there only while the member that they should take fails.
    if (hop !== chosen && alternatives.includes(hop.member)) continue
    if (hop.type === 'refused') {
      fails ??= none('no-route', hop.detail)
      continue
    }
    const { port, neighbour, nextHop, translation } = hop
    if (neighbour.type !== 'found' || !translation) {
      const who = `${addressText(nextHop.address)} on ${port.name}`
      if (neighbour.type === 'failed') fails ??= none('neighbour-failed', `${who} does not answer`)
      else waits ??= none('neighbour-pending', `${who} is not known yet`)
      continue
    }
    const { way } = translation
    const outputs = [...outputsOf(way.actions, new Set())]
    const to = `what ${port.name} sends to ${addressText(spec.peer)}`
    if (way.ambiguous) return none('underlay-ambiguous', `rules send ${to} different ways`)
    if (outputs.length > 1) return none('underlay-ambiguous', `${to} leaves by several ports`)
    if (way.dropped !== undefined || outputs.length === 0) {
      fails ??= none('no-route', `${to} is dropped${way.dropped === undefined ? '' : `: ${way.dropped}`}`)
      continue
    }
    const uplink = outputs[0]!
    members.push({ port: uplink, key: incomingKey(spec, port, local, neighbour.lladdr, uplink, way.vlan) })
  }
  // One that is not known yet may turn out to be on another NIC; one that fails sends nothing.
  if (waits) return waits
  if (members.length > 0) return { type: 'found', members: members.sort((a, b) => a.port - b.port) }
  return fails ?? none('no-route', outcome.detail)
}
