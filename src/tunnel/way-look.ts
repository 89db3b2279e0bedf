/**
 * One look along a way: route, member, underlay port, neighbour, underlay rules. Every stage that is "not yet" or "no" ends it with an outcome that says so.
 * Main thread; nothing waits.
 */
import { addressText, sameAddress } from '../flow/address.ts'
import {
  LOST_FLOW_DROP,
  LOST_NEIGHBOUR_FAILED,
  LOST_NO_ROUTE,
  LOST_TRANSLATION,
  LOST_TUNNEL_LOOP,
} from '../flow/execute.ts'
import type { OdpAction } from '../flow/odp.ts'
import type { UnderlayPorts, UnderlayTranslator } from './contract.ts'
import { type FibFound, type FibMember, type FibNone, type FibQuery, memberFor } from './fib-contract.ts'
import type { NeighbourSource } from './neighbour-source.ts'
import type { NextHops } from './next-hops.ts'
import { outgoingKey, varyingBits } from './outer-key.ts'
import type { RouteSource } from './route-source.ts'
import type { Hop, HopOpen, Look, Outcome, Translation, WaySpec } from './way.ts'

/** IPPROTO_UDP, for rules that ask. */
const UDP = 17
/** Of an inherited TOS, routes and rules see none: it differs by packet. */
const queryOf = ({ peer, local, tos, dstPort }: WaySpec): FibQuery => ({
  dst: peer,
  ...(local ? { src: local } : {}),
  ...(tos === 'inherit' ? {} : { tos: tos & 0xfc }),
  ipProto: UDP,
  dport: dstPort,
})

/** Of source and destination, as the kernel's default policy for multipath routes takes them; 32 bits, well mixed. */
export const wayHash = ({ peer, local }: Pick<WaySpec, 'peer' | 'local'>): number => {
  let hash = 0x811c9dc5
  if (local) for (const byte of local) hash = Math.imul(hash ^ byte, 0x01000193)
  for (const byte of peer) hash = Math.imul(hash ^ byte, 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

const NO_ACTIONS: readonly OdpAction[] = []

const refused = (detail: string): Outcome => ({
  state: 'drop',
  reason: 'no-route',
  detail,
  lost: LOST_NO_ROUTE,
  nextHop: 0,
  mtu: 0,
  actions: NO_ACTIONS,
  text: '',
})

const noRouteText = ({ why }: FibNone, { peer, local }: WaySpec): string => {
  const to = addressText(peer)
  switch (why) {
    case 'no-route':
      return `no route to ${to}`
    case 'not-local':
      return `${local ? addressText(local) : 'the source'} is no address of ours`
    case 'no-link':
      return `the link towards ${to} is not there, or down`
    default:
      return `the route to ${to} is of type ${why}`
  }
}

/** Why a route of such a type leads to no peer. */
const typeText = ({ routeType }: FibFound, peer: Uint8Array): string | undefined => {
  if (routeType === 'unicast') return undefined
  return routeType === 'local'
    ? `${addressText(peer)} is an address of our own`
    : `${addressText(peer)} is a ${routeType} address`
}

export interface LookOptions {
  /** All members of the route count, not only the one that packets take. */
  readonly watched: boolean
  /** Somebody depends on it: what is not known is asked for. */
  readonly wanted: boolean
  /** Packets want to go now. */
  readonly resolve: boolean
}

export interface LookerParts {
  readonly fib: Pick<RouteSource, 'lookup'>
  readonly neighbours: NeighbourSource
  readonly underlayPorts: UnderlayPorts
  readonly translator: UnderlayTranslator
}

export interface LookCounters {
  /** Looks along a way. */
  looks: number
  /** Translations of an outer packet through its bridge. */
  translations: number
}

export class Looker<W> {
  readonly counters: LookCounters = { looks: 0, translations: 0 }
  readonly #parts: LookerParts
  readonly #nextHops: NextHops<W>
  /** State of the bridges: translations of an older one are made anew. */
  #epoch = 0

  constructor(parts: LookerParts, nextHops: NextHops<W>) {
    this.#parts = parts
    this.#nextHops = nextHops
  }

  /** Something changed in the bridges. */
  bridgesChanged(): void {
    this.#epoch++
  }

  /** `previous`: what the last look found; what of it still holds is used again. */
  look(spec: WaySpec, options: LookOptions, previous: Look | undefined): Look {
    this.counters.looks++
    const answer = this.#parts.fib.lookup(queryOf(spec))
    if (answer.type === 'none') return { answer, hops: [], outcome: refused(noRouteText(answer, spec)) }
    const unfit = typeText(answer, spec.peer)
    if (unfit !== undefined) return { answer, hops: [], outcome: refused(unfit) }
    const member = memberFor(answer, wayHash(spec))
    const first = this.#hop(spec, answer, member, options, previous)
    const hops = [first]
    let chosen = first
    const others = (answer.multipath ?? []).filter((other) => other !== member)
    if (options.watched) for (const other of others) hops.push(this.#hop(spec, answer, other, options, previous))
    // What leads nowhere is passed by, as the kernel does with groups and default routes; it is looked at all the same, and taken again when it leads on.
    for (const other of [...others, ...(answer.alternatives ?? [])]) {
      if (rank(first) >= WAITING || rank(chosen) === FOUND) break
      let hop = hops.find((known) => known.member === other)
      if (!hop) {
        hop = this.#hop(spec, answer, other, options, previous)
        hops.push(hop)
      }
      if (rank(hop) > rank(chosen)) chosen = hop
    }
    const mtu = mtuOf(answer, chosen)
    const outcome = previous && sameSteps(previous, chosen, mtu) ? previous.outcome : outcomeOf(spec, chosen, mtu)
    return { answer, hops, chosen, outcome }
  }

  #hop(spec: WaySpec, answer: FibFound, member: FibMember, options: LookOptions, previous: Look | undefined): Hop {
    const { underlayPorts, neighbours } = this.#parts
    const port = underlayPorts.byIfindex(member.oif)
    if (!port) {
      const dev = member.oif === answer.oif ? answer.dev : `interface ${member.oif}`
      return refusedHop(member, `${addressText(spec.peer)} leaves by ${dev}, which is no internal port of a bridge`)
    }
    if (!port.up) return refusedHop(member, `${addressText(spec.peer)} leaves by ${port.name}, which is down`)
    const src = spec.local ?? member.src
    if (!src) return refusedHop(member, `${port.name} has no address to send to ${addressText(spec.peer)} from`)
    const address = member.via ?? spec.peer
    const nextHop = this.#nextHops.get(member.oif, address)
    let neighbour = neighbours.lookup(member.oif, address)
    if ((neighbour.type === 'none' && options.wanted) || (neighbour.type !== 'found' && options.resolve)) {
      neighbours.resolve(member.oif, address)
      neighbour = neighbours.lookup(member.oif, address)
    }
    const hop: HopOpen = { type: 'open', member, port, src, nextHop, neighbour }
    if (neighbour.type !== 'found') return hop
    return { ...hop, translation: this.#translation(spec, hop, neighbour.lladdr, options, previous) }
  }

  #translation(
    spec: WaySpec,
    { port, src, nextHop }: HopOpen,
    lladdr: Uint8Array,
    options: LookOptions,
    previous: Look | undefined,
  ): Translation {
    for (const hop of previous?.hops ?? []) {
      if (hop.type !== 'open' || hop.nextHop !== nextHop || !hop.translation) continue
      const old = hop.translation
      if (
        old.epoch === this.#epoch &&
        old.dpPort === port.dpPort &&
        sameAddress(old.lladdr, lladdr) &&
        sameAddress(old.mac, port.mac) &&
        sameAddress(old.src, src)
      )
        return old
    }
    this.counters.translations++
    const key = outgoingKey(spec, port, src, lladdr)
    const learn = options.wanted || options.resolve
    const way = this.#parts.translator.translate(port, key, varyingBits(spec), learn)
    const text = JSON.stringify(way.actions)
    return { way, text, epoch: this.#epoch, lladdr, mac: port.mac, src, dpPort: port.dpPort }
  }
}

/** UnderlayWay.dropped of rules that send a packet nowhere: a decision, not a fault. */
const RULES_DROP = 'flow-drop'

const REFUSED = 0
const FAILED = 1
const WAITING = 2
const FOUND = 3

/** How far a hop leads. */
const rank = (hop: Hop): number => {
  if (hop.type === 'refused') return REFUSED
  if (hop.neighbour.type === 'found') return FOUND
  return hop.neighbour.type === 'failed' ? FAILED : WAITING
}

const refusedHop = (member: FibMember, detail: string): Hop => ({ type: 'refused', member, detail })

const mtuOf = ({ mtu }: FibFound, hop: Hop): number => {
  if (hop.type === 'refused') return 0
  return mtu === undefined ? hop.port.mtu : Math.min(hop.port.mtu, mtu)
}

/** Whether the last look went by the same steps, so that its outcome, with all of its texts, still holds. */
const sameSteps = ({ chosen, outcome }: Look, hop: Hop, mtu: number): boolean =>
  chosen?.type === 'open' &&
  hop.type === 'open' &&
  chosen.nextHop === hop.nextHop &&
  chosen.port === hop.port &&
  chosen.translation === hop.translation &&
  chosen.neighbour.type === hop.neighbour.type &&
  sameAddress(chosen.src, hop.src) &&
  outcome.mtu === mtu

const outcomeOf = (spec: WaySpec, hop: Hop, mtu: number): Outcome => {
  if (hop.type === 'refused') return refused(hop.detail)
  const { port, src, nextHop, neighbour, translation } = hop
  const base = {
    local: src,
    port,
    nextHop: nextHop.number,
    mtu,
    actions: NO_ACTIONS,
    text: '',
    lost: 0,
  }
  const who = `${addressText(nextHop.address)} on ${port.name}`
  if (neighbour.type === 'failed') {
    const detail = `${who} does not answer`
    return { ...base, state: 'drop', reason: 'neighbour-failed', detail, lost: LOST_NEIGHBOUR_FAILED }
  }
  if (neighbour.type !== 'found' || !translation)
    return { ...base, state: 'pending', reason: 'neighbour-pending', detail: `${who} is not known yet` }
  const { way, text } = translation
  if (way.dropped === 'tunnel-loop') {
    const detail = `the way to ${addressText(spec.peer)} by ${port.name} leads through a tunnel`
    return { ...base, state: 'drop', reason: 'tunnel-loop', detail, lost: LOST_TUNNEL_LOOP }
  }
  if (way.dropped !== undefined) {
    const detail = `what ${port.name} sends to ${addressText(spec.peer)} is dropped: ${way.dropped}`
    const lost = way.dropped === RULES_DROP ? LOST_FLOW_DROP : LOST_TRANSLATION
    return { ...base, state: 'drop', reason: 'underlay-drop', detail, lost }
  }
  const { lladdr } = neighbour
  if (way.ambiguous) {
    const detail = `rules send packets of ${port.name} to ${addressText(spec.peer)} different ways`
    const actions: readonly OdpAction[] = [{ type: 'reenter', port: port.dpPort }]
    return { ...base, state: 'ready', reason: 'underlay-ambiguous', detail, lladdr, actions, text: 'reenter' }
  }
  if (way.actions.length === 0) {
    const detail = `what ${port.name} sends to ${addressText(spec.peer)} is dropped: ${RULES_DROP}`
    return { ...base, state: 'drop', reason: 'underlay-drop', detail, lost: LOST_FLOW_DROP }
  }
  const detail = `${who} is at ${macText(lladdr)}`
  return { ...base, state: 'ready', reason: 'valid', detail, lladdr, actions: way.actions, text }
}

export const macText = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':')
