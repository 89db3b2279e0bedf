/**
 * What the mirror of a namespace's forwarding answers and tells (fib.ts). Main thread; nothing here waits.
 *
 * A look-up is a value: `found` with one way for a packet, or `none` with a reason. Answers stay good until a change *concerns* them: whoever keeps an
 * answer asks `concerns(change, query, answer)` for every change that it hears of, and looks up again where that says true. Changes are told from within the
 * event that caused them, after the whole event has been applied, so that a look-up from within a listener already answers by the new state; the silent
 * removals of the kernel (DESIGN, "The mirror of the kernel") are told when their cause is heard of, not when the dump has confirmed them.
 */
import { sameAddress } from '../flow/address.ts'
import type { RouteType } from '../netlink/route.ts'
import { covers } from './prefix-trie.ts'

export interface FibQuery {
  /** 4 or 16 bytes. */
  readonly dst: Uint8Array
  /** Absent: the FIB chooses. IPv4: must be an address of ours. */
  readonly src?: Uint8Array
  /** Ifindex; absent: sent by the host. */
  readonly iif?: number
  /** Ifindex: the packet is bound to this link. */
  readonly oif?: number
  readonly mark?: number
  /** The TOS byte or traffic class; its two low bits do not count. */
  readonly tos?: number
  readonly ipProto?: number
  readonly sport?: number
  readonly dport?: number
}

/** One way. */
export interface FibMember {
  /** Ifindex; that of `lo` for what is for us. */
  readonly oif: number
  /** The next hop, 4 or 16 bytes, whatever the version of the destination (RFC 5549); absent: the destination is on link. */
  readonly via?: Uint8Array
  /** That of the query, or of the route, or chosen; absent: we have no address to send from. */
  readonly src?: Uint8Array
  /** Its share of the flows, relative to those of the other members. */
  readonly weight: number
}

export interface FibFound extends FibMember {
  readonly type: 'found'
  /** Name of the link `oif`. */
  readonly dev: string
  /** 'unicast'; or 'local', 'broadcast', 'anycast', 'multicast'. */
  readonly routeType: RouteType
  /** 0 where IPv4 takes the destination as on link for want of a route, an `oif` being given. */
  readonly table: number
  /** Of the route that won. */
  readonly prefix: { readonly bytes: Uint8Array; readonly length: number }
  /** The route's own MTU (RTAX_MTU), smaller or larger than the link's; absent: the link's counts. */
  readonly mtu?: number
  /** All members, when the route has several: a flow takes one by its hash (memberFor). The first one is spelled out above. */
  readonly multipath?: readonly FibMember[]
  /**
   * Ways that the kernel may take instead, by what no mirror can know: among several IPv4 default routes it remembers which one it took last and goes by the
   * states of their neighbours; IPv6 hosts, but not routers, avoid next hops that have failed.
   */
  readonly alternatives?: readonly FibMember[]
}

export interface FibNone {
  readonly type: 'none'
  readonly why: NoRoute
}

export type FibResult = FibFound | FibNone

/** 'not-local': the source is no address of ours; 'no-link': the link asked for is not there, or down. The others are what a route or a rule says, or their want. */
export type NoRoute = 'no-route' | 'unreachable' | 'blackhole' | 'prohibit' | 'not-local' | 'no-link'

/** Where answers may be different now. */
export type FibChange =
  /** Whatever lies under the prefix, as destination; as the source that a query names, if `local`: the route is in the table that says which addresses are ours. */
  | {
      readonly kind: 'route'
      readonly family: 4 | 6
      readonly bytes: Uint8Array
      readonly length: number
      readonly local?: true
    }
  /** Rules have no prefix: everything. */
  | { readonly kind: 'rules' }
  /** State, name or MTU of a link: what leaves by it, or is bound to it. That other ways have opened is told by 'route'. */
  | { readonly kind: 'link'; readonly ifindex: number }
  /** An address came, went or changed: what has it as source, and wherever the FIB chose the source. */
  | { readonly kind: 'address'; readonly family: 4 | 6; readonly ifindex: number; readonly address: Uint8Array }
  /** Everything: news had been lost and have been made good, or more prefixes changed at once than are worth listing. */
  | { readonly kind: 'resync' }

/** All ways of an answer. */
export const waysOf = (result: FibFound): readonly FibMember[] =>
  result.alternatives ? [...(result.multipath ?? [result]), ...result.alternatives] : (result.multipath ?? [result])

/** Whether the answer to `query`, which was `answer` before the change, may be another one now. */
export const concerns = (change: FibChange, query: FibQuery, answer: FibResult): boolean => {
  const family = query.dst.length === 4 ? 4 : 6
  switch (change.kind) {
    case 'route':
      return (
        change.family === family &&
        (covers(change.bytes, change.length, query.dst) ||
          (query.src !== undefined && covers(change.bytes, change.length, query.src)))
      )
    case 'link':
      return (
        query.oif === change.ifindex ||
        query.iif === change.ifindex ||
        (answer.type === 'found' && waysOf(answer).some(({ oif }) => oif === change.ifindex))
      )
    case 'address':
      return change.family === family && (query.src === undefined || sameAddress(query.src, change.address))
    default:
      return true
  }
}

/** The member that a flow takes. `hash`: of what tells flows apart, 32 bits, well mixed. The same hash takes the same member while the set is the same. */
export const memberFor = (result: FibFound, hash: number): FibMember => {
  const { multipath } = result
  if (!multipath) return result
  let total = 0
  for (const { weight } of multipath) total += weight
  // As in the kernel, each member has a part of the hash space as large as its weight (RFC 2992, hash-threshold).
  const at = ((hash >>> 0) / 0x1_0000_0000) * total
  let bound = 0
  for (const member of multipath) {
    bound += member.weight
    if (at < bound) return member
  }
  return result
}
