/** Links: RTM_NEWLINK and its family (rtnetlink(7)). */
import { keepAttributes, type NetlinkMessage, payloadOf, rt, u32 } from './codec.ts'
import type { NetlinkSocket } from './socket.ts'

export const RTM_NEWLINK = 16
export const RTM_DELLINK = 17
export const RTM_GETLINK = 18
/** Multicast group of link news. */
export const RTNLGRP_LINK = 1

export interface Link {
  readonly ifindex: number
  readonly name: string
  /** Administratively (IFF_UP). */
  readonly up: boolean
  /** The wire has a signal, as the driver says (IFF_LOWER_UP): for a TAP, somebody has it open and TUNSETCARRIER is not off. */
  readonly carrier: boolean
  /** RFC 2863: 'up', 'down', 'lowerlayerdown', 'dormant', 'testing', 'notpresent', 'unknown'. */
  readonly operState: OperState
  readonly mtu: number
  /** 'aa:bb:cc:dd:ee:ff', or '' for links without addresses. */
  readonly mac: string
}

const OPER_STATES = ['unknown', 'notpresent', 'down', 'lowerlayerdown', 'testing', 'dormant', 'up'] as const

export type OperState = (typeof OPER_STATES)[number]

const IFLA_ADDRESS = 1
const IFLA_IFNAME = 3
const IFLA_MTU = 4
const IFLA_OPERSTATE = 16
const READ: ReadonlySet<number> = new Set([IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_OPERSTATE])
const IFINFOMSG_LEN = 16
const IFF_LOWER_UP = 0x10000
const IFF_UP = 1
/** IFLA_EXT_MASK: no statistics, which would be most of a dump. */
const RTEXT_FILTER_SKIP_STATS = 8

/** The link of a RTM_NEWLINK or RTM_DELLINK. Throws on a message that is none, or has no name. */
export const parseLink = (message: NetlinkMessage): Link => {
  const { data, attrs } = rt.parseLinkMessage(keepAttributes(message.data, IFINFOMSG_LEN, READ))
  if (data.index === undefined || attrs.ifname === undefined) throw new Error('a link without index or name')
  const flags = rt.formatDeviceFlags(data.flags ?? {})
  return {
    ifindex: data.index,
    name: attrs.ifname,
    up: (flags & IFF_UP) !== 0,
    carrier: (flags & IFF_LOWER_UP) !== 0,
    operState: OPER_STATES[attrs.operstate ?? 0] ?? 'unknown',
    mtu: attrs.mtu ?? 0,
    mac: attrs.address ? [...attrs.address].map((byte) => byte.toString(16).padStart(2, '0')).join(':') : '',
  }
}

/** News of bridges about their ports come in the same group and are about other things (AF_BRIDGE). */
export const isLinkMessage = (message: NetlinkMessage): boolean =>
  (message.type === RTM_NEWLINK || message.type === RTM_DELLINK) && message.data[0] === 0

export const sameLink = (a: Link, b: Link): boolean =>
  a.name === b.name &&
  a.up === b.up &&
  a.carrier === b.carrier &&
  a.operState === b.operState &&
  a.mtu === b.mtu &&
  a.mac === b.mac

type LinkAttrs = Parameters<typeof rt.formatLinkMessage>[0]['attrs']
type LinkHeader = Parameters<typeof rt.formatLinkMessage>[0]['data']

const linkPayload = (data: LinkHeader, attrs: LinkAttrs): Buffer =>
  payloadOf((out) => rt.formatLinkMessage({ kind: 'link', data, attrs }, out))

export const linkDumpPayload = (): Buffer => linkPayload({}, { extMask: u32(RTEXT_FILTER_SKIP_STATS) })

/** By name or ifindex. Rejects with NetlinkError ENODEV when there is none. */
export const getLink = (socket: NetlinkSocket, which: string | number): Promise<Link> =>
  socket.get(
    RTM_GETLINK,
    typeof which === 'number'
      ? linkPayload({ index: which }, { extMask: u32(RTEXT_FILTER_SKIP_STATS) })
      : linkPayload({}, { ifname: which, extMask: u32(RTEXT_FILTER_SKIP_STATS) }),
    parseLink,
  )

/** All links of the namespace, by ifindex. */
export const dumpLinks = async (socket: NetlinkSocket): Promise<Map<number, Link>> => {
  const links = new Map<number, Link>()
  await socket.dump(
    RTM_GETLINK,
    linkDumpPayload(),
    (message) => {
      const link = parseLink(message)
      links.set(link.ifindex, link)
    },
    () => links.clear(),
  )
  return links
}

export interface LinkChange {
  readonly up?: boolean
  readonly mtu?: number
  /** 'aa:bb:cc:dd:ee:ff'. */
  readonly mac?: string
  readonly name?: string
}

/** Changes a link in one request; the kernel applies the parts in its own order and stops at the first that fails. */
export const setLink = (socket: NetlinkSocket, ifindex: number, change: LinkChange): Promise<void> => {
  if (ifindex <= 0) throw new RangeError(`ifindex ${ifindex}: a positive number expected`)
  return socket.change(
    RTM_NEWLINK,
    0,
    linkPayload(
      {
        index: ifindex,
        ...(change.up === undefined ? {} : { flags: change.up ? { up: true } : {}, change: { up: true } }),
      },
      {
        ...(change.mtu === undefined ? {} : { mtu: change.mtu }),
        ...(change.mac === undefined ? {} : { address: parseMac(change.mac) }),
        ...(change.name === undefined ? {} : { ifname: change.name }),
      },
    ),
  )
}

/** Removes a virtual link. */
export const deleteLink = (socket: NetlinkSocket, ifindex: number): Promise<void> => {
  if (ifindex <= 0) throw new RangeError(`ifindex ${ifindex}: a positive number expected`)
  return socket.change(RTM_DELLINK, 0, linkPayload({ index: ifindex }, {}))
}

const parseMac = (text: string): Buffer => {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text))
    throw new RangeError(`"${text}": a MAC address like 02:00:00:00:01:01 expected`)
  return Buffer.from(text.replaceAll(':', ''), 'hex')
}
