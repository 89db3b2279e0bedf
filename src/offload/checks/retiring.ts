/** Is an earlier rule with the same id still on its way out? Two with one id could not be told apart in the statistics. */
import type { EswitchCheck } from './contract.ts'

export const retiring: EswitchCheck = (flow, eswitch, view) =>
  view.retiring(eswitch, flow.id)
    ? {
        check: 'retiring',
        what: `rule ${flow.id}`,
        detail: `the previous rule ${flow.id} is still being removed from eswitch ${eswitch.name}`,
        retryOn: ['rule-gone'],
      }
    : undefined
