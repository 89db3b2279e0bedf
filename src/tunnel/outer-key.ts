/**
 * Flow keys (flow/key.ts) of a tunnel's outer packets: one that our host sends to a peer, with what differs between packets of one entry, and one that comes
 * from the peer by an uplink.
 */
import { createKey, K_DL_TYPE, K_ETH, K_IN_PORT, K_NW, K_NW_DST, K_NW_SRC, K_TP, K_VLAN0 } from '../flow/key.ts'
import { be16, be32 } from '../packet/bytes.ts'
import { ETH_TYPE_IPV4, ETH_TYPE_IPV6 } from '../packet/ethernet.ts'
import { IP_PROTO_UDP } from '../packet/ipv4.ts'
import type { UnderlayPort } from './contract.ts'
import { DEFAULT_TOS, DEFAULT_TTL } from './header.ts'
import type { WaySpec } from './way.ts'

/** Source ports are 32768 and above: the highest bit is the same in all. */
const SOURCE_PORT = 0x8000
const SOURCE_PORT_VARYING = 0x7fff
/** ECN is always copied (RFC 6040). */
const ECN = 0x03

const setEthernet = (key: Int32Array, dst: Uint8Array, src: Uint8Array): void => {
  key[K_ETH] = be32(dst, 0)
  key[K_ETH + 1] = (be16(dst, 4) << 16) | be16(src, 0)
  key[K_ETH + 2] = be32(src, 2)
}

const setAddress = (key: Int32Array, at: number, address: Uint8Array): void => {
  for (let i = 0; i < address.length; i += 4) key[at + (i >> 2)] = be32(address, i)
}

const setIp = (key: Int32Array, src: Uint8Array, dst: Uint8Array): void => {
  key[K_DL_TYPE] = (dst.length === 4 ? ETH_TYPE_IPV4 : ETH_TYPE_IPV6) << 16
  setAddress(key, K_NW_SRC, src)
  setAddress(key, K_NW_DST, dst)
}

/** As `port`'s host sends it. `lladdr`: of the next hop, `src`: ours. */
export const outgoingKey = (spec: WaySpec, port: UnderlayPort, src: Uint8Array, lladdr: Uint8Array): Int32Array => {
  const key = createKey()
  const tos = spec.tos === 'inherit' ? DEFAULT_TOS : spec.tos
  const ttl = spec.ttl === 'inherit' ? DEFAULT_TTL : spec.ttl
  key[K_IN_PORT] = port.dpPort
  setEthernet(key, lladdr, port.mac)
  setIp(key, src, spec.peer)
  key[K_NW] = (IP_PROTO_UDP << 24) | (tos << 16) | (ttl << 8)
  key[K_TP] = (SOURCE_PORT << 16) | spec.dstPort
  return key
}

/** Ones where packets of one entry differ. */
export const varyingBits = ({ tos, ttl }: WaySpec): Int32Array => {
  const mask = createKey()
  mask[K_NW] = ((tos === 'inherit' ? 0xff : ECN) << 16) | (ttl === 'inherit' ? 0xff00 : 0)
  mask[K_TP] = SOURCE_PORT_VARYING << 16
  return mask
}

/** As a packet of the peer enters by datapath port `uplink`. `vlan`: as a key word. TTL, TOS and source port are not known: zero. */
export const incomingKey = (
  spec: WaySpec,
  port: UnderlayPort,
  local: Uint8Array,
  lladdr: Uint8Array,
  uplink: number,
  vlan: number,
): Int32Array => {
  const key = createKey()
  key[K_IN_PORT] = uplink
  setEthernet(key, port.mac, lladdr)
  setIp(key, spec.peer, local)
  key[K_VLAN0] = vlan
  key[K_NW] = IP_PROTO_UDP << 24
  key[K_TP] = spec.dstPort
  return key
}
