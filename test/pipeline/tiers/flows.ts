/** Flows and rules for the tests of tiers 2 and 3, and tier 1's part played by a few lines. */
import type { DatapathClient } from '../../../src/datapath/client.ts'
import { extractFrame } from '../../../src/flow/extract-frame.ts'
import { createKey, createMatch, K_IN_PORT, K_RECIRC_ID, K_TP, type Match } from '../../../src/flow/key.ts'
import type { OdpAction } from '../../../src/flow/odp.ts'

/** Everything of a port (and recirculation id). */
export const portMatch = (port: number, recirc = 0): Match => {
  const match = createMatch()
  match.mask[K_IN_PORT] = -1
  match.key[K_IN_PORT] = port
  match.mask[K_RECIRC_ID] = -1
  match.key[K_RECIRC_ID] = recirc
  return match
}

/** One flow number of `numbered` frames of a port. */
export const flowMatch = (port: number, flow: number): Match => {
  const match = portMatch(port)
  match.mask[K_TP] = 0xffff0000 | 0
  match.key[K_TP] = ((1000 + flow) << 16) | 0
  return match
}

export const output = (...ports: number[]): OdpAction[] => ports.map((port) => ({ type: 'output', port }))

export const putFlow = (
  dpif: DatapathClient,
  match: Match,
  actions: readonly OdpAction[],
  id = dpif.flowNew(),
): number => {
  dpif.flowPut({ id, ufid: `00000000-0000-0000-0000-${id.toString(16).padStart(12, '0')}`, match, actions })
  return id
}

/** Key of an upcall's packet. */
export const keyOf = (dpif: DatapathClient, slot: number): Int32Array => {
  const key = createKey()
  extractFrame(dpif.arena, slot, key)
  return key
}

/** Answers every upcall at once: installs a flow by source port, sends out of `to(port)`. Counts them. */
export const answerAll = (dpif: DatapathClient, to: (port: number) => number): { upcalls: number } => {
  const seen = { upcalls: 0 }
  dpif.onUpcall((slot) => {
    seen.upcalls++
    const key = keyOf(dpif, slot)
    const match = portMatch(key[K_IN_PORT]!)
    match.mask[K_TP] = 0xffff0000 | 0
    match.key[K_TP] = key[K_TP]! & 0xffff0000
    const actions = output(to(key[K_IN_PORT]!))
    putFlow(dpif, match, actions)
    dpif.upcallDone(slot, actions)
  })
  return seen
}
