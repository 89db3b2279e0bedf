/** Results of putting outer headers on and taking them off, beside LOST_*, which are not negative. */
export const TUNNEL_OK = -1
/** Pop: the inner packet would have to be written (RFC 6040), which the caller did not allow. Nothing was changed. */
export const POP_NEEDS_ECN = -2
/** Push: longer than the underlay takes. Nothing was changed. */
export const PUSH_TOO_BIG = -3
