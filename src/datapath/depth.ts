/** How often one packet may be looked up: recirculation ends, also where flows send a packet round and round. Worker thread. */
import { M_PORT, M_RECIRC_ID, META_WORDS } from '../packet/slot.ts'
import { lookupsOf, U_STATE, withLookups } from './waiting.ts'

const MAX_LOOKUPS = 5
const WARN_EVERY_MS = 1000

export class Depth {
  readonly #meta: Int32Array
  readonly #warn: (text: string) => void
  /** Recirculation ids of the packet being looked up, by depth. */
  readonly #chain = new Int32Array(MAX_LOOKUPS + 1)
  /** Clock milliseconds. */
  now = 0
  #warnAt = 0

  /** `warn`: told of such a packet, once a second at most. */
  constructor(meta: Int32Array, warn: (text: string) => void) {
    this.#meta = meta
    this.#warn = warn
  }

  /** The packet is looked up once more. Hot path. */
  enter(slot: number): void {
    const m = slot * META_WORDS
    const state = this.#meta[m + U_STATE]!
    const depth = lookupsOf(state)
    this.#chain[depth] = this.#meta[m + M_RECIRC_ID]!
    this.#meta[m + U_STATE] = withLookups(state, depth + 1)
  }

  /** The packet counts as looked up once: its flow's actions are given. */
  entered(slot: number): void {
    const m = slot * META_WORDS
    this.#meta[m + U_STATE] = withLookups(this.#meta[m + U_STATE]!, 1)
  }

  /** False when it has been often enough. `id`: under which it would be. */
  mayEnter(slot: number, id: number): boolean {
    const m = slot * META_WORDS
    if (lookupsOf(this.#meta[m + U_STATE]!) < MAX_LOOKUPS) return true
    if (this.now < this.#warnAt) return false
    this.#warnAt = this.now + WARN_EVERY_MS
    const chain = [...this.#chain.subarray(0, MAX_LOOKUPS), id].join(' -> ')
    const port = this.#meta[m + M_PORT]!
    this.#warn(`packet of port ${port} looked up more than ${MAX_LOOKUPS} times: recirculation ids ${chain}`)
    return false
  }
}
