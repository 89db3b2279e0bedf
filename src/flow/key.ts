/**
 * The flow key: all that can be matched of one packet, as K_WORDS 32-bit words in an Int32Array.
 *
 * Words hold numbers in host order whose most significant bits are the first on the wire, so that byte order is decided once, at extraction. A *mask* has
 * the same layout, with ones where the key counts. Addresses of IPv4, IPv6 and ARP share words: whoever matches one has an exact match on the
 * Ethernet type with it (prerequisites, fields.ts), so they cannot be confused. Words from K_PIPE on exist only in tier 1; datapath and
 * eswitch compare the first K_DP_WORDS.
 */

/** Metadata. K_IN_PORT is a datapath port number in tiers 2 and 3, an OpenFlow port number inside a bridge's pipeline. */
export const K_RECIRC_ID = 0
export const K_IN_PORT = 1
export const K_MARK = 2
export const K_PRIORITY = 3
export const K_DP_HASH = 4
/** ct_state << 16 | ct_zone. */
export const K_CT_STATE = 5
export const K_CT_MARK = 6
/** 4 words. */
export const K_CT_LABEL = 7
/** 2 words. */
export const K_TUN_ID = 11
/** tos << 24 | ttl << 16 | flags. */
export const K_TUN_META = 13
/** tp_src << 16 | tp_dst. */
export const K_TUN_TP = 14
/** 4 words each; IPv4 as ::ffff:a.b.c.d; all zero when the packet came by no tunnel. */
export const K_TUN_SRC = 15
export const K_TUN_DST = 19
/** gbp_id << 8 | gbp_flags. */
export const K_TUN_GBP = 23

/** Layer 2: dl_dst is the 48 bits from K_ETH, dl_src the 48 bits after it (3 words). */
export const K_ETH = 24
/** dl_type << 16; below 0x600 never, 0x05ff for 802.2 LLC without SNAP Ethernet type. Innermost type, after VLAN tags. */
export const K_DL_TYPE = 27
/** TPID << 16 | TCI of the outer and the inner tag; the CFI bit (0x1000) is set when the tag is there, all zero when not. */
export const K_VLAN0 = 28
export const K_VLAN1 = 29
/** 3 label stack entries, outermost first. */
export const K_MPLS = 30

/** Layer 3: nw_src, ipv6_src or arp_spa; nw_dst, ipv6_dst or arp_tpa. 4 words each, IPv4 in the first, the others zero. */
export const K_NW_SRC = 33
export const K_NW_DST = 37
/** 20 bits, in the lower end. */
export const K_IPV6_LABEL = 41
/** nw_proto (or ARP opcode) << 24 | nw_tos << 16 | nw_ttl << 8 | nw_frag. */
export const K_NW = 42

/** Layer 4: tp_src (ICMP type) << 16 | tp_dst (ICMP code). */
export const K_TP = 43
/** tcp_flags << 16; for neighbour discovery the option type (nd_options_type) << 16. */
export const K_TCP_FLAGS = 44
/** 4 words. */
export const K_ND_TARGET = 45
/** arp_sha or nd_sll, then arp_tha or nd_tll: 48 bits each (3 words). */
export const K_ARP_HW = 49
/** IGMP group address, or nd_reserved. */
export const K_IGMP_GROUP = 52
/** NSH: flags << 24 | ttl << 16 | mdtype << 8 | np; then path header; then 4 context words. */
export const K_NSH = 53

export const K_DP_WORDS = 59

/** Tier 1 only: 16 registers, metadata (2 words), the action set's output, conj_id. */
export const K_PIPE = 59
export const K_REG = 59
export const K_METADATA = 75
export const K_ACTSET_OUTPUT = 77
export const K_CONJ_ID = 78
export const K_WORDS = 80

/** nw_frag bits, as in OpenFlow (NXM_NX_IP_FRAG): any fragment; not the first one. */
export const FRAG_ANY = 1
export const FRAG_LATER = 2

export const VLAN_CFI = 0x1000

/** A match: `key` where `mask` has ones. Words of `key` outside of the mask are zero. */
export interface Match {
  readonly key: Int32Array
  readonly mask: Int32Array
}

export const createKey = (): Int32Array => new Int32Array(K_WORDS)
export const createMatch = (): Match => ({ key: createKey(), mask: createKey() })

/** True if both select the same packets, by what the datapath looks at. */
export const sameMatch = (a: Match, b: Match): boolean => {
  for (let w = 0; w < K_DP_WORDS; w++)
    if (a.mask[w] !== b.mask[w] || (a.key[w]! & a.mask[w]!) !== (b.key[w]! & b.mask[w]!)) return false
  return true
}
