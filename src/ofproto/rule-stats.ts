/** What a rule has counted. It lives on when the rule's actions are modified, so that packets credited late to the old form are not lost. */
export class RuleStats {
  packets = 0
  bytes = 0
  /** Clock milliseconds of the last packet; of the rule's creation before there was one. */
  used: number

  constructor(used: number) {
    this.used = used
  }

  /** Adds what a lower tier has counted since its last report, as on the wire. `used` may be older than what is known: it never goes back. */
  credit(packets: number, bytes: number, used: number): void {
    this.packets += packets
    this.bytes += bytes
    if (used > this.used) this.used = used
  }
}

/** Sums over several rules, as `dump-aggregate` shows them. */
export interface Aggregate {
  readonly packets: number
  readonly bytes: number
  readonly flows: number
}

export const aggregate = (rules: Iterable<{ readonly stats: RuleStats }>): Aggregate => {
  let packets = 0
  let bytes = 0
  let flows = 0
  for (const { stats } of rules) {
    packets += stats.packets
    bytes += stats.bytes
    flows++
  }
  return { packets, bytes, flows }
}
