/** Runs of bits in a key, counted from the most significant bit of word 0. At most 128 bits; control path. */

export const readBits = (key: Int32Array, bit: number, bits: number): bigint => {
  const last = bit + bits - 1
  let value = 0n
  for (let word = bit >> 5; word <= last >> 5; word++) value = (value << 32n) | BigInt(key[word]! >>> 0)
  return (value >> BigInt(31 - (last & 31))) & ((1n << BigInt(bits)) - 1n)
}

/** Writes `value` where `mask` has ones. */
export const writeBits = (key: Int32Array, bit: number, bits: number, value: bigint, mask: bigint): void => {
  const last = bit + bits - 1
  const shift = BigInt(31 - (last & 31))
  const ones = (1n << BigInt(bits)) - 1n
  let m = (mask & ones) << shift
  let v = (value & mask & ones) << shift
  for (let word = last >> 5; word >= bit >> 5; word--) {
    const wm = Number(m & 0xffffffffn)
    key[word] = (key[word]! & ~wm) | Number(v & 0xffffffffn)
    m >>= 32n
    v >>= 32n
  }
}

/** True if the bits lie in one word: then there is no need for big integers. */
const inOneWord = (bit: number, bits: number): boolean => (bit & 31) + bits <= 32

const onesIn = (bit: number, bits: number): number =>
  (bits === 32 ? -1 : ((1 << bits) - 1) << (32 - bits - (bit & 31))) | 0

/** Sets all of the bits. */
export const setBits = (key: Int32Array, bit: number, bits: number): void => {
  const end = bit + bits
  for (let at = bit; at < end; ) {
    const n = Math.min(32 - (at & 31), end - at)
    key[at >> 5] = key[at >> 5]! | onesIn(at, n)
    at += n
  }
}

/** Copies bits within a key. False, and nothing is done, if either run crosses words. */
export const copyBits = (key: Int32Array, from: number, to: number, bits: number): boolean => {
  if (!inOneWord(from, bits) || !inOneWord(to, bits)) return false
  const value = (key[from >> 5]! & onesIn(from, bits)) >>> (32 - bits - (from & 31))
  const ones = onesIn(to, bits)
  key[to >> 5] = (key[to >> 5]! & ~ones) | ((value << (32 - bits - (to & 31))) & ones)
  return true
}
