/** The outer addresses of tunnelled flows: read from matches, written as text, compared. Addresses are Uint8Arrays of 4 or 16 bytes. */
import { K_TUN_DST, K_TUN_SRC, type Match } from '../flow/key.ts'
import { formatIpv4, formatIpv6 } from '../flow/text-values.ts'

const MAPPED = 0xffff

/** Four key words as an address; ::ffff:a.b.c.d is an IPv4 one. */
const addressOf = (words: Int32Array, at: number): Uint8Array => {
  const mapped = words[at] === 0 && words[at + 1] === 0 && words[at + 2] === MAPPED
  const from = mapped ? 3 : 0
  const bytes = new Uint8Array(16 - from * 4)
  const view = new DataView(bytes.buffer)
  for (let i = from; i < 4; i++) view.setInt32((i - from) * 4, words[at + i]!)
  return bytes
}

const isExact = (match: Match, at: number): boolean => {
  for (let i = 0; i < 4; i++) if (match.mask[at + i] !== -1) return false
  return true
}

/** Who sends decapsulated packets, and to which address of ours; undefined unless the flow matches both exactly. */
export const decapEnds = (match: Match): { peer: Uint8Array; local: Uint8Array } | undefined =>
  isExact(match, K_TUN_SRC) && isExact(match, K_TUN_DST)
    ? { peer: addressOf(match.key, K_TUN_SRC), local: addressOf(match.key, K_TUN_DST) }
    : undefined

export const addressText = (address: Uint8Array): string => {
  let value = 0n
  for (const byte of address) value = (value << 8n) | BigInt(byte)
  return address.length === 4 ? formatIpv4(value) : formatIpv6(value)
}

/** Equal for equal addresses; of one version, in the order of the addresses. */
export const addressKey = (address: Uint8Array): string =>
  `${address.length === 4 ? 4 : 6}:${Buffer.from(address).toString('hex')}`
