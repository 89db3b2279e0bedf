/** Statistics of flows whose rules come and go, summed so that they never go backwards. Main thread. */
import type { FlowStats } from '../datapath/contract.ts'

export const createStats = (): FlowStats => ({ packets: 0, bytes: 0, used: 0, tcpFlags: 0 })

/** Adds `part` to `sum`: packets and bytes are summed, `used` is the later one. */
export const addStats = (sum: FlowStats, part: FlowStats): void => {
  sum.packets += part.packets
  sum.bytes += part.bytes
  sum.used = Math.max(sum.used, part.used)
  sum.tcpFlags |= part.tcpFlags
}

/** What one rule in one eswitch has carried, from readings that may be late, missing at the end, or begin again when the rule is replaced. */
export class RuleAccount {
  /** Readings before the last restart; made with the first. */
  #before: FlowStats | undefined
  readonly #last = createStats()
  #mayRestart = false

  /** The rule is about to be replaced: the next smaller reading counts from zero. */
  replaced(): void {
    this.#mayRestart = true
  }

  read(stats: FlowStats): void {
    const last = this.#last
    if (stats.packets < last.packets || stats.bytes < last.bytes) {
      if (!this.#mayRestart) return
      this.#mayRestart = false
      this.#before ??= createStats()
      addStats(this.#before, last)
      last.packets = 0
      last.bytes = 0
    }
    last.packets = stats.packets
    last.bytes = stats.bytes
    last.used = Math.max(last.used, stats.used)
    last.tcpFlags |= stats.tcpFlags
  }

  addTo(sum: FlowStats): void {
    if (this.#before) addStats(sum, this.#before)
    addStats(sum, this.#last)
  }
}
