/** The outer addresses of tunnelled flows: read from matches, compared. Addresses are Uint8Arrays of 4 or 16 bytes. */
import { addressOfWords } from '../flow/address.ts'
import { K_TUN_DST, K_TUN_SRC, type Match } from '../flow/key.ts'

const isExact = (match: Match, at: number): boolean => {
  for (let i = 0; i < 4; i++) if (match.mask[at + i] !== -1) return false
  return true
}

/** Who sends decapsulated packets, and to which address of ours; undefined unless the flow matches both exactly. */
export const decapEnds = (match: Match): { peer: Uint8Array; local: Uint8Array } | undefined => {
  if (!isExact(match, K_TUN_SRC) || !isExact(match, K_TUN_DST)) return undefined
  const peer = addressOfWords(match.key, K_TUN_SRC)
  const local = addressOfWords(match.key, K_TUN_DST)
  return peer && local && { peer, local }
}

/** decapEnds, for flows one after the other: mostly the next one is of the same peer. */
export class DecapEnds {
  readonly #words = new Int32Array(8)
  #ends: ReturnType<typeof decapEnds>

  of(match: Match): ReturnType<typeof decapEnds> {
    if (!isExact(match, K_TUN_SRC) || !isExact(match, K_TUN_DST)) return undefined
    const words = this.#words
    let same = true
    for (let i = 0; i < 4; i++) {
      const [src, dst] = [match.key[K_TUN_SRC + i]!, match.key[K_TUN_DST + i]!]
      same &&= words[i] === src && words[i + 4] === dst
      words[i] = src
      words[i + 4] = dst
    }
    if (!same || !this.#ends) this.#ends = decapEnds(match)
    return this.#ends
  }
}

/** Equal for equal addresses; of one version, in the order of the addresses. */
export const addressKey = (address: Uint8Array): string =>
  `${address.length === 4 ? 4 : 6}:${Buffer.from(address).toString('hex')}`
