/**
 * Microflows of which a frame is, or may still be, on the slow path: a later frame of theirs may not leave by a rule before that one has gone. Rules see
 * fields that a microflow does not decide (TTL, TCP flags, which fragment it is), so some frames of a microflow may hit a rule and others miss. The
 * eswitch knows by markers (arming.ts) when what went up has gone.
 *
 * By port there is a Bloom filter whose places hold the last marker instead of a bit: an answer ends all that is older, without a search. A microflow may count as behind because others
 * have its two places; it then merely waits for the next marker. The filter grows with what comes between two answers, up to a bound, so that in a flood of new flows those who are known hardly
 * ever do. Of frames that stay above for long, the answers to markers tell the microflows.
 */
import { MAX_PORTS } from '../port/contract.ts'
import { microflowBit } from '../port/link.ts'

/** Places of a port's filter, powers of two; at most a part of them may be taken between two answers before it grows. */
const FIRST_PLACES = 1 << 12
const MAX_PLACES = 1 << 17
const MAX_LOAD = 0.25

/** Highest bits of a product: bits that the lowest of `order` do not decide. */
const otherPlace = (order: number, places: number): number => Math.imul(order, 0x9e3779b1) >>> (Math.clz32(places) + 1)

export class Behind {
  /** By port: markers, by place. Made when a port first needs it. */
  readonly #filters: (Int32Array | undefined)[] = new Array(MAX_PORTS)
  /** By port: marker that clears all microflows; one that is back clears none. */
  readonly #all = new Int32Array(MAX_PORTS)
  /** By port: the last marker that is waited for, and the last one that is back. */
  readonly #last = new Int32Array(MAX_PORTS)
  readonly #done = new Int32Array(MAX_PORTS)
  /** By port: frames since the last answer. */
  readonly #frames = new Int32Array(MAX_PORTS)
  /** By port: bits (port/link.ts) of microflows with late frames, 0..31 and 32..63. */
  readonly #late = new Int32Array(MAX_PORTS * 2)
  /** Ports of which microflows are behind, and ports with late frames: 0 lets the fast path skip the look-up. */
  size = 0

  has(port: number, order: number): boolean {
    const done = this.#done[port]!
    if (this.#last[port]! > done) {
      if (this.#all[port]! > done) return true
      const filter = this.#filters[port]!
      const places = filter.length
      if (filter[order & (places - 1)]! > done && filter[otherPlace(order, places)]! > done) return true
    }
    const bit = microflowBit(order)
    return ((this.#late[port * 2 + (bit >>> 5)]! >>> (bit & 31)) & 1) !== 0
  }

  /** A frame went up; `marker` is one sent after it, and not before those of earlier calls. */
  add(port: number, order: number, marker: number): void {
    const filter = this.#filterOf(port, marker)
    filter[order & (filter.length - 1)] = marker
    filter[otherPlace(order, filter.length)] = marker
    if (this.#last[port]! <= this.#done[port]!) this.size++
    this.#last[port] = marker
  }

  /** What an answer of the datapath says of late frames. */
  setLate(port: number, low: number, high: number): void {
    const at = port * 2
    const had = (this.#late[at]! | this.#late[at + 1]!) !== 0
    const has = (low | high) !== 0
    if (has && !had) this.size++
    else if (had && !has) this.size--
    this.#late[at] = low
    this.#late[at + 1] = high
  }

  /** Marker `seq` of the port is back. */
  answered(port: number, seq: number): void {
    const done = this.#done[port]!
    if (seq <= done) return
    const last = this.#last[port]!
    if (last > done && last <= seq) this.size--
    this.#done[port] = seq
    this.#frames[port] = 0
  }

  /** The port is gone. */
  forget(port: number): void {
    this.answered(port, this.#last[port]!)
    this.setLate(port, 0, 0)
    this.#filters[port] = undefined
  }

  #filterOf(port: number, marker: number): Int32Array {
    const filter = this.#filters[port]
    const frames = this.#frames[port]! + 1
    this.#frames[port] = frames
    if (filter !== undefined && (frames <= filter.length * MAX_LOAD || filter.length === MAX_PLACES)) return filter
    const made = new Int32Array(filter === undefined ? FIRST_PLACES : filter.length * 2)
    // Who is behind is not known place by place any more: until the next answer all are.
    if (filter !== undefined) this.#all[port] = marker
    this.#filters[port] = made
    return made
  }
}
