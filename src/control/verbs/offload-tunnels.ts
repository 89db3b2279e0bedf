/** What the verbs of offload tell of tunnelled flows: the time line of events, and the way of each flow. */
import { addressBytes } from '../../flow/address.ts'
import type { OffloadEvent } from '../../offload/events.ts'
import { factText } from '../../offload/tunnel-facts.ts'
import type { OffloadEventReply, TunnelFactReply } from '../replies.ts'
import type { SwitchView } from './context.ts'

/** `now`: milliseconds of the clock that the events have. */
export const eventReply = (event: OffloadEvent, now: number): OffloadEventReply => {
  const { kind, text, at, peers, flows, moved, refused, offloaded, micros } = event
  return {
    kind,
    text,
    age: Math.max(0, now - at) / 1000,
    peers,
    flows,
    moved,
    refused,
    offloaded,
    micros: micros ?? null,
  }
}

export const eventLine = (event: OffloadEventReply): string => {
  const { kind, text, age, peers, flows, moved, refused, offloaded, micros } = event
  const counts = `peers:${peers} flows:${flows} moved:${moved} refused:${refused} offloaded:${offloaded}`
  return `${age.toFixed(3)} s ago: ${kind} ${text} -> ${counts} -> ${micros === null ? 'not yet applied' : `${micros} us`}\n`
}

const nameOf =
  (view: SwitchView) =>
  (no: number): string =>
    view.dpif.port(no)?.name ?? `port ${no}`

export const tunnelReplies = (view: SwitchView, flowId: number): TunnelFactReply[] =>
  view.offload
    .tunnelFacts(flowId)
    .map((fact) => ({ ...fact, ports: fact.ports.map(nameOf(view)), text: factText(fact, nameOf(view)) }))

/** `10.0.0.0/8` or an address alone; undefined for anything else. */
export const parsePeers = (text: string): { bytes: Uint8Array; length: number } | undefined => {
  const [address = '', length, ...rest] = text.split('/')
  const bytes = addressBytes(address)
  if (!bytes || rest.length > 0 || (length !== undefined && !/^\d{1,3}$/.test(length))) return undefined
  const bits = length === undefined ? bytes.length * 8 : Number(length)
  return bits <= bytes.length * 8 ? { bytes, length: bits } : undefined
}

/** Ids of the flows whose peer lies under a prefix, in the order of peers. */
export const flowsOfPeers = (view: SwitchView, bytes: Uint8Array, length: number): Set<number> => {
  const ids = new Set<number>()
  for (const { encap, decap } of view.offload.endpoints(bytes, length)) {
    for (const { id } of encap) ids.add(id)
    for (const flows of decap.values()) for (const { id } of flows) ids.add(id)
  }
  return ids
}
