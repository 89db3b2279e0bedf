/**
 * Numbers in network byte order at an offset. The caller has checked that the bytes are there; hot path, any thread.
 */

export const be16 = (b: Uint8Array, off: number): number => (b[off]! << 8) | b[off + 1]!

/** Signed: the same 32 bits that an Int32Array holds. */
export const be32 = (b: Uint8Array, off: number): number =>
  (b[off]! << 24) | (b[off + 1]! << 16) | (b[off + 2]! << 8) | b[off + 3]!

export const put16 = (b: Uint8Array, off: number, value: number): void => {
  b[off] = value >> 8
  b[off + 1] = value
}

export const put32 = (b: Uint8Array, off: number, value: number): void => {
  b[off] = value >> 24
  b[off + 1] = value >> 16
  b[off + 2] = value >> 8
  b[off + 3] = value
}

/** 48 bits (a MAC address) as a number below 2^48. Control path. */
export const be48 = (b: Uint8Array, off: number): number => be16(b, off) * 0x100000000 + (be32(b, off + 2) >>> 0)

export const put48 = (b: Uint8Array, off: number, value: number): void => {
  put16(b, off, Math.floor(value / 0x100000000))
  put32(b, off + 2, value | 0)
}
