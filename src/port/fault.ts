/** Decorator for tests: loses, doubles and corrupts frames, and fails, by a seeded generator: the same seed, the same faults. */
import { type Arena, M_LEN, M_OFF, META_WORDS, type SlotPool } from '../packet/slot.ts'
import type { Port } from './contract.ts'

/** Probabilities, 0..1. */
export interface Faults {
  readonly drop?: number
  readonly duplicate?: number
  readonly corrupt?: number
}

export class FaultPort implements Port {
  readonly #inner: Port
  readonly #arena: Arena
  readonly #faults: Faults
  readonly #one = new Int32Array(1)
  #state: number
  /** What was done, for the test's accounts. */
  readonly done = { dropped: 0, duplicated: 0, corrupted: 0 }
  /** Set by the test: the port plays dead. */
  failed = false

  constructor(inner: Port, arena: Arena, faults: Faults, seed: number) {
    this.#inner = inner
    this.#arena = arena
    this.#faults = faults
    this.#state = seed | 0 || 1
  }

  get name(): string {
    return this.#inner.name
  }

  get fd(): number {
    return this.#inner.fd
  }

  get dead(): boolean {
    return this.failed || this.#inner.dead
  }

  rx(pool: SlotPool, no: number, out: Int32Array, max: number): number {
    if (this.failed) return 0
    const n = this.#inner.rx(pool, no, out, max)
    let kept = 0
    for (let i = 0; i < n; i++) {
      const slot = out[i]!
      if (this.#chance(this.#faults.drop)) {
        pool.give(slot)
        this.done.dropped++
      } else {
        if (this.#chance(this.#faults.corrupt)) this.#corrupt(slot)
        out[kept++] = slot
      }
    }
    return kept
  }

  tx(slots: Int32Array, from: number, n: number): void {
    if (this.failed) return
    for (let i = from; i < from + n; i++) {
      if (this.#chance(this.#faults.drop)) {
        this.done.dropped++
        continue
      }
      this.#one[0] = slots[i]!
      this.#inner.tx(this.#one, 0, 1)
      if (this.#chance(this.#faults.duplicate)) {
        this.#inner.tx(this.#one, 0, 1)
        this.done.duplicated++
      }
    }
  }

  #corrupt(slot: number): void {
    const { bytes, meta } = this.#arena
    const m = slot * META_WORDS
    const at = meta[m + M_OFF]! + Math.floor(this.#random() * meta[m + M_LEN]!)
    bytes[at] = bytes[at]! ^ (1 << Math.floor(this.#random() * 8))
    this.done.corrupted++
  }

  #chance(p: number | undefined): boolean {
    return p !== undefined && p > 0 && this.#random() < p
  }

  /** xorshift32: uniform in [0, 1). */
  #random(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return (x >>> 0) / 0x100000000
  }
}
