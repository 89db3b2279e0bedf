/**
 * Slots that were lent to main and that it has not looked at: by port, in order, the ports in turn. So a port of many new flows does not keep those of others waiting. Bounded by
 * the slots; a queue is a chain through their metadata. Main thread.
 */
import { META_WORDS } from '../packet/slot.ts'
import { MAX_PORTS } from '../port/contract.ts'
import { originOf, U_NEXT, U_STATE } from './waiting.ts'

export class UpcallQueue {
  readonly #meta: Int32Array
  /** First and last slot by port, -1 for none. */
  readonly #head = new Int32Array(MAX_PORTS).fill(-1)
  readonly #tail = new Int32Array(MAX_PORTS).fill(-1)
  /** Ports with slots, the one whose turn it is first: a ring with room for all. */
  readonly #turn = new Int32Array(MAX_PORTS)
  #first = 0
  #ports = 0

  constructor(meta: Int32Array) {
    this.#meta = meta
  }

  get empty(): boolean {
    return this.#ports === 0
  }

  add(slot: number): void {
    const m = slot * META_WORDS
    const port = originOf(this.#meta[m + U_STATE]!)
    this.#meta[m + U_NEXT] = -1
    if (this.#head[port]! < 0) {
      this.#head[port] = slot
      this.#wait(port)
    } else this.#meta[this.#tail[port]! * META_WORDS + U_NEXT] = slot
    this.#tail[port] = slot
  }

  /** The next slot, -1 for none. */
  take(): number {
    if (this.#ports === 0) return -1
    const port = this.#turn[this.#first]!
    this.#first = (this.#first + 1) & (MAX_PORTS - 1)
    this.#ports--
    const slot = this.#head[port]!
    const next = this.#meta[slot * META_WORDS + U_NEXT]!
    this.#head[port] = next
    if (next >= 0) this.#wait(port)
    return slot
  }

  #wait(port: number): void {
    this.#turn[(this.#first + this.#ports++) & (MAX_PORTS - 1)] = port
  }
}
