/**
 * The way of a tunnel's outer packets to a peer, as values: which question is asked of the routes, what the answer leads to, and what of it an encap entry takes
 * over. One way serves all entries and all watches that ask the same.
 */
import { sameAddress } from '../flow/address.ts'
import type { EncapReason, EncapState } from '../flow/encap.ts'
import type { OdpAction } from '../flow/odp.ts'
import type { UnderlayPort, UnderlayWay } from './contract.ts'
import type { FibMember, FibResult } from './fib-contract.ts'
import type { NeighbourAnswer } from './neighbour-source.ts'
import type { NextHop } from './next-hops.ts'

/** All that the way depends on, of a packet. */
export interface WaySpec {
  readonly peer: Uint8Array
  /** Of the version of `peer`. */
  readonly local?: Uint8Array
  readonly tos: number | 'inherit'
  readonly ttl: number | 'inherit'
  readonly dstPort: number
}

/** Latin-1 text whose order is that of the bytes, for maps and sorted lists. */
export const bytesKey = (bytes: Uint8Array): string => String.fromCharCode(...bytes)

export const wayKey = ({ peer, local, tos, ttl, dstPort }: WaySpec): string =>
  `${bytesKey(peer)}|${local ? bytesKey(local) : ''}|${tos}|${ttl}|${dstPort}`

/** What the underlay's bridge does with it, and of which question that is the answer. */
export interface Translation {
  readonly way: UnderlayWay
  /** `way.actions` as a text, to compare. */
  readonly text: string
  /** The state of the bridges that it was made in. */
  readonly epoch: number
  readonly lladdr: Uint8Array
  readonly mac: Uint8Array
  readonly src: Uint8Array
  readonly dpPort: number
}

/** One member of the route, as far as it leads. */
export type Hop = HopRefused | HopOpen

/** It cannot be used: an interface that is no internal port, or down, or without address. */
export interface HopRefused {
  readonly type: 'refused'
  readonly member: FibMember
  readonly detail: string
}

export interface HopOpen {
  readonly type: 'open'
  readonly member: FibMember
  readonly port: UnderlayPort
  readonly src: Uint8Array
  readonly nextHop: NextHop
  readonly neighbour: NeighbourAnswer
  /** There when the neighbour is known. */
  readonly translation?: Translation
}

/** What entries take over. */
export interface Outcome {
  readonly state: EncapState
  readonly reason: EncapReason
  readonly detail: string
  /** LOST_* of state 'drop'. */
  readonly lost: number
  /** There when there is a route that can be used. */
  readonly local?: Uint8Array
  readonly port?: UnderlayPort
  /** 0: none. */
  readonly nextHop: number
  /** There when 'ready'. */
  readonly lladdr?: Uint8Array
  readonly mtu: number
  readonly actions: readonly OdpAction[]
  /** `actions` as a text, to compare. */
  readonly text: string
}

/** Everything that one look found. */
export interface Look {
  readonly answer: FibResult
  /** Those looked at: the chosen one; of watched ways all. */
  readonly hops: readonly Hop[]
  /** The one that packets take; of `hops`. */
  readonly chosen?: Hop
  readonly outcome: Outcome
}

/** Whether no entry would differ. */
export const sameOutcome = (a: Outcome, b: Outcome): boolean =>
  a.state === b.state &&
  a.reason === b.reason &&
  a.detail === b.detail &&
  a.lost === b.lost &&
  a.nextHop === b.nextHop &&
  a.mtu === b.mtu &&
  a.text === b.text &&
  a.port?.dpPort === b.port?.dpPort &&
  sameAddress(a.port?.mac, b.port?.mac) &&
  sameAddress(a.local, b.local) &&
  sameAddress(a.lladdr, b.lladdr)

const sameTranslation = (a: Translation | undefined, b: Translation | undefined): boolean =>
  a === b ||
  (a !== undefined &&
    b !== undefined &&
    a.text === b.text &&
    a.dpPort === b.dpPort &&
    a.way.ambiguous === b.way.ambiguous &&
    a.way.dropped === b.way.dropped &&
    a.way.vlan === b.way.vlan &&
    sameAddress(a.lladdr, b.lladdr) &&
    sameAddress(a.mac, b.mac) &&
    sameAddress(a.src, b.src))

const sameHop = (a: Hop, b: Hop): boolean => {
  if (a.type === 'refused' || b.type === 'refused')
    return a.type === 'refused' && b.type === 'refused' && a.detail === b.detail
  return (
    a.nextHop === b.nextHop && a.neighbour.type === b.neighbour.type && sameTranslation(a.translation, b.translation)
  )
}

/** Whether packets of the peer would be expected from the same places. */
export const sameHops = (a: readonly Hop[], b: readonly Hop[]): boolean =>
  a.length === b.length && a.every((hop, i) => sameHop(hop, b[i]!))
