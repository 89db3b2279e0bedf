/**
 * The Internet checksum, RFC 1071. The TypeScript twin of the addon's kernels (native/). Incremental updates are the action interpreter's
 * (flow/execute-checksum.ts).
 *
 * Sums are of 16-bit words in network byte order; an odd last byte counts as the upper half of a word.
 */

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
