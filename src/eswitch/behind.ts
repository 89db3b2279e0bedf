/**
 * Microflows of which a frame is, or may still be, on the slow path: a later frame of theirs may not leave by a rule before that one has gone. Rules see
 * fields that a microflow does not decide (TTL, TCP flags, which fragment it is), so some frames of a microflow may hit a rule and others miss. The
 * eswitch knows by markers (arming.ts) when what went up has gone. Bounded: when too many are known, every microflow of the port counts as behind.
 */
import { MAX_PORTS } from '../port/contract.ts'

const MAX_MICROFLOWS = 4096

export class Behind {
  /** By port: microflow (flow/microflow.ts) -> marker after which nothing of it is above. Made when a port first needs one. */
  readonly #ports: (Map<number, number> | undefined)[] = new Array(MAX_PORTS)
  /** By port: marker that clears all microflows, 0 for none. */
  readonly #all = new Int32Array(MAX_PORTS)
  /** Microflows, and ports of which all count, over all ports: 0 lets the fast path skip the look-up. */
  size = 0

  has(port: number, order: number): boolean {
    return this.#all[port] !== 0 || this.#ports[port]?.has(order) === true
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
  }
}
