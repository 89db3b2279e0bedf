/** Statistics of flows and rules in shared memory: written by the thread that carries them, read by main. */
import { K_DL_TYPE, K_NW, K_TCP_FLAGS } from '../flow/key.ts'
import { ETH_TYPE_IPV4, ETH_TYPE_IPV6 } from '../packet/ethernet.ts'
import type { Arena } from '../packet/slot.ts'
import { wireBytes, wirePackets } from './stats.ts'

/** Words of one flow: packets and bytes as on the wire, clock milliseconds of the last packet, and one that is not counted in: so none straddles two lines of the processor's cache. */
export const ACCOUNT_WORDS = 4
const PACKETS = 0
const BYTES = 1
const USED = 2

const TCP = 6

export class FlowAccount {
  readonly #arena: Arena
  readonly #stats: Float64Array
  readonly #flags: Int32Array
  /** The clock's milliseconds, told once a round: as an argument of each call the number would be an object of the heap. */
  now = 0

  /** `stats`: ACCOUNT_WORDS a flow; `flags`: TCP flags seen, one word a flow. */
  constructor(arena: Arena, stats: Float64Array, flags: Int32Array) {
    this.#arena = arena
    this.#stats = stats
    this.#flags = flags
  }

  /** Counts the packet in `slot`, whose key is `key`. Hot path. */
  count(id: number, slot: number, key: Int32Array): void {
    const { bytes, meta } = this.#arena
    const packets = wirePackets(bytes, meta, slot)
    this.add(id, packets, wireBytes(bytes, meta, slot, packets))
    if (key[K_NW]! >>> 24 !== TCP) return
    const type = key[K_DL_TYPE]! >>> 16
    if (type === ETH_TYPE_IPV4 || type === ETH_TYPE_IPV6)
      this.#flags[id] = this.#flags[id]! | (key[K_TCP_FLAGS]! >>> 16)
  }

  /** Brings what is written about `n` flows into the processor's cache. The value is of no meaning. */
  touch(ids: Int32Array, n: number): number {
    const stats = this.#stats
    let sum = 0
    for (let i = 0; i < n; i++) sum += stats[ids[i]! * ACCOUNT_WORDS]!
    return sum
  }

  /** Counts packets and bytes that are known already. */
  add(id: number, packets: number, bytes: number): void {
    const stats = this.#stats
    const s = id * ACCOUNT_WORDS
    stats[s + PACKETS] = stats[s + PACKETS]! + packets
    stats[s + BYTES] = stats[s + BYTES]! + bytes
    stats[s + USED] = this.now
  }
}
