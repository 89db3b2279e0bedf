/**
 * Encap entries: the outer header of a tunnel's packets and where they go then, shared by all flows to one endpoint. Tier 1's flows name an entry
 * (`tnl_push`); the main thread (src/tunnel) keeps its state up to date, and the workers of tiers 2 and 3 swap to the new content at a batch boundary.
 */
import type { OdpAction } from './odp.ts'

/** Flags of an entry. */
/** DSCP from the inner packet, when that is IP. ECN always is (RFC 6040, normal mode). */
export const ENCAP_TOS_INHERIT = 1
/** TTL from the inner packet, when that is IP. */
export const ENCAP_TTL_INHERIT = 2
/** Outer UDP checksum. Without it the field is zero (RFC 768; RFC 6935 for IPv6). */
export const ENCAP_CSUM = 4
/** Don't-fragment: also set in an IPv4 header's bytes. */
export const ENCAP_DF = 8

/** Entries that there can be at once. */
export const MAX_ENCAPS = 65536

/**
 * 'ready': packets go. 'pending': the next hop is being asked for; packets wait in tier 2, within bounds. 'drop': they are counted as lost
 * for `lost`.
 */
export type EncapState = 'ready' | 'pending' | 'drop'

/** Why an entry is as it is. Only 'valid' ones can be offloaded; 'underlay-ambiguous' ones work by a second pass in tier 2. */
export type EncapReason =
  | 'valid'
  | 'underlay-ambiguous'
  | 'neighbour-pending'
  | 'neighbour-failed'
  /** No route, or one that refuses; or a route through an interface that is no bridge's internal port. */
  | 'no-route'
  /** The way to the peer leads through a tunnel. */
  | 'tunnel-loop'
  /** The underlay's rules drop the outer packet, or cannot be told. */
  | 'underlay-drop'

export interface EncapEntry {
  /** 0 .. MAX_ENCAPS - 1. */
  readonly id: number
  readonly state: EncapState
  readonly reason: EncapReason
  /** A clause for people: 'no route to 10.0.0.2', '10.0.0.2 on br-phy does not answer'. */
  readonly detail: string
  /** LOST_* (execute.ts) of state 'drop'. */
  readonly lost: number
  /** Number of the next hop: entries with the same one share the bound on packets that wait. */
  readonly nextHop: number
  /** ENCAP_*. */
  readonly flags: number
  /** Outer IP version. */
  readonly version: 4 | 6
  /**
   * Outer Ethernet (no tag), IP, UDP and VXLAN headers: 50 or 70 bytes, network byte order. Per packet are filled in: lengths, IPv4 checksum and identification, UDP source
   * port and checksum (all zero here), ECN, and DSCP and TTL where inherited. Ethernet addresses are zero unless 'ready'.
   */
  readonly header: Uint8Array
  /** Largest outer IP packet that the underlay takes, in bytes; 0: no limit. Longer ones go to the main thread (Dpif.onTooBig). */
  readonly mtu: number
  /** What the underlay does with the outer packet; empty unless 'ready'. */
  readonly actions: readonly OdpAction[]
  /** Outer addresses, 4 or 16 bytes. `local` is known when there is a route. */
  readonly peer: Uint8Array
  readonly local?: Uint8Array
  /** Datapath port number of the tunnel (kind 'vxlan'), for dumps and for answers to packets that are too big. */
  readonly tunnelPort: number
  /** Datapath port number of the underlay bridge's internal port; -1 while not known. */
  readonly underlayPort: number
  /** Counts changes of this entry. */
  readonly generation: number
}
