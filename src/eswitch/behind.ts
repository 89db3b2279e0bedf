/**
 * Microflows of which a frame is, or may still be, on the slow path: a later frame of theirs may not leave by a rule before that one has gone. Rules see
 * fields that a microflow does not decide (TTL, TCP flags, which fragment it is), so some frames of a microflow may hit a rule and others miss. The
 * eswitch knows by markers (arming.ts) when what went up has gone. Bounded: when too many are known, every microflow of the port counts as behind. Of frames that stay above for long,
 * the answers to markers tell the microflows.
 */
import { MAX_PORTS } from '../port/contract.ts'
import { microflowBit } from '../port/link.ts'

const MAX_MICROFLOWS = 4096

export class Behind {
  /** By port: microflow (flow/microflow.ts) -> marker after which nothing of it is above. Made when a port first needs one. */
  readonly #ports: (Map<number, number> | undefined)[] = new Array(MAX_PORTS)
  /** By port: marker that clears all microflows, 0 for none. */
  readonly #all = new Int32Array(MAX_PORTS)
  /** By port: bits (port/link.ts) of microflows with late frames, 0..31 and 32..63. */
  readonly #late = new Int32Array(MAX_PORTS * 2)
  /** Microflows, ports with late frames, and ports of which all count, over all ports: 0 lets the fast path skip the look-up. */
  size = 0

  has(port: number, order: number): boolean {
    if (this.#all[port] !== 0 || this.#ports[port]?.has(order) === true) return true
    const bit = microflowBit(order)
    return ((this.#late[port * 2 + (bit >>> 5)]! >>> (bit & 31)) & 1) !== 0
  }

  /** A frame went up; `marker` is one sent after it. */
  add(port: number, order: number, marker: number): void {
    let known = this.#ports[port]
    if (known === undefined) {
      known = new Map()
      this.#ports[port] = known
    }
    if (known.size >= MAX_MICROFLOWS && !known.has(order)) {
      if (this.#all[port] === 0) this.size++
      this.#all[port] = marker
      return
    }
    if (!known.has(order)) this.size++
    known.set(order, marker)
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
    if (this.#all[port] !== 0 && this.#all[port]! <= seq) {
      this.#all[port] = 0
      this.size--
    }
    const known = this.#ports[port]
    if (known === undefined) return
    for (const [order, marker] of known) {
      if (marker > seq) continue
      known.delete(order)
      this.size--
    }
  }

  /** The port is gone. */
  forget(port: number): void {
    this.answered(port, 0x7fffffff)
    this.setLate(port, 0, 0)
  }
}
