/**
 * A check looks at one flow and says why it cannot be offloaded, or nothing. Checks have no state and change nothing, so that the same list
 * answers `wouldOffload`. Each has its own file and its own code (verdict.ts).
 */
import type { DpPort } from '../../datapath/contract.ts'
import type { Eswitch } from '../../eswitch/contract.ts'
import type { Profile } from '../../eswitch/profile.ts'
import type { EncapEntry } from '../../flow/encap.ts'
import type { Match } from '../../flow/key.ts'
import type { OdpAction } from '../../flow/odp.ts'
import type { IngressResult } from '../../tunnel/contract.ts'
import type { Refusal, Verdict } from '../verdict.ts'

/** What checks may ask of the module. */
export interface CheckView {
  /** Offload as a whole. */
  readonly enabled: boolean
  /** False when offload is switched off for flows that enter by this datapath port. */
  portEnabled(no: number): boolean
  port(no: number): DpPort | undefined
  /** The eswitch that owns the TAP behind this representor. */
  eswitchOf(no: number): Eswitch | undefined
  /** MTU of the interface behind a datapath port; 0 when it is not known or there is none. */
  mtu(no: number): number
  /** The encap entry that the datapath has. */
  encap(id: number): EncapEntry | undefined
  /** Where the outer packets of a flow of decapsulated ones really enter. 'open': it does not match both outer addresses. undefined: nobody can tell. */
  wayIn(flow: CheckSubject): WayIn | 'open' | undefined
  /** Why an eswitch of this profile cannot match such packets, if it cannot. */
  unmatchable(match: Match, profile: Profile): Refusal | undefined
  /** Verdict of the flow that takes the outer header off packets with this key; undefined: there is no such flow. */
  outerVerdict(key: Int32Array): Verdict | undefined
}

export interface CheckSubject {
  readonly match: Match
  readonly actions: readonly OdpAction[]
  /** The port of the match's exact in_port. */
  readonly inPort: number
}

/** What the tunnel layer says of the way that leads back to a peer. */
export interface WayIn {
  /** As text. */
  readonly peer: string
  readonly local: string
  readonly result: IngressResult
}

/** A port by which the flow's frames really enter an eswitch. */
export interface Entrance {
  readonly port: number
  /** Key of an outer packet there, when the flow matches what is inside. */
  readonly outer?: Int32Array
}

/** The eswitch to ask and the ports of it by which the flow's frames enter, one rule for each. */
export interface Entry {
  readonly eswitch: Eswitch
  readonly entrances: readonly Entrance[]
}

/** Made before an eswitch is known. */
export type Check = (flow: CheckSubject, view: CheckView) => Refusal | undefined

/** Made with the eswitch of the real ingress. */
export type EswitchCheck = (flow: CheckSubject, entry: Entry, view: CheckView) => Refusal | undefined

/** 'vf0 (port 2)', also for a port that is gone. */
export const portText = (no: number, view: CheckView): string => {
  const port = view.port(no)
  return port ? `${port.name} (port ${no})` : `port ${no}`
}

/** 'p0', also for a port that is gone. */
export const portName = (no: number, view: CheckView): string => view.port(no)?.name ?? `port ${no}`

/** 'eswitch nic1, switch ID 0a:...', or what the port is instead. */
export const placeText = (no: number, view: CheckView): string => {
  const port = view.port(no)
  const eswitch = view.eswitchOf(no)
  if (!port) return 'which does not exist'
  return eswitch
    ? `which is on eswitch ${eswitch.name}, switch ID ${eswitch.switchId}`
    : `which is a port of kind ${port.kind} on no switch`
}

/** True for flows of packets that have lost their outer header. */
export const isDecap = (entry: Entry): boolean => entry.entrances.some(({ outer }) => outer !== undefined)
