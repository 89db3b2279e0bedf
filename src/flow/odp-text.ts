/**
 * Datapath flows in dpctl's syntax, as `ovs-appctl dpctl/dump-flows [-m]` prints them and `dpctl/add-flow` reads them. Control path only.
 *
 * A match prints as the frames that it speaks of: `eth_type(0x8100),vlan(...),encap(...)` for a tagged one. parse(print(m)) equals m for
 * matches that are exact on the tags (a datapath's flows are), on what decides about headers, and on the mapped prefix of outer IPv4 addresses.
 */
import type { Match } from './key.ts'
import type { OdpAction } from './odp.ts'
import { formatOdpActions } from './odp-text-actions.ts'
import { formatOdpMatch, type OdpFormatOptions } from './odp-text-format.ts'

export { formatOdpActions, parseOdpActions } from './odp-text-actions.ts'
export { formatOdpMatch, type OdpFormatOptions } from './odp-text-format.ts'
export { type OdpParseOptions, parseOdpMatch } from './odp-text-parse.ts'
export { FlowSyntaxError } from './syntax-error.ts'

export interface OdpFlowText {
  /** Without the prefix `ufid:`; printed when verbose. */
  readonly ufid?: string
  readonly match: Match
  readonly packets: number | bigint
  readonly bytes: number | bigint
  /** Milliseconds since the last packet; undefined: never used. */
  readonly usedMs?: number | undefined
  readonly tcpFlags: number
  /** Printed as `offloaded:yes` or `offloaded:partial` when there. */
  readonly offloaded?: 'yes' | 'partial' | undefined
  /** Which layer has the flow; printed when verbose. */
  readonly dp?: string
  /** Put before its first packet; printed when verbose. Not in Open vSwitch. */
  readonly preinstalled?: boolean
  readonly actions: readonly OdpAction[]
}

/** One line of dpctl/dump-flows, without a line feed. */
export const formatOdpFlow = (flow: OdpFlowText, options: OdpFormatOptions = {}): string => {
  const verbose = options.verbose === true
  const out: string[] = []
  if (verbose && flow.ufid !== undefined) out.push(`ufid:${flow.ufid}`)
  out.push(formatOdpMatch(flow.match, options), formatOdpStats(flow))
  if (flow.offloaded !== undefined) out.push(`offloaded:${flow.offloaded}`)
  if (verbose && flow.dp !== undefined) out.push(`dp:${flow.dp}`)
  if (verbose && flow.preinstalled) out.push('preinstalled:yes')
  out.push(`actions:${formatOdpActions(flow.actions, options)}`)
  return out.join(', ')
}

/** `packets:9, bytes:882, used:0.104s, flags:SFP.`. */
export const formatOdpStats = (stats: Pick<OdpFlowText, 'packets' | 'bytes' | 'usedMs' | 'tcpFlags'>): string => {
  const used = stats.usedMs === undefined ? 'never' : `${(Math.max(0, stats.usedMs) / 1000).toFixed(3)}s`
  const flags = stats.tcpFlags === 0 ? '' : `, flags:${formatTcpFlagLetters(stats.tcpFlags)}`
  return `packets:${stats.packets}, bytes:${stats.bytes}, used:${used}${flags}`
}

const LETTERS: readonly (readonly [string, number])[] = [
  ['S', 0x02],
  ['F', 0x01],
  ['P', 0x08],
  ['R', 0x04],
  ['U', 0x20],
  ['.', 0x10],
  ['E', 0x40],
  ['C', 0x80],
  ['N', 0x100],
]

/** TCP flags seen, as tcpdump's letters: `SFP.`; `none` for none. */
export const formatTcpFlagLetters = (flags: number): string => {
  const text = LETTERS.filter(([, bit]) => (flags & bit) !== 0)
    .map(([letter]) => letter)
    .join('')
  const reserved = [0x200, 0x400, 0x800].filter((bit) => (flags & bit) !== 0).map((bit) => `[${bit.toString(16)}]`)
  return flags === 0 ? 'none' : text + reserved.join('')
}
