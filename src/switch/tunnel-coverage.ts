/** The counters of tunnels behind `coverage/show`. Main thread. */
import type { Counters } from '../lib/counters.ts'
import type { TunnelMtu } from '../ofproto/tunnel-mtu.ts'
import type { Underlay } from './underlay.ts'

const dashed = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** What the mirror of the kernel and the tunnel layer count; zero before there is an underlay. */
const LAYER = ['looks', 'translations', 'moved'] as const
const FIB = ['events', 'malformed', 'resyncs', 'inferred', 'doubts'] as const
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
  for (const name of NEIGHBOURS) coverage.source(`neighbour_${name}`, () => underlay()?.neighbours.counters[name] ?? 0)
}
