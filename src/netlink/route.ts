/**
 * Routes: RTM_NEWROUTE and its family (rtnetlink(7)), IPv4 and IPv6. Read by hand: of the package's route, multipath is a raw buffer, and
 * a burst of thousands of routes must not cost thousands of copies.
 */
import { attributes, type NetlinkMessage } from './codec.ts'

export const RTM_NEWROUTE = 24
export const RTM_DELROUTE = 25
export const RTM_GETROUTE = 26
export const RTNLGRP_IPV4_ROUTE = 7
export const RTNLGRP_IPV6_ROUTE = 11

/** Flags of a next hop. Dead: its link is down. Linkdown: its link has no carrier. */
export const RTNH_F_DEAD = 1
export const RTNH_F_LINKDOWN = 16

export const RT_TABLE_MAIN = 254
export const RT_TABLE_LOCAL = 255

export const AF_INET = 2
export const AF_INET6 = 10

const RTMSG_LEN = 12
const RTM_F_CLONED = 0x200
const RTNEXTHOP_LEN = 8
const RTA_DST = 1
const RTA_SRC = 2
const RTA_OIF = 4
const RTA_GATEWAY = 5
const RTA_PRIORITY = 6
const RTA_PREFSRC = 7
const RTA_METRICS = 8
const RTA_MULTIPATH = 9
const RTA_TABLE = 15
const RTA_VIA = 18
const RTA_PREF = 20
const RTA_NH_ID = 30
const RTAX_MTU = 2

const TYPES = [
  'unspec',
  'unicast',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
  'throw',
] as const

export type RouteType = (typeof TYPES)[number]

export interface NextHop {
  /** Ifindex; 0 for none. */
  readonly oif: number
  /** 4 or 16 bytes, whatever the family of the route (RFC 5549); absent: on link. */
  readonly via?: Uint8Array
  readonly weight: number
  /** RTNH_F_*. */
  readonly flags: number
}

export interface Route {
  readonly version: 4 | 6
  readonly table: number
  /** 4 or 16 bytes, host bits zero. */
  readonly dst: Uint8Array
  readonly length: number
  /** Only IPv6: who may use it. */
  readonly from?: { readonly bytes: Uint8Array; readonly length: number }
  readonly tos: number
  readonly type: RouteType
  /** RT_SCOPE_*: 0 universe, 253 link, 254 host. */
  readonly scope: number
  readonly protocol: number
  /** The metric; lower wins. */
  readonly priority: number
  readonly prefsrc?: Uint8Array
  /** The route's own MTU (RTAX_MTU); absent: that of its link. */
  readonly mtu?: number
  /** Only IPv6, of routers that advertise themselves (RFC 4191): -1 low, 0 medium, 1 high. */
  readonly preference: number
  /** Of a next-hop object; 0: the route has its own. */
  readonly nexthopId: number
  /** As the message lists them; with an object, only where the kernel spells it out. */
  readonly nexthops: readonly NextHop[]
}

const family = (data: Buffer): 4 | 6 | undefined => (data[0] === AF_INET ? 4 : data[0] === AF_INET6 ? 6 : undefined)

/** Of IPv4 or IPv6 unicast tables, and no entry of a cache. */
export const isRouteMessage = (message: NetlinkMessage): boolean =>
  (message.type === RTM_NEWROUTE || message.type === RTM_DELROUTE) &&
  message.data.length >= RTMSG_LEN &&
  family(message.data) !== undefined &&
  (message.data.readUInt32LE(8) & RTM_F_CLONED) === 0

/** Copies, since messages do not outlive the call. */
const address = (data: Buffer): Uint8Array => {
  if (data.length !== 4 && data.length !== 16) throw new Error(`an address of ${data.length} bytes; 4 or 16 expected`)
  return Uint8Array.from(data)
}

/** The first `length` bits of an address of `size` bytes, the rest zero. */
const prefixBytes = (data: Buffer | undefined, length: number, size: number): Uint8Array => {
  const out = new Uint8Array(size)
  if (length > size * 8 || (data !== undefined && data.length > size))
    throw new Error('a prefix longer than an address')
  if (data) out.set(data)
  for (let i = length >> 3; i < size; i++) out[i] = i === length >> 3 ? out[i]! & (0xff00 >> (length & 7)) : 0
  return out
}

const number = (data: Buffer, from: number, to: number): number => {
  if (to - from < 4) throw new Error('a number of 4 bytes expected')
  return data.readUInt32LE(from)
}

const PREFERENCES: readonly number[] = [0, 1, 0, -1]

const mtuOf = (metrics: Buffer): number | undefined => {
  for (const { type, data } of attributes(metrics))
    if (type === RTAX_MTU && data.length >= 4) return data.readUInt32LE(0) || undefined
  return undefined
}

const via = (data: Buffer): Uint8Array => {
  if (data.length < 2) throw new Error('a gateway without family')
  return address(data.subarray(2))
}

function* multipath(data: Buffer): Generator<NextHop> {
  let at = 0
  while (at + RTNEXTHOP_LEN <= data.length) {
    const length = data.readUInt16LE(at)
    if (length < RTNEXTHOP_LEN || at + length > data.length) throw new Error('a next hop longer than its message')
    let gateway: Uint8Array | undefined
    for (const attribute of attributes(data.subarray(at + RTNEXTHOP_LEN, at + length))) {
      if (attribute.type === RTA_GATEWAY) gateway = address(attribute.data)
      else if (attribute.type === RTA_VIA) gateway = via(attribute.data)
    }
    yield {
      oif: data.readInt32LE(at + 4),
      weight: data[at + 3]! + 1,
      flags: data[at + 2]!,
      ...(gateway ? { via: gateway } : {}),
    }
    at += (length + 3) & ~3
  }
}

/** The route of a RTM_NEWROUTE or RTM_DELROUTE. Throws on what is none: callers ask isRouteMessage first and count what throws. */
export const parseRoute = (message: NetlinkMessage): Route => {
  const { data } = message
  const version = data.length < RTMSG_LEN ? undefined : family(data)
  const type = TYPES[data[7] ?? 0]
  if (version === undefined || type === undefined) throw new Error('a route of IPv4 or IPv6 expected')
  const size = version === 4 ? 4 : 16
  const flags = data.readUInt32LE(8) & 0xff
  let table = data[4]!
  let dst: Buffer | undefined
  let src: Buffer | undefined
  let oif = 0
  let gateway: Uint8Array | undefined
  let priority = 0
  let prefsrc: Uint8Array | undefined
  let mtu: number | undefined
  let preference = 0
  let nexthopId = 0
  let hops: NextHop[] | undefined
  // As `attributes` does it, but without an object for each: tables of a hundred thousand routes are read at one go.
  for (let at = RTMSG_LEN, length = 0; at + 4 <= data.length; at += (length + 3) & ~3) {
    length = data[at]! | (data[at + 1]! << 8)
    if (length < 4 || at + length > data.length) break
    const from = at + 4
    const to = at + length
    switch ((data[at + 2]! | (data[at + 3]! << 8)) & 0x3fff) {
      case RTA_DST:
        dst = data.subarray(from, to)
        break
      case RTA_SRC:
        src = data.subarray(from, to)
        break
      case RTA_OIF:
        oif = number(data, from, to)
        break
      case RTA_GATEWAY:
        gateway = address(data.subarray(from, to))
        break
      case RTA_VIA:
        gateway = via(data.subarray(from, to))
        break
      case RTA_PRIORITY:
        priority = number(data, from, to)
        break
      case RTA_PREFSRC:
        prefsrc = address(data.subarray(from, to))
        break
      case RTA_METRICS:
        mtu = mtuOf(data.subarray(from, to))
        break
      case RTA_PREF:
        preference = PREFERENCES[data[from] ?? 0] ?? 0
        break
      case RTA_TABLE:
        table = number(data, from, to)
        break
      case RTA_NH_ID:
        nexthopId = number(data, from, to)
        break
      case RTA_MULTIPATH:
        hops = [...multipath(data.subarray(from, to))]
        break
    }
  }
  hops ??= oif === 0 && !gateway ? [] : [{ oif, weight: 1, flags, ...(gateway ? { via: gateway } : {}) }]
  return {
    version,
    table,
    dst: prefixBytes(dst, data[1]!, size),
    length: data[1]!,
    ...(data[2] ? { from: { bytes: prefixBytes(src, data[2], size), length: data[2] } } : {}),
    tos: data[3]!,
    type,
    scope: data[6]!,
    protocol: data[5]!,
    priority,
    ...(prefsrc ? { prefsrc } : {}),
    ...(mtu === undefined ? {} : { mtu }),
    preference,
    nexthopId,
    nexthops: hops,
  }
}

/** Asks for all tables of one version. */
export const routeDumpPayload = (version: 4 | 6): Buffer => {
  const out = Buffer.alloc(RTMSG_LEN)
  out[0] = version === 4 ? AF_INET : AF_INET6
  return out
}
