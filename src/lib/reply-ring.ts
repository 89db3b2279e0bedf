/** The worker's ring to main. What finds no room waits here; it is bounded by the slots that main lent and by one command. */
import { type RingMemory, RingProducer } from './ring.ts'

const RECORD = 3

export class ReplyRing {
  readonly #ring: RingProducer
  readonly #bell: () => void
  /** Pairs opcode, operand. */
  readonly #backlog: number[] = []
  #wrote = false

  /** `bell` wakes main. */
  constructor(memory: RingMemory, bell: () => void) {
    this.#ring = new RingProducer(memory)
    this.#bell = bell
  }

  /** True while something waits for room: no further command is taken then. */
  get blocked(): boolean {
    return this.#backlog.length > 0
  }

  /** Sends, or gives up: false when the ring is full. */
  tryPush(op: number, operand: number): boolean {
    return this.#backlog.length === 0 && this.#write(op, operand)
  }

  /** Sends, now or when there is room. */
  push(op: number, operand: number): void {
    if (!this.tryPush(op, operand)) this.#backlog.push(op, operand)
  }

  /** True if something went. */
  flushBacklog(): boolean {
    let sent = 0
    while (sent < this.#backlog.length && this.#write(this.#backlog[sent]!, this.#backlog[sent + 1]!)) sent += 2
    if (sent > 0) this.#backlog.splice(0, sent)
    return sent > 0
  }

  publish(): void {
    if (!this.#wrote) return
    this.#wrote = false
    this.#ring.publish()
    if (this.#ring.mustWake()) this.#bell()
  }

  #write(op: number, operand: number): boolean {
    const at = this.#ring.reserve(RECORD)
    if (at < 0) return false
    this.#ring.words[at] = op
    this.#ring.words[at + 1] = operand
    this.#wrote = true
    return true
  }
}
