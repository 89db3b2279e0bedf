/** The counters of tunnels behind `coverage/show`. Main thread. */
import type { Counters } from '../lib/counters.ts'
import type { TunnelMtu } from '../ofproto/tunnel-mtu.ts'
import type { OwnNeighbourCounters } from '../tunnel/own-neighbours.ts'
import type { OwnStackCounters } from '../tunnel/own-stack.ts'
import type { Underlay } from './underlay.ts'

type Counts = Readonly<Record<string, number>>

const dashed = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** What the mirror of the kernel and the tunnel layer count; zero before there is an underlay. */
const LAYER = ['looks', 'translations', 'moved'] as const
const FIB = ['events', 'malformed', 'resyncs', 'inferred', 'doubts'] as const
/** Of bridges that no host's stack owns. */
const OWN = {
  neighbours: ['asked', 'probed', 'delayed', 'mute', 'failed', 'full'],
  stack: ['answered', 'limited', 'unsolicited', 'invalid', 'conflicts', 'announced'],
} as const satisfies { neighbours: (keyof OwnNeighbourCounters)[]; stack: (keyof OwnStackCounters)[] }
const NEIGHBOURS = ['events', 'malformed', 'resyncs'] as const

export const registerTunnelCoverage = (
  coverage: Counters,
  mtu: TunnelMtu,
  underlay: () => Underlay | undefined,
): void => {
  for (const name of Object.keys(mtu.counters) as (keyof TunnelMtu['counters'])[])
    coverage.source(`tunnel_mtu_${dashed(name)}`, () => mtu.counters[name])
  for (const name of LAYER) coverage.source(`tunnel_${name}`, () => underlay()?.tunnels.counters()[name] ?? 0)
  for (const name of FIB) coverage.source(`fib_${name}`, () => underlay()?.fib.counters[name] ?? 0)
  for (const [part, names] of Object.entries(OWN) as [keyof typeof OWN, readonly string[]][])
    for (const name of names)
      coverage.source(
        `own_neighbour_${name}`,
        () => (underlay()?.stackless[part].counters as Counts | undefined)?.[name] ?? 0,
      )
  for (const name of NEIGHBOURS) coverage.source(`neighbour_${name}`, () => underlay()?.neighbours.counters[name] ?? 0)
}
