/**
 * Single-producer single-consumer ring of variable-length records of 32-bit words, in shared memory.
 *
 * One ring per ordered pair of threads. A record is `[length, word 1, ... word length-1]`. The producer writes records and makes them
 * visible with `publish()`, once a batch; the consumer reads in place and releases with `release()`. Cursors count words, wrap at 2^32 and
 * are the only words that both sides touch; each is written by one side. A record never straddles the end: the producer pads with a record
 * of length `PAD | words`.
 *
 * Wake-up: the consumer announces `sleep()` before it waits; the producer asks `mustWake()` after `publish()` and, if true,
 * signals the consumer's eventfd. Sequentially consistent Atomics make the pair race-free: either the consumer sees the new head or the producer sees the flag.
 */
const HEAD = 0
const TAIL = 16
const ASLEEP = 32
const FIRST = 48
const PAD = 0x40000000

export type RingMemory = Int32Array

/** `words` must be a power of two. */
export const createRingMemory = (words: number): RingMemory => {
  if (words < 64 || (words & (words - 1)) !== 0)
    throw new RangeError(`ring of ${words} words: a power of two >= 64 expected`)
  return new Int32Array(new SharedArrayBuffer((FIRST + words) * 4))
}

/** The writing end. One thread only. */
export class RingProducer {
  readonly #m: Int32Array
  readonly #mask: number
  #head: number
  #tail: number

  constructor(memory: RingMemory) {
    this.#m = memory
    this.#mask = memory.length - FIRST - 1
    this.#head = Atomics.load(memory, HEAD)
    this.#tail = Atomics.load(memory, TAIL)
  }

  /** The array that `reserve` gives indices into. */
  get words(): Int32Array {
    return this.#m
  }

  /**
   * Room for a record of `n` words, the length word included (n >= 1). Returns the index in `words` of the word *after* the
   * length, to be filled by the caller before `publish()`, or -1 when the ring is full.
   */
  reserve(n: number): number {
    const size = this.#mask + 1
    const at = this.#head & this.#mask
    const toEnd = size - at
    const need = n <= toEnd ? n : toEnd + n
    if (size - ((this.#head - this.#tail) | 0) < need) {
      this.#tail = Atomics.load(this.#m, TAIL)
      if (size - ((this.#head - this.#tail) | 0) < need) return -1
    }
    let i = FIRST + at
    if (n > toEnd) {
      this.#m[i] = PAD | toEnd
      i = FIRST
    }
    this.#m[i] = n
    this.#head = (this.#head + need) | 0
    return i + 1
  }

  /** Makes all reserved records visible to the consumer. */
  publish(): void {
    Atomics.store(this.#m, HEAD, this.#head)
  }

  /** True if the consumer sleeps (or is about to) and must be signalled; clears its flag, so that one signal is sent. */
  mustWake(): boolean {
    return Atomics.load(this.#m, ASLEEP) === 1 && Atomics.exchange(this.#m, ASLEEP, 0) === 1
  }
}

/** The reading end. One thread only. */
export class RingConsumer {
  readonly #m: Int32Array
  readonly #mask: number
  #head: number
  #tail: number

  constructor(memory: RingMemory) {
    this.#m = memory
    this.#mask = memory.length - FIRST - 1
    this.#head = Atomics.load(memory, HEAD)
    this.#tail = Atomics.load(memory, TAIL)
  }

  get words(): Int32Array {
    return this.#m
  }

  /**
   * Index in `words` of the next record's first word after the length (the length, itself included, is at index - 1), or -1 when there is none.
   * The record stays valid until `release()`.
   */
  next(): number {
    for (;;) {
      if (this.#tail === this.#head) {
        this.#head = Atomics.load(this.#m, HEAD)
        if (this.#tail === this.#head) return -1
      }
      const i = FIRST + (this.#tail & this.#mask)
      const n = this.#m[i]!
      if ((n & PAD) !== 0) {
        this.#tail = (this.#tail + (n & ~PAD)) | 0
        continue
      }
      this.#tail = (this.#tail + n) | 0
      return i + 1
    }
  }

  /** Hands the space of all records read so far back to the producer. */
  release(): void {
    Atomics.store(this.#m, TAIL, this.#tail)
  }

  /** True if a published record waits. */
  get ready(): boolean {
    return this.#tail !== this.#head || this.#tail !== Atomics.load(this.#m, HEAD)
  }

  /** Announces that the consumer is about to wait. Returns false, and withdraws it, if a record has come meanwhile. */
  sleep(): boolean {
    Atomics.store(this.#m, ASLEEP, 1)
    if (!this.ready) return true
    Atomics.store(this.#m, ASLEEP, 0)
    return false
  }

  /** Withdraws the announcement after the wait. */
  awake(): void {
    Atomics.store(this.#m, ASLEEP, 0)
  }
}
