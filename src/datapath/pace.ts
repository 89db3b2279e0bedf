/**
 * Keeps what the datapath takes in step with what the eswitches can take from it. Nobody knows before the look-up where a frame goes, so while any eswitch has no
 * room (link.ts), neither own ports are read nor frames handled that came up: they wait where they are. Frames that leave by several ports of one eswitch, and answers
 * of tier 1, can still find no room; those are dropped and counted.
 */
import { RX_BATCH } from '../port/thread-status.ts'
import type { EswitchLink } from './link.ts'

/** What it does to own ports: Intake has it. */
export interface Pausable {
  pause(no: number, now: number): void
  rewatch(no: number): void
}

export class Pace {
  readonly #links: readonly EswitchLink[]
  readonly #ports: Pausable
  readonly #paused: number[] = []
  now = 0

  /** `links` may change. */
  constructor(links: readonly EswitchLink[], ports: Pausable) {
    this.#links = links
    this.#ports = ports
  }

  /** Frames that can be taken now, at most RX_BATCH. */
  readonly room = (): number => {
    let n = RX_BATCH
    for (let i = 0; i < this.#links.length; i++) n = Math.min(n, this.#links[i]!.room(this.now))
    return n
  }

  /** A port that can be read is not, until `next` gives it. True if that is news. */
  pause(no: number): boolean {
    if (this.#paused.includes(no)) return false
    this.#paused.push(no)
    this.#ports.pause(no, this.now)
    return true
  }

  /** The port that has been paused longest, which is watched again; -1 when there is none or no room. */
  next(): number {
    if (this.#paused.length === 0 || this.room() === 0) return -1
    const no = this.#paused.shift()!
    this.#ports.rewatch(no)
    return no
  }

  /** True while something waits for room. Nothing may announce that there is some: who waits must look. */
  get waiting(): boolean {
    if (this.#paused.length > 0) return true
    for (let i = 0; i < this.#links.length; i++) if (this.#links[i]!.waiting) return true
    return false
  }

  /** The port is gone. */
  forget(no: number): void {
    const at = this.#paused.indexOf(no)
    if (at >= 0) this.#paused.splice(at, 1)
  }
}
