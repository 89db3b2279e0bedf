/**
 * A check looks at one flow and says why it cannot be offloaded, or nothing. Checks have no state and change nothing, so that the same list
 * answers `wouldOffload`. Each has its own file and its own code (verdict.ts).
 */
import type { DpPort } from '../../datapath/contract.ts'
import type { Eswitch } from '../../eswitch/contract.ts'
import type { Match } from '../../flow/key.ts'
import type { OdpAction } from '../../flow/odp.ts'
import type { Refusal } from '../verdict.ts'

/** What checks may ask of the module. */
export interface CheckView {
  /** Offload as a whole. */
  readonly enabled: boolean
  /** False when offload is switched off for flows that enter by this datapath port. */
  portEnabled(no: number): boolean
  port(no: number): DpPort | undefined
  /** The eswitch that owns the TAP behind this representor. */
  eswitchOf(no: number): Eswitch | undefined
  /** True while an earlier rule with this id is still being removed there. `id` is -1 in a what-if. */
  retiring(eswitch: Eswitch, id: number): boolean
}

export interface CheckSubject {
  /** The datapath flow's id, or -1 in a what-if. */
  readonly id: number
  readonly match: Match
  readonly actions: readonly OdpAction[]
  /** The port of the match's exact in_port. */
  readonly inPort: number
}

/** Made before an eswitch is known. */
export type Check = (flow: CheckSubject, view: CheckView) => Refusal | undefined

/** Made with the eswitch of the ingress port. */
export type EswitchCheck = (flow: CheckSubject, eswitch: Eswitch, view: CheckView) => Refusal | undefined

/** 'vf0 (port 2)', also for a port that is gone. */
export const portText = (no: number, view: CheckView): string => {
  const port = view.port(no)
  return port ? `${port.name} (port ${no})` : `port ${no}`
}
