/** What people are told of tunnelled flows: by which endpoint, which way, in which state. */

import { addressText } from '../flow/address.ts'
import type { EncapEntry } from '../flow/encap.ts'
import type { EventTotals } from './events.ts'
import { outputPorts } from './pushes.ts'
import type { FlowRecord } from './record.ts'
import type { Tunnels } from './tunnels.ts'

export interface TunnelSummary extends EventTotals {
  /** Pairs of peer and local address that flows are about. */
  readonly endpoints: number
  /** Flows that encapsulate, and flows of decapsulated packets. */
  readonly encap: number
  readonly decap: number
  /** Encap entries of the datapath, and those that eswitches hold, each counted. */
  readonly entries: number
  readonly held: number
  /** Flows that wait for a decision. */
  readonly pending: number
}

/** One way of one flow. */
export interface TunnelFact {
  readonly direction: 'encap' | 'decap'
  readonly peer: string
  readonly local?: string
  /** The way: ports by which outer packets leave, or by which they are expected. */
  readonly ports: readonly number[]
  /** Of encapsulation: the entry, its state and reason. */
  readonly entry?: number
  readonly state: string
  /** Why it is so, when it is not good. */
  readonly detail?: string
}

const ofEntry = (entry: EncapEntry): TunnelFact => ({
  direction: 'encap',
  peer: addressText(entry.peer),
  ...(entry.local ? { local: addressText(entry.local) } : {}),
  ports: outputPorts(entry.actions),
  entry: entry.id,
  state: entry.reason === 'valid' ? entry.state : `${entry.state} (${entry.reason})`,
  ...(entry.reason === 'valid' ? {} : { detail: entry.detail }),
})

const ofPeer = (record: FlowRecord, tunnels: Tunnels): TunnelFact | undefined => {
  const way = tunnels.flows.origin(record) && tunnels.wayIn(record)
  if (!way || way === 'open') return undefined
  const { peer, local, result } = way
  const found = result.type === 'found'
  return {
    direction: 'decap',
    peer,
    local,
    ports: found ? result.members.map(({ port }) => port) : [],
    state: found ? 'found' : result.check,
    ...(found ? {} : { detail: result.detail }),
  }
}

export const tunnelFacts = (record: FlowRecord, tunnels: Tunnels): TunnelFact[] => {
  const entries = record.entries.flatMap((id) => tunnels.entries.get(id) ?? [])
  const from = ofPeer(record, tunnels)
  return [...(from ? [from] : []), ...entries.map(ofEntry)]
}

/** One line of a fact, without its end. `portName` for ports that are there. */
export const factText = (fact: TunnelFact, portName: (no: number) => string): string => {
  const { direction, peer, local, ports, entry, state, detail } = fact
  const names = ports.map(portName).join(', ')
  const way =
    direction === 'encap'
      ? `to ${peer}${local ? ` from ${local}` : ''} by encap entry ${entry}, ${state}${names ? `, leaves by ${names}` : ''}`
      : `from ${peer} to ${local}, ${names ? `enters by ${names}` : state}`
  return `tunnel: ${way}${detail === undefined ? '' : `: ${detail}`}`
}
