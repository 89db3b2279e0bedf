/** Is the eswitch alive? Asked late, so that only flows that it could take are offered when it is back. */
import type { EswitchCheck } from './contract.ts'

export const worker: EswitchCheck = (_flow, { eswitch }) =>
  eswitch.state === 'running'
    ? undefined
    : {
        check: 'worker-gone',
        what: eswitch.state,
        detail: `the worker of eswitch ${eswitch.name} is ${eswitch.state === 'stopped' ? 'stopped' : 'being restarted'}`,
        retryOn: ['eswitch-up'],
      }
