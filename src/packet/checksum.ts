/**
 * The Internet checksum, RFC 1071, and its incremental update, RFC 1624 equation 3. The TypeScript twin of the
 * addon's kernels (native/), used where actions rewrite single header fields, by tests as the oracle, and where the
 * addon is absent.
 *
 * Sums are of 16-bit words in network byte order; an odd last byte counts as the upper half of a word.
 */
import { be16, put16 } from './bytes.ts'

/** Adds `len` bytes to a running sum, which stays below 2^32 + 2^16 for frames of up to 64 KiB. Not folded. */
export const checksumAdd = (sum: number, b: Uint8Array, off: number, len: number): number => {
  const end = off + len
  const even = end - (len & 1)
  let s = sum
  for (let p = off; p < even; p += 2) s += (b[p]! << 8) | b[p + 1]!
  return (len & 1) === 0 ? s : s + (b[even]! << 8)
}

/** Folds the carries of a running sum into 16 bits. */
export const checksumFold = (sum: number): number => {
  let s = sum
  while (s > 0xffff) s = (s & 0xffff) + Math.floor(s / 0x10000)
  return s
}

/**
 * The checksum of `len` bytes: what is stored in the header when its own field counted as zero; 0 when a stored one
 * is right.
 */
export const checksum = (b: Uint8Array, off: number, len: number): number =>
  ~checksumFold(checksumAdd(0, b, off, len)) & 0xffff

/**
 * Sum of the IPv4 pseudo header (RFC 793 section 3.1): addresses of the header at `l3`, protocol, `length` of the
 * transport part.
 */
export const pseudoIpv4 = (b: Uint8Array, l3: number, proto: number, length: number): number =>
  checksumAdd(proto + length, b, l3 + 12, 8)

/** Sum of the IPv6 pseudo header (RFC 8200 section 8.1). */
export const pseudoIpv6 = (b: Uint8Array, l3: number, proto: number, length: number): number =>
  checksumAdd(proto + (length >>> 16) + (length & 0xffff), b, l3 + 8, 32)

/**
 * The stored checksum `old` after one 16-bit word that it covers changed from `from` to `to`: HC' = ~(~HC + ~m + m').
 */
export const checksumUpdate16 = (old: number, from: number, to: number): number => {
  const sum = (~old & 0xffff) + (~from & 0xffff) + to
  const folded = (sum & 0xffff) + (sum >>> 16)
  return ~((folded & 0xffff) + (folded >>> 16)) & 0xffff
}

/**
 * Applies checksumUpdate16 to the field at `at`. `udp`: a stored 0 means "no checksum" and stays, and a computed 0 is
 * stored as 0xffff (RFC 768). Hot path.
 */
export const checksumPatch16 = (b: Uint8Array, at: number, from: number, to: number, udp: boolean): void => {
  const old = be16(b, at)
  if (udp && old === 0) return
  const now = checksumUpdate16(old, from, to)
  put16(b, at, udp && now === 0 ? 0xffff : now)
}
