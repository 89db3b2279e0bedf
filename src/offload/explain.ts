/** Verdicts in English, for `offload/why` and traces. */
import type { Offloaded, RetryEvent, Verdict } from './verdict.ts'

const RETRY_CLAUSE: Record<RetryEvent, string> = {
  policy: 'offload is switched on',
  'port-change': 'a port is added, removed or moved',
  'flow-change': 'the flow gets another match or other actions',
  'eswitch-up': 'the eswitch is running again',
  'table-space': 'a rule leaves the table, or the flow becomes hotter than one in it',
  'mtu-change': "a port's MTU changes",
  'route-change': 'the way to the peer changes',
  'neighbour-change': 'the next hop answers, or is another one',
  'underlay-change': 'the underlay bridge treats the outer packets differently',
  'outer-flow': 'the flow of the outer packets is offloaded',
}

const either = (clauses: readonly string[]): string =>
  clauses.length < 2 ? clauses.join('') : `${clauses.slice(0, -1).join(', ')} or ${clauses.at(-1)}`

const rulesText = ({ rule, rules }: Offloaded): string => (rules ? `rules ${rules.join(' and ')}` : `rule ${rule}`)

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
      : `Offloaded to eswitch ${verdict.eswitch} as ${rulesText(verdict)}${age}.`
  const asked = verdict.eswitch === undefined ? '' : ` by eswitch ${verdict.eswitch}`
  const retry = verdict.retryOn.length
    ? `it is offered again when ${either(verdict.retryOn.map((event) => RETRY_CLAUSE[event]))}`
    : 'nothing makes it offered again'
  const lead = would ? 'Would not be offloaded' : `Not offloaded${age}`
  return `${lead}: refused${asked} by check ${verdict.check} (${verdict.what}): ${verdict.detail}; ${retry}.`
}
