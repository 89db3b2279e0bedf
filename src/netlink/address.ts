/** Addresses of links: RTM_NEWADDR and its family (rtnetlink(7)). */
import { isIP } from 'node:net'
import { parseIpv6 } from '../flow/text-values.ts'
import { attributes, keepAttributes, type NetlinkMessage, NLM_F_CREATE, NLM_F_EXCL, payloadOf, rt } from './codec.ts'
import type { NetlinkSocket } from './socket.ts'

export const RTM_NEWADDR = 20
export const RTM_DELADDR = 21
export const RTM_GETADDR = 22
export const RTNLGRP_IPV4_IFADDR = 5
export const RTNLGRP_IPV6_IFADDR = 9

/** IPv4: not the first of its subnet; IPv6: temporary (RFC 8981). */
export const IFA_F_SECONDARY = 0x01
export const IFA_F_OPTIMISTIC = 0x04
/** Another host answered for it. */
export const IFA_F_DADFAILED = 0x08
export const IFA_F_DEPRECATED = 0x20
export const IFA_F_TENTATIVE = 0x40

const AF_INET = 2
const AF_INET6 = 10
const IFADDRMSG_LEN = 8
const IFA_ADDRESS = 1
const IFA_LOCAL = 2
const IFA_FLAGS = 8
const READ: ReadonlySet<number> = new Set([IFA_ADDRESS, IFA_LOCAL])

export interface Address {
  readonly ifindex: number
  /** 4 or 6. */
  readonly version: 4 | 6
  /** 4 or 16 bytes. */
  readonly bytes: Uint8Array
  readonly prefixLength: number
  /** RT_SCOPE_*: 0 universe, 253 link, 254 host. */
  readonly scope: number
  /** IFA_F_*. */
  readonly flags: number
}

/** The address of a RTM_NEWADDR or RTM_DELADDR. Throws on what is none. */
export const parseAddress = (message: NetlinkMessage): Address => {
  const { data, attrs } = rt.parseAddressMessage(keepAttributes(message.data, IFADDRMSG_LEN, READ))
  // On a point-to-point link IFA_ADDRESS is the other end.
  const bytes = attrs.local ?? attrs.address
  const version = data.family === AF_INET ? 4 : data.family === AF_INET6 ? 6 : undefined
  if (!bytes || version === undefined || bytes.length !== (version === 4 ? 4 : 16))
    throw new Error('an address message without address')
  return {
    ifindex: data.index ?? 0,
    version,
    bytes: Uint8Array.from(bytes),
    prefixLength: data.prefixlen ?? 0,
    scope: message.data[3]!,
    flags: allFlags(message.data),
  }
}

/** The header has the lower eight of them only. */
const allFlags = (data: Buffer): number => {
  for (const { type, data: value } of attributes(data.subarray(IFADDRMSG_LEN)))
    if (type === IFA_FLAGS && value.length >= 4) return value.readUInt32LE(0)
  return data[2]!
}

export const isAddressMessage = (message: NetlinkMessage): boolean =>
  (message.type === RTM_NEWADDR || message.type === RTM_DELADDR) &&
  (message.data[0] === AF_INET || message.data[0] === AF_INET6)

export const addressDumpPayload = (): Buffer =>
  payloadOf((out) => rt.formatAddressMessage({ kind: 'address', data: {}, attrs: {} }, out))

/** '192.0.2.1/24' or '2001:db8::1/64'. Throws a RangeError that says what was expected. */
export const parseCidr = (text: string): { version: 4 | 6; bytes: Buffer; prefixLength: number } => {
  const [ip = '', length = '', ...rest] = text.split('/')
  const version = isIP(ip) as 0 | 4 | 6
  const max = version === 4 ? 32 : 128
  const prefixLength = /^\d{1,3}$/.test(length) ? Number(length) : -1
  if (version === 0 || rest.length > 0 || prefixLength < 0 || prefixLength > max)
    throw new RangeError(`"${text}": an address with prefix length like 192.168.0.1/24 expected`)
  return { version, bytes: version === 4 ? Buffer.from(ip.split('.').map(Number)) : ipv6Bytes(ip), prefixLength }
}

/** `ip` has passed isIP; a zone is left out. */
const ipv6Bytes = (ip: string): Buffer =>
  Buffer.from(parseIpv6(ip.replace(/%.*$/, ''))!.toString(16).padStart(32, '0'), 'hex')

const addressPayload = (ifindex: number, cidr: string): Buffer => {
  const { version, bytes, prefixLength } = parseCidr(cidr)
  const data = { family: version === 4 ? AF_INET : AF_INET6, prefixlen: prefixLength, index: ifindex }
  const attrs =
    version === 4
      ? { local: bytes, address: bytes, ...broadcast(bytes, prefixLength) }
      : { local: bytes, address: bytes }
  return payloadOf((out) => rt.formatAddressMessage({ kind: 'address', data, attrs }, out))
}

/** As `ip address add ... brd +`: all host bits one; none for /31 and /32 (RFC 3021). */
const broadcast = (bytes: Buffer, prefixLength: number): { broadcast?: Buffer } => {
  if (prefixLength >= 31) return {}
  const out = Buffer.alloc(4)
  out.writeUInt32BE((bytes.readUInt32BE() | (0xffffffff >>> prefixLength)) >>> 0)
  return { broadcast: out }
}

/** Rejects with NetlinkError EEXIST when the link has it already. */
export const addAddress = async (socket: NetlinkSocket, ifindex: number, cidr: string): Promise<void> =>
  socket.change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, addressPayload(ifindex, cidr))

export const deleteAddress = async (socket: NetlinkSocket, ifindex: number, cidr: string): Promise<void> =>
  socket.change(RTM_DELADDR, 0, addressPayload(ifindex, cidr))

/** All addresses of the namespace, IPv4 and IPv6. */
export const dumpAddresses = async (socket: NetlinkSocket): Promise<Address[]> => {
  const addresses: Address[] = []
  await socket.dump(
    RTM_GETADDR,
    addressDumpPayload(),
    (message) => addresses.push(parseAddress(message)),
    () => {
      addresses.length = 0
    },
  )
  return addresses
}
