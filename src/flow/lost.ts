/** Why the interpreter of actions (execute.ts) gives a frame up, as numbers for the hot path; the tiers map them to their drop reasons. */

export const LOST_FLOW_DROP = 0
export const LOST_MALFORMED = 1
export const LOST_TRANSLATION = 2
/** No slot for a copy: counted for the ingress port, the original goes on. */
export const LOST_NO_COPY = 3
/** Encapsulation: what the state of its entry says. */
export const LOST_NO_ROUTE = 4
export const LOST_NEIGHBOUR_FAILED = 5
export const LOST_TUNNEL_LOOP = 6
/** More packets than may wait for one next hop, or for longer than they may. */
export const LOST_NEIGHBOUR_QUEUE = 7
export const LOST_NEIGHBOUR_TIMEOUT = 8
/** Too big for the underlay. */
export const LOST_TUNNEL_MTU = 9
/** Decapsulation: headers that are cut short or contradict each other, a wrong flag; a wrong checksum; RFC 6040's forbidden combination. */
export const LOST_DECAP_MALFORMED = 10
export const LOST_DECAP_CHECKSUM = 11
export const LOST_DECAP_ECN = 12
/** Tier 1's `drop` with a reason of that name: no tunnel port takes such a packet; a fragment of an outer packet. */
export const LOST_UNKNOWN_VNI = 13
export const LOST_OUTER_FRAGMENT = 14
/** No loss: tier 1 has taken the packet for itself. Not counted. */
export const LOST_TAKEN = 15
/** How many there are. */
export const LOST_REASONS = 16
