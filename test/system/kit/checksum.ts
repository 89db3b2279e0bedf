/** Internet checksums (RFC 1071) for the tests' own view of frames: slow and obvious, independent of the switch's. */

/** 16-bit one's complement sum of b[off .. off + len), not complemented. */
export const sum16 = (b: Uint8Array, off: number, len: number, initial = 0): number => {
  let sum = initial
  for (let i = 0; i < len; i += 2) sum += (b[off + i]! << 8) | (i + 1 < len ? b[off + i + 1]! : 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return sum
}

/** Sum of the pseudo-header of IPv4 (RFC 793) or IPv6 (RFC 8200, 8.1): addresses, protocol, upper-layer length. */
export const pseudoSum = (
  b: Uint8Array,
  addresses: number,
  addressBytes: number,
  protocol: number,
  length: number,
): number => sum16(b, addresses, 2 * addressBytes, protocol + (length >>> 16) + (length & 0xffff))
