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
