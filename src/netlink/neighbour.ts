/** Neighbours: RTM_NEWNEIGH and its family (rtnetlink(7)), IPv4 and IPv6. */
import { attributes, type NetlinkMessage } from './codec.ts'
import { AF_INET, AF_INET6 } from './route.ts'

export const RTM_NEWNEIGH = 28
export const RTM_DELNEIGH = 29
export const RTM_GETNEIGH = 30
export const RTNLGRP_NEIGH = 3

export const NUD_INCOMPLETE = 0x01
export const NUD_REACHABLE = 0x02
export const NUD_STALE = 0x04
export const NUD_DELAY = 0x08
export const NUD_PROBE = 0x10
export const NUD_FAILED = 0x20
export const NUD_NOARP = 0x40
export const NUD_PERMANENT = 0x80
/** The states in which the kernel sends to the address. */
export const NUD_VALID = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_NOARP | NUD_PERMANENT

const NDMSG_LEN = 12
const NDA_DST = 1
const NDA_LLADDR = 2
const NDA_FLAGS_EXT = 15
const NTF_EXT_MANAGED = 1
const NTF_PROXY = 8

export interface Neighbour {
  readonly ifindex: number
  readonly version: 4 | 6
  /** 4 or 16 bytes. */
  readonly address: Uint8Array
  /** NUD_*. */
  readonly state: number
  /** NTF_*. */
  readonly flags: number
  /** The kernel keeps it resolved by itself (NTF_EXT_MANAGED). */
  readonly managed: boolean
  /** Link-layer address; absent while unknown. */
  readonly lladdr?: Uint8Array
}

/** No bridge FDB entry and no proxy entry. */
export const isNeighbourMessage = (message: NetlinkMessage): boolean =>
  (message.type === RTM_NEWNEIGH || message.type === RTM_DELNEIGH) &&
  (message.data[0] === AF_INET || message.data[0] === AF_INET6) &&
  ((message.data[10] ?? 0) & NTF_PROXY) === 0

/** Throws on what is none. */
export const parseNeighbour = (message: NetlinkMessage): Neighbour => {
  const { data } = message
  const version = data[0] === AF_INET ? 4 : data[0] === AF_INET6 ? 6 : undefined
  if (data.length < NDMSG_LEN || version === undefined) throw new Error('a neighbour of IPv4 or IPv6 expected')
  let address: Uint8Array | undefined
  let lladdr: Uint8Array | undefined
  let managed = false
  for (const { type, data: value } of attributes(data.subarray(NDMSG_LEN))) {
    if (type === NDA_DST) address = Uint8Array.from(value)
    else if (type === NDA_LLADDR) lladdr = Uint8Array.from(value)
    else if (type === NDA_FLAGS_EXT) managed = (value.readUInt32LE(0) & NTF_EXT_MANAGED) !== 0
  }
  if (address?.length !== (version === 4 ? 4 : 16)) throw new Error('a neighbour without address')
  return {
    ifindex: data.readInt32LE(4),
    version,
    address,
    state: data.readUInt16LE(8),
    flags: data[10]!,
    managed,
    ...(lladdr ? { lladdr } : {}),
  }
}

export const neighbourDumpPayload = (): Buffer => Buffer.alloc(NDMSG_LEN)

const NTF_USE = 1

/**
 * RTM_NEWNEIGH (with NLM_F_CREATE) by which the kernel behaves as if it had a packet for the address: it asks for one that it does not know, and
 * confirms one that is stale. No state is set. `address`: 4 or 16 bytes.
 */
export const neighbourUsePayload = (ifindex: number, address: Uint8Array): Buffer => {
  const out = Buffer.alloc(NDMSG_LEN + 4 + address.length)
  out[0] = address.length === 4 ? AF_INET : AF_INET6
  out.writeInt32LE(ifindex, 4)
  out[10] = NTF_USE
  out.writeUInt16LE(4 + address.length, NDMSG_LEN)
  out.writeUInt16LE(NDA_DST, NDMSG_LEN + 2)
  out.set(address, NDMSG_LEN + 4)
  return out
}
