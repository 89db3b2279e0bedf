/** Which address of ours a packet is sent from, when neither its sender nor its route says. */
import { sameAddress } from '../flow/address.ts'
import {
  type Address,
  IFA_F_DEPRECATED,
  IFA_F_OPTIMISTIC,
  IFA_F_SECONDARY,
  IFA_F_TENTATIVE,
} from '../netlink/address.ts'
import { commonBits, covers } from './prefix-trie.ts'

const SCOPE_LINK = 253
const SCOPE_HOST = 254

/** Addresses by ifindex, each list in the order of the kernel. */
export type Addresses = ReadonlyMap<number, readonly Address[]>

/** Ascending: the order in which the kernel looks at links. */
const links = (addresses: Addresses): number[] => [...addresses.keys()].sort((a, b) => a - b)

/**
 * IPv4: a primary address of the link whose scope reaches at least that of the route, one of the gateway's subnet before others; else a wide enough one of
 * any other link.
 */
export const sourceIpv4 = (
  addresses: Addresses,
  oif: number,
  gateway: Uint8Array | undefined,
  scope: number,
): Uint8Array | undefined => {
  const usable = (address: Address): boolean => address.version === 4 && (address.flags & IFA_F_SECONDARY) === 0
  let first: Uint8Array | undefined
  for (const address of addresses.get(oif) ?? []) {
    if (!usable(address) || Math.min(address.scope, SCOPE_HOST) > scope) continue
    if (!gateway || covers(gateway, address.prefixLength, address.bytes)) return address.bytes
    first ??= address.bytes
  }
  if (first) return first
  for (const ifindex of links(addresses))
    for (const address of addresses.get(ifindex)!)
      if (usable(address) && address.scope !== SCOPE_LINK && address.scope <= scope) return address.bytes
  return undefined
}

/** RFC 4291 section 2.5, RFC 4007: 1 interface, 2 link, 5 site, 14 global. */
const scopeOf = (a: Uint8Array): number => {
  if (a[0] === 0xff) return a[1]! & 15
  if (a[0] === 0xfe && (a[1]! & 0xc0) === 0x80) return 2
  if (a[0] === 0xfe && (a[1]! & 0xc0) === 0xc0) return 5
  return a.subarray(0, 15).every((byte) => byte === 0) && a[15] === 1 ? 2 : 14
}

const policy = (hex: string, length: number, label: number) => ({
  bytes: Uint8Array.from(Buffer.from(hex.padEnd(32, '0'), 'hex')),
  length,
  label,
})
/** RFC 6724 section 2.1, longest first, with the labels of the kernel, which has two more (ip-addrlabel(8)). */
const LABELS = [
  policy(`${'0'.repeat(31)}1`, 128, 0),
  policy(`${'0'.repeat(20)}ffff`, 96, 4),
  policy('', 96, 3),
  policy('20010000', 32, 6),
  policy('20010010', 28, 7),
  policy('3ffe', 16, 12),
  policy('2002', 16, 2),
  policy('fec0', 10, 11),
  policy('fc', 7, 5),
  policy('', 0, 1),
]
const labelOf = (a: Uint8Array): number => LABELS.find(({ bytes, length }) => covers(bytes, length, a))!.label

/** RFC 6724 section 5, without home addresses and with public ones before temporary ones, as the kernel's defaults are. */
export const sourceIpv6 = (addresses: Addresses, oif: number, dst: Uint8Array): Uint8Array | undefined => {
  const scope = scopeOf(dst)
  const label = labelOf(dst)
  const onlyThere = dst[0] === 0xff || scope <= 2
  /** One rule a place, higher is better, compared from the left. */
  const rank = (a: Address): number[] => {
    const own = scopeOf(a.bytes)
    return [
      sameAddress(a.bytes, dst) ? 1 : 0,
      own >= scope ? 128 - own : own - 128,
      (a.flags & (IFA_F_DEPRECATED | IFA_F_OPTIMISTIC)) === 0 ? 1 : 0,
      a.ifindex === oif ? 1 : 0,
      labelOf(a.bytes) === label ? 1 : 0,
      (a.flags & IFA_F_SECONDARY) === 0 ? 1 : 0,
      Math.min(commonBits(a.bytes, dst, 128), a.prefixLength),
    ]
  }
  let best: { readonly bytes: Uint8Array; readonly rank: number[] } | undefined
  for (const ifindex of onlyThere && oif !== 1 ? [oif] : links(addresses))
    for (const address of addresses.get(ifindex) ?? []) {
      if (address.version !== 6) continue
      if ((address.flags & (IFA_F_TENTATIVE | IFA_F_OPTIMISTIC)) === IFA_F_TENTATIVE) continue
      const mine = rank(address)
      const before = best?.rank
      const i = before ? mine.findIndex((value, at) => value !== before[at]) : -1
      if (!before || (i >= 0 && mine[i]! > before[i]!)) best = { bytes: address.bytes, rank: mine }
    }
  return best?.bytes
}
