/**
 * tun_src and tun_dst: the IPv4 view of an outer address, whose four words hold ::ffff:a.b.c.d. Actions see its last word only; the others follow from it. What an action makes of
 * an IPv6 address by this view is an IPv4 address.
 */
import type { Field } from '../../flow/fields.ts'
import { K_TUN_DST, K_TUN_SRC } from '../../flow/key.ts'

const IPV4_BITS = 32

/** First word of the address that the field is a view of, or -1. */
const addressAt = ({ bit, bits }: Field): number => {
  const at = (bit >> 5) - 3
  return bits === IPV4_BITS && (at === K_TUN_SRC || at === K_TUN_DST) ? at : -1
}

const isMapped = (flow: Int32Array, at: number): boolean =>
  flow[at] === 0 && flow[at + 1] === 0 && flow[at + 2] === 0xffff

/** False when `field` is such a view, of an address that is no IPv4 one: it reads as zero. */
export const isIpv4Address = (flow: Int32Array, field: Field): boolean => {
  const at = addressAt(field)
  return at < 0 || isMapped(flow, at)
}

/** Before a write. */
export const clearUnlessIpv4 = (flow: Int32Array, field: Field): void => {
  const at = addressAt(field)
  if (at >= 0 && !isMapped(flow, at)) flow.fill(0, at, at + 4)
}

/** After a write: 0.0.0.0 is no address. */
export const settleTunnelAddress = (flow: Int32Array, field: Field): void => {
  const at = addressAt(field)
  if (at >= 0) flow[at + 2] = flow[at + 3] === 0 ? 0 : 0xffff
}
