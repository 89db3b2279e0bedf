/**
 * Datapath actions, as tier 1 hands them to tiers 2 and 3: executed in order, on one packet, by the cached flow that names them. The words are those of
 * `ovs-appctl dpctl/dump-flows` ("odp" syntax). An empty list drops.
 *
 * Ports are datapath port numbers. Encoded for the workers by program.ts; printed and parsed by odp-text.ts.
 */

/** Header that a `set` writes, as dpctl names it. */
export type SetHeader =
  | 'eth'
  | 'mpls'
  | 'ipv4'
  | 'ipv6'
  | 'arp'
  | 'nd'
  | 'tcp'
  | 'udp'
  | 'sctp'
  | 'icmp'
  | 'icmpv6'
  | 'skb_mark'
  | 'skb_priority'

/** Bits of one key word (key.ts) that a `set` writes; `value` is zero outside of `mask`. */
export interface SetWord {
  readonly word: number
  readonly value: number
  readonly mask: number
}

export type OdpAction =
  | { readonly type: 'output'; readonly port: number }
  /** `tci` has the CFI bit set, as in the key. */
  | { readonly type: 'push_vlan'; readonly tpid: number; readonly tci: number }
  | { readonly type: 'pop_vlan' }
  | { readonly type: 'push_mpls'; readonly ethertype: number; readonly lse: number }
  | { readonly type: 'pop_mpls'; readonly ethertype: number }
  /** Writes header fields; lengths and checksums follow. The packet is known, by the flow's match, to have that header. */
  | { readonly type: 'set'; readonly header: SetHeader; readonly words: readonly SetWord[] }
  /** Sets the recirculation id and looks the packet up again. Last action of a list. */
  | { readonly type: 'recirc'; readonly id: number }
  /** Runs on a copy; what follows sees the packet as before. */
  | { readonly type: 'clone'; readonly actions: readonly OdpAction[] }
  /** Cuts the packet to `maxLen` bytes for the next output only. */
  | { readonly type: 'trunc'; readonly maxLen: number }
  /**
   * Puts the outer header of an encap entry (flow/encap.ts) in front and does what the entry's underlay actions say. Consumes, like an output.
   */
  | { readonly type: 'tnl_push'; readonly entry: number }
  /** Takes the outer header off, notes it as tunnel metadata, and looks the inner packet up as received by `port`, a tunnel's. Consumes. */
  | { readonly type: 'tnl_pop'; readonly port: number }
  /** Looks the packet up again as received by `port`, without metadata: the second pass of a tunnelled packet whose underlay rules differ by flow. Consumes. */
  | { readonly type: 'reenter'; readonly port: number }
  /** Drop with a reason that is shown and counted; last action of a list. Unlike an empty list it is an error, not a decision; but with the reason 'taken' it is no loss, and not counted. */
  | { readonly type: 'drop'; readonly reason: string }
