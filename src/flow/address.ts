/** IP addresses as bytes in network order (4 or 16), and their text (RFC 4291 section 2.2; printed as RFC 5952 asks). Control path only. */
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from './text-values.ts'

const bytesOf = (value: bigint, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => Number((value >> BigInt(8 * (length - 1 - i))) & 0xffn))

/** Undefined for what is no address. */
export const addressBytes = (text: string): Uint8Array | undefined => {
  const v4 = parseIpv4(text)
  if (v4 !== undefined) return bytesOf(v4, 4)
  const v6 = parseIpv6(text)
  return v6 === undefined ? undefined : bytesOf(v6, 16)
}

/** Of addresses of any kind, or of their absence. */
export const sameAddress = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean => {
  if (a === b) return true
  if (a === undefined || b === undefined || a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** `bytes`: 4 or 16. */
export const addressText = (bytes: Uint8Array): string => {
  let value = 0n
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  return bytes.length === 4 ? formatIpv4(value) : formatIpv6(value)
}

/** The four key words of an address (flow/key.ts, K_TUN_SRC and K_TUN_DST): IPv4 as ::ffff:a.b.c.d. */
export const addressToWords = (bytes: Uint8Array, words: Int32Array, at: number): void => {
  const word = (i: number): number => (bytes[i]! << 24) | (bytes[i + 1]! << 16) | (bytes[i + 2]! << 8) | bytes[i + 3]!
  if (bytes.length === 4) {
    words[at] = 0
    words[at + 1] = 0
    words[at + 2] = 0xffff
    words[at + 3] = word(0)
  } else for (let i = 0; i < 4; i++) words[at + i] = word(4 * i)
}

/** The reverse of `addressToWords`; undefined when all words are zero, which stands for no address. */
export const addressOfWords = (words: Int32Array, at: number): Uint8Array | undefined => {
  const mapped = words[at] === 0 && words[at + 1] === 0 && words[at + 2] === 0xffff
  if (!mapped && (words[at]! | words[at + 1]! | words[at + 2]! | words[at + 3]!) === 0) return undefined
  const out = new Uint8Array(mapped ? 4 : 16)
  for (let i = 0; i < out.length; i++) out[i] = words[at + (mapped ? 3 : i >> 2)]! >>> (24 - 8 * (i & 3))
  return out
}
