/** Main's end of a command ring. A record that finds no room waits in a queue, so that order is kept and nothing blocks. */
import { type RingMemory, RingProducer } from './ring.ts'

interface Room {
  words: Int32Array
  at: number
}

export class CommandWriter {
  readonly #ring: RingProducer
  readonly #wake: () => void
  #queue: Int32Array[] = []
  readonly #room: Room
  #wrote = false

  constructor(memory: RingMemory, wake: () => void) {
    this.#ring = new RingProducer(memory)
    this.#wake = wake
    this.#room = { words: this.#ring.words, at: 0 }
  }

  /** Records that wait for room. */
  get queued(): number {
    return this.#queue.length
  }

  /** Room for `n` words, to be filled at once. The object is reused by the next call. */
  reserve(n: number): Room {
    if (this.#queue.length === 0) {
      const at = this.#ring.reserve(n + 1)
      if (at >= 0) {
        this.#wrote = true
        this.#room.words = this.#ring.words
        this.#room.at = at
        return this.#room
      }
    }
    const record = new Int32Array(n)
    this.#queue.push(record)
    this.#room.words = record
    this.#room.at = 0
    return this.#room
  }

  /** Moves what waits as far as there is room, publishes, wakes. True when nothing waits any more. */
  flush(): boolean {
    let moved = 0
    for (; moved < this.#queue.length; moved++) {
      const record = this.#queue[moved]!
      const at = this.#ring.reserve(record.length + 1)
      if (at < 0) break
      this.#ring.words.set(record, at)
      this.#wrote = true
    }
    if (moved > 0) this.#queue = this.#queue.slice(moved)
    if (this.#wrote) {
      this.#wrote = false
      this.#ring.publish()
      if (this.#ring.mustWake()) this.#wake()
    }
    return this.#queue.length === 0
  }
}
