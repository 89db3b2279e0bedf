/** The ports that a thread reads: opens, watches and rests them, and tells of dead ones. The same for both workers. */
import { MAX_PORTS, type Port } from './contract.ts'
import type { Outputs } from './outputs.ts'

/** What the thread does about descriptors (worker-host.ts); `Open` is how a port is described to it. */
export interface IntakeHost<Open> {
  /** Builds the port that `open` describes. */
  openPort(no: number, name: string, open: Open): Port
  /** A port is to be polled, or no more. */
  watch(no: number, port: Port): void
  unwatch(no: number): void
  /** The interface of a port that rested is up. */
  rewatch(no: number): void
  /** A receive from the port gave nothing. */
  fruitless(no: number, port: Port, now: number): void
  /** The port is not to be read until `rewatch`. */
  pause(no: number, now: number): void
}

export class Intake<Open> {
  /** Numbers of the ports that are read. */
  readonly polled: number[] = []
  readonly #host: IntakeHost<Open>
  readonly #outputs: Outputs
  readonly #dead: (no: number) => void

  /** `dead` is told of a port whose descriptor turned out dead; it is read no more. */
  constructor(host: IntakeHost<Open>, outputs: Outputs, dead: (no: number) => void) {
    this.#host = host
    this.#outputs = outputs
    this.#dead = dead
  }

  /** The port can be written to. Throws when it cannot be opened. */
  open(no: number, name: string, open: Open): void {
    if (no < 0 || no >= MAX_PORTS) throw new RangeError(`port number ${no}: 0..${MAX_PORTS - 1} expected`)
    this.#outputs.add(no, this.#host.openPort(no, name, open))
  }

  /** And is read. */
  watch(no: number): void {
    const port = this.#outputs.port(no)
    if (port === undefined || this.polled.includes(no)) return
    this.#host.watch(no, port)
    this.polled.push(no)
  }

  unwatch(no: number): void {
    const at = this.polled.indexOf(no)
    if (at < 0) return
    this.polled.splice(at, 1)
    this.#host.unwatch(no)
  }

  /** Leaves frames where they are, until `rewatch`: nothing can be done with them now. */
  pause(no: number, now: number): void {
    this.#host.pause(no, now)
  }

  /** Reads a resting or paused port again. */
  rewatch(no: number): void {
    this.#host.rewatch(no)
  }

  /** A receive from the port gave no frame. */
  empty(no: number, port: Port, now: number): void {
    if (port.dead) {
      this.unwatch(no)
      this.#dead(no)
    } else this.#host.fruitless(no, port, now)
  }
}
