/**
 * Rules on their way from 'armed' to 'active'. A rule needs a marker that was sent after it: when that is back, no earlier frame of its port is
 * under way above. At most one marker a port is under way; a rule armed meanwhile needs the next one.
 */
import { MAX_PORTS } from '../port/contract.ts'

export class Arming {
  /** By rule index: ingress port, and the marker it needs. */
  readonly #port: Int32Array
  readonly #needs: Int32Array
  readonly #armed: number[] = []
  /** By port: the last marker's number; 1 when it is under way; 1 when another one must follow. */
  readonly #seq = new Int32Array(MAX_PORTS)
  readonly #under = new Uint8Array(MAX_PORTS)
  readonly #more = new Uint8Array(MAX_PORTS)
  readonly #send: (port: number, seq: number) => boolean
  sent = 0

  /** `send` puts a marker into the up ring. */
  constructor(rules: number, send: (port: number, seq: number) => boolean) {
    this.#port = new Int32Array(rules)
    this.#needs = new Int32Array(rules)
    this.#send = send
  }

  get count(): number {
    return this.#armed.length
  }

  arm(index: number, port: number): void {
    this.#port[index] = port
    this.#armed.push(index)
    this.#require(index)
  }

  /** The rule is gone. */
  disarm(index: number): void {
    const at = this.#armed.indexOf(index)
    if (at >= 0) this.#armed.splice(at, 1)
  }

  /** Frames went up after the markers that are under way: every armed rule needs one that is sent from now on. */
  again(): void {
    for (const index of this.#armed) this.#require(index)
  }

  /** Marker `seq` of the port is back. Calls `active` for each rule that it was for. */
  answered(port: number, seq: number, active: (index: number) => void): void {
    if (seq !== this.#seq[port]) return
    this.#under[port] = 0
    const armed = this.#armed
    let left = 0
    for (let i = 0; i < armed.length; i++) {
      const index = armed[i]!
      if (this.#port[index] === port && this.#needs[index]! <= seq) active(index)
      else armed[left++] = index
    }
    armed.length = left
    if (this.#more[port] !== 0) this.#start(port)
  }

  /** Sees to it that a marker of the port follows what has gone up by now. Returns its number. */
  request(port: number): number {
    const needed = this.#seq[port]! + 1
    if (this.#under[port] !== 0) this.#more[port] = 1
    else this.#start(port)
    return needed
  }

  #require(index: number): void {
    this.#needs[index] = this.request(this.#port[index]!)
  }

  #start(port: number): void {
    this.#more[port] = 0
    this.#seq[port] = this.#seq[port]! + 1
    this.#under[port] = 1
    this.sent++
    if (!this.#send(port, this.#seq[port]!)) throw new Error('ring to the datapath has no room for a marker')
  }
}
