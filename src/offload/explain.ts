/** Verdicts in English, for `offload/why` and traces. */
import type { RetryEvent, Verdict } from './verdict.ts'

const RETRY_CLAUSE: Record<RetryEvent, string> = {
  policy: 'offload is switched on',
  'port-change': 'a port is added, removed or moved',
  'flow-change': 'the flow gets another match or other actions',
  'eswitch-up': 'the eswitch is running again',
  'table-space': 'a rule leaves the table, or the flow becomes hotter than one in it',
  'rule-gone': 'the old rule is gone',
  'mtu-change': "a port's MTU changes",
  'route-change': 'the route changes',
  'neighbour-change': 'the neighbour changes',
}

const either = (clauses: readonly string[]): string =>
  clauses.length < 2 ? clauses.join('') : `${clauses.slice(0, -1).join(', ')} or ${clauses.at(-1)}`

/**
 * One sentence with everything a verdict holds. `now` (Clock milliseconds) adds for how long it has stood; `would` words it as an answer to "what if"
 * (ofproto/trace).
 */
export const explain = (verdict: Verdict, options: { now?: number; would?: boolean } = {}): string => {
  const { now, would } = options
  const age = now === undefined || would ? '' : ` for ${((now - verdict.since) / 1000).toFixed(1)} s`
  if (verdict.state === 'offloaded')
    return would
      ? `Would be offloaded to eswitch ${verdict.eswitch}.`
      : `Offloaded to eswitch ${verdict.eswitch} as rule ${verdict.rule}${age}.`
  const asked = verdict.eswitch === undefined ? '' : ` by eswitch ${verdict.eswitch}`
  const retry = verdict.retryOn.length
    ? `it is offered again when ${either(verdict.retryOn.map((event) => RETRY_CLAUSE[event]))}`
    : 'nothing makes it offered again'
  const lead = would ? 'Would not be offloaded' : `Not offloaded${age}`
  return `${lead}: refused${asked} by check ${verdict.check} (${verdict.what}): ${verdict.detail}; ${retry}.`
}
