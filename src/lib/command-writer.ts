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
  /** Records in front of the queue that have gone. They are cut off when they are the most of it: a queue of a million is not copied at each flush. */
  #gone = 0
  readonly #room: Room
  #wrote = false

  constructor(memory: RingMemory, wake: () => void) {
    this.#ring = new RingProducer(memory)
    this.#wake = wake
    this.#room = { words: this.#ring.words, at: 0 }
  }

  /** Records that wait for room. */
  get queued(): number {
    return this.#queue.length - this.#gone
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
    for (; this.#gone < this.#queue.length; this.#gone++) {
      const record = this.#queue[this.#gone]!
      const at = this.#ring.reserve(record.length + 1)
      if (at < 0) break
      this.#ring.words.set(record, at)
      this.#wrote = true
    }
    if (this.#gone * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#gone)
      this.#gone = 0
    }
    if (this.#wrote) {
      this.#wrote = false
      this.#ring.publish()
      if (this.#ring.mustWake()) this.#wake()
    }
    return this.#queue.length === 0
  }
}
