/** Next-hop objects: RTM_NEWNEXTHOP and its family (ip-nexthop(8)). */
import { attributes, type NetlinkMessage } from './codec.ts'

export const RTM_NEWNEXTHOP = 104
export const RTM_DELNEXTHOP = 105
export const RTM_GETNEXTHOP = 106
export const RTNLGRP_NEXTHOP = 32

const NHMSG_LEN = 8
const NHA_ID = 1
const NHA_GROUP = 2
const NHA_BLACKHOLE = 4
const NHA_OIF = 5
const NHA_GATEWAY = 6
const NHA_FDB = 11
const GROUP_ENTRY_LEN = 8

export interface NextHopObject {
  readonly id: number
  /** Ifindex; 0 for groups and blackholes. */
  readonly oif: number
  /** 4 or 16 bytes; absent: on link. */
  readonly via?: Uint8Array
  readonly blackhole: boolean
  /** RTNH_F_*. */
  readonly flags: number
  /** Present for groups. */
  readonly group?: readonly { readonly id: number; readonly weight: number }[]
}

export const isNexthopMessage = (message: NetlinkMessage): boolean =>
  message.type === RTM_NEWNEXTHOP || message.type === RTM_DELNEXTHOP

/** Undefined for an object of a bridge's FDB, which no route can use. Throws on what is no next hop. */
export const parseNexthop = (message: NetlinkMessage): NextHopObject | undefined => {
  const { data } = message
  if (data.length < NHMSG_LEN) throw new Error('a next-hop object cut off')
  let id = 0
  let oif = 0
  let via: Uint8Array | undefined
  let blackhole = false
  let group: { id: number; weight: number }[] | undefined
  for (const { type, data: value } of attributes(data.subarray(NHMSG_LEN))) {
    if (type === NHA_FDB) return undefined
    if (type === NHA_ID) id = value.readUInt32LE(0)
    else if (type === NHA_OIF) oif = value.readUInt32LE(0)
    else if (type === NHA_BLACKHOLE) blackhole = true
    else if (type === NHA_GATEWAY) via = Uint8Array.from(value)
    else if (type === NHA_GROUP) {
      group = []
      for (let at = 0; at + GROUP_ENTRY_LEN <= value.length; at += GROUP_ENTRY_LEN)
        group.push({ id: value.readUInt32LE(at), weight: value[at + 4]! + (value[at + 5]! << 8) + 1 })
    }
  }
  if (id === 0) throw new Error('a next-hop object without id')
  if (via && via.length !== 4 && via.length !== 16) throw new Error('a gateway of 4 or 16 bytes expected')
  return { id, oif, blackhole, flags: data.readUInt32LE(4), ...(via ? { via } : {}), ...(group ? { group } : {}) }
}

export const nexthopDumpPayload = (): Buffer => Buffer.alloc(NHMSG_LEN)
