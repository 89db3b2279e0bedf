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
export class RuleAccount implements FlowStats {
  /** Readings before the last restart; made with the first. */
  #before: FlowStats | undefined
  /** The last readings. */
  packets = 0
  bytes = 0
  used = 0
  tcpFlags = 0
  #mayRestart = false

  /** The rule is about to be replaced: the next smaller reading counts from zero. */
  replaced(): void {
    this.#mayRestart = true
  }

  read(stats: FlowStats): void {
    if (stats.packets < this.packets || stats.bytes < this.bytes) {
      if (!this.#mayRestart) return
      this.#mayRestart = false
      this.#before ??= createStats()
      addStats(this.#before, this)
    }
    this.packets = stats.packets
    this.bytes = stats.bytes
    this.used = Math.max(this.used, stats.used)
    this.tcpFlags |= stats.tcpFlags
  }

  addTo(sum: FlowStats): void {
    if (this.#before) addStats(sum, this.#before)
    addStats(sum, this)
  }
}
