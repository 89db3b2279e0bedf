/**
 * What the translation must always look at, what it need not have looked at, and what the datapath matches by necessity.
 */
import {
  K_DL_TYPE,
  K_DP_WORDS,
  K_IN_PORT,
  K_MPLS,
  K_NW,
  K_PIPE,
  K_RECIRC_ID,
  K_TP,
  K_TUN_DST,
  K_TUN_GBP,
  K_TUN_ID,
  K_TUN_META,
  K_TUN_SRC,
  K_TUN_TP,
  K_VLAN0,
  K_VLAN1,
  K_WORDS,
  VLAN_CFI,
} from '../../flow/key.ts'
import { ETH_IP, ETH_IPV6, ethType, ipProto, isIp, isMplsType, NW_FRAG, PROTO_ICMP, PROTO_ICMPV6 } from './packet.ts'

const TPID = 0xffff0000 | 0

const isTunnelled = (key: Int32Array): boolean =>
  (key[K_TUN_DST]! | key[K_TUN_DST + 1]! | key[K_TUN_DST + 2]! | key[K_TUN_DST + 3]!) !== 0

export const startWildcards = (wc: Int32Array, key: Int32Array): void => {
  wc[K_RECIRC_ID] = -1
  wc[K_IN_PORT] = -1
  wc[K_DL_TYPE] = 0xffff0000 | 0
  if (isIp(key)) wc[K_NW] = NW_FRAG
  if (isTunnelled(key)) {
    // Which tunnel port a packet came by is decided by these. TTL and transport ports decide nothing.
    wc.fill(-1, K_TUN_ID, K_TUN_ID + 2)
    wc[K_TUN_META] = 0xff00ffff | 0
    wc.fill(-1, K_TUN_SRC, K_TUN_DST + 4)
  }
}

/** `key` is the packet's as it came, `flow` as it is at the end of the pipeline. */
export const finishWildcards = (wc: Int32Array, key: Int32Array, flow: Int32Array): void => {
  for (let word = K_PIPE; word < K_WORDS; word++) wc[word] = 0
  const type = ethType(flow)
  const proto = ipProto(flow)
  if ((type === ETH_IP && proto === PROTO_ICMP) || (type === ETH_IPV6 && proto === PROTO_ICMPV6))
    wc[K_TP] = wc[K_TP]! & 0x00ff00ff
  for (const word of [K_VLAN0, K_VLAN1]) {
    // Written but not there before: pushed by an action, no fact about the packet.
    if (key[word]! >>> 16 === 0) wc[word] = 0
    else if ((wc[word]! & 0xffff) !== 0) wc[word] = wc[word]! | VLAN_CFI
  }
  // A later fragment has no ports: they are zero for all of them.
  if ((key[K_NW]! & 2) !== 0) wc[K_TP] = 0
  if (!isMplsType(ethType(key))) wc.fill(0, K_MPLS, K_MPLS + 3)
  if (!isTunnelled(key)) wc.fill(0, K_TUN_ID, K_TUN_GBP + 1)
}

/**
 * The mask of a datapath flow, from what the translation looked at. A flow always tells packets with and without each VLAN tag apart, and the tags'
 * TPIDs: the outer Ethernet types are as exact as the innermost one.
 */
export const datapathMask = (wc: Int32Array, key: Int32Array): Int32Array => toDatapathMask(wc.slice(), key)

/** The same, in place. */
export const toDatapathMask = (mask: Int32Array, key: Int32Array): Int32Array => {
  mask.fill(0, K_DP_WORDS)
  mask[K_VLAN0] = mask[K_VLAN0]! | VLAN_CFI
  if ((key[K_VLAN0]! & VLAN_CFI) !== 0) {
    mask[K_VLAN0] = mask[K_VLAN0]! | TPID
    mask[K_VLAN1] = mask[K_VLAN1]! | VLAN_CFI
    if ((key[K_VLAN1]! & VLAN_CFI) !== 0) mask[K_VLAN1] = mask[K_VLAN1]! | TPID
  }
  if (isTunnelled(key)) mask[K_TUN_TP] = 0
  return mask
}
