/** Bridges' internal ports that no host's stack owns: their addresses, and which of them is used. Such a port has no interface; its ifindex is a negative number. */
import { commonBits, covers } from './prefix-trie.ts'

export interface PortAddress {
  /** 4 or 16 bytes. */
  readonly bytes: Uint8Array
  readonly prefixLength: number
}

export interface OwnPort {
  /** Name of the bridge. */
  readonly name: string
  /** Below 0. */
  readonly ifindex: number
  /** Datapath port number. */
  readonly dpPort: number
  readonly mac: Uint8Array
  readonly addresses: readonly PortAddress[]
}

export const ownIfindex = (dpPort: number): number => -dpPort
export const isOwnIfindex = (ifindex: number): boolean => ifindex < 0

/** The address to speak to `target` from: of the longest prefix that covers it, else one with much in common. Undefined: none of its version. */
export const addressFor = (addresses: Iterable<PortAddress>, target: Uint8Array): Uint8Array | undefined => {
  let best: { readonly bytes: Uint8Array; readonly rank: number } | undefined
  for (const { bytes, prefixLength } of addresses) {
    if (bytes.length !== target.length) continue
    const rank = covers(bytes, prefixLength, target) ? 256 + prefixLength : commonBits(bytes, target, prefixLength)
    if (best === undefined || rank > best.rank) best = { bytes, rank }
  }
  return best?.bytes
}
