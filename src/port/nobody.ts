/** A bridge's internal port behind which is no host: nothing comes by it, and what is sent to it is a counted drop. Worker. */
import type { Port } from './contract.ts'
import { dropIndex } from './drop.ts'
import { countDrop } from './stats.ts'

const NO_STACK = dropIndex('no-stack')

export class NobodyPort implements Port {
  readonly name: string
  readonly fd = -1
  readonly dead = false
  readonly #no: number
  readonly #stats: Float64Array

  /** `stats`: the counters of the thread that writes to the port. */
  constructor(name: string, no: number, stats: Float64Array) {
    this.name = name
    this.#no = no
    this.#stats = stats
  }

  rx(): number {
    return 0
  }

  tx(_slots: Int32Array, _from: number, n: number): void {
    countDrop(this.#stats, this.#no, NO_STACK, n)
  }
}
