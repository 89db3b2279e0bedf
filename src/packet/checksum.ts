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

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

/**
 * The same for long ranges of one big array of bytes, by words of 32 bits: several times as fast. Up to 64 KiB at once. Hot path.
 *
 * Words are read as the machine has them: swapping the bytes of the folded sum is the same as swapping those of each word (RFC 1071, 2(B)).
 */
export class WideChecksum {
  readonly #bytes: Uint8Array
  readonly #words: Int32Array | undefined

  /** `bytes` should begin at a multiple of 4 of its buffer, as an arena does; if not, it is merely slow. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    const aligned = (bytes.byteOffset & 3) === 0 && LITTLE_ENDIAN
    this.#words = aligned ? new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 2) : undefined
  }

  /** As checksumAdd. */
  add(sum: number, off: number, len: number): number {
    const b = this.#bytes
    const words = this.#words
    if (words === undefined || (off & 1) !== 0 || len < 64) return checksumAdd(sum, b, off, len)
    const head = off & 2
    const first = (off + head) >>> 2
    const last = (off + len) >>> 2
    // Each half of at most 16,384 words: below 2^31.
    let low = 0
    let high = 0
    for (let w = first; w < last; w++) {
      const word = words[w]!
      low += word & 0xffff
      high += word >>> 16
    }
    const folded = checksumFold(low + high)
    const swapped = ((folded & 0xff) << 8) | (folded >>> 8)
    return checksumAdd(checksumAdd(sum + swapped, b, off, head), b, last * 4, off + len - last * 4)
  }
}

/** Folds the carries of a running sum into 16 bits. */
export const checksumFold = (sum: number): number => {
  let s = sum
  while (s > 0xffff) s = (s & 0xffff) + ((s / 0x10000) | 0)
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
