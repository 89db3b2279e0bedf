/** Debian's ovs-ofctl as the oracle of the rule syntax: what `ovs-ofctl parse-flow` says that it understood. */
import { spawnSync } from 'node:child_process'
import type { FlowSpec } from '../../../src/flow/ofp.ts'
import { formatActions, formatMatch } from '../../../src/flow/ofp-text.ts'

export const hasOfctl = spawnSync('ovs-ofctl', ['--version']).status === 0

/**
 * The protocol version that carries a rule's actions as they were written: OpenFlow 1.0 knows no set_field and no action set, 1.1 and later no
 * mod_*, and only 1.5 has masks of set_field.
 */
const versionFor = (rule: string): string[] => {
  if (/set_field:[^,]*\/[^,]*->/.test(rule)) return ['-O', 'OpenFlow15']
  return /set_field|reset_counts|write_actions|clear_actions|goto_table|push_vlan/.test(rule)
    ? ['-O', 'OpenFlow13']
    : []
}

export type OracleAnswer = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly error: string }

/** A rule that ovs-ofctl takes only after dropping parts of it counts as refused. */
export const ofctlParse = (rule: string): OracleAnswer => {
  const { stdout, stderr, status } = spawnSync('ovs-ofctl', [...versionFor(rule), 'parse-flow', rule], {
    encoding: 'utf8',
  })
  const line = stdout.split('\n').find((l) => l.includes('FLOW_MOD'))
  if (status !== 0 || line === undefined || line.includes('decode error') || stderr.includes('normalization changed')) {
    return { ok: false, error: stderr.trim() || stdout }
  }
  // `eth` appears when recirc_id goes with a field of Ethernet; it says nothing.
  return {
    ok: true,
    text: line
      .replace(/^.*\): ADD ?/, '')
      .replace(/\bpop_vlan\b/g, 'strip_vlan')
      .replace(',eth,', ','),
  }
}

/** The same for many rules at once, which must all be right. */
export const ofctlParseAll = (rules: readonly string[]): string[] => {
  const { stdout, stderr, status } = spawnSync('ovs-ofctl', ['parse-flows', '-'], {
    encoding: 'utf8',
    input: `${rules.join('\n')}\n`,
    maxBuffer: 1 << 26,
  })
  if (status !== 0) throw new Error(stderr)
  return stdout
    .split('\n')
    .filter((line) => line.includes('FLOW_MOD'))
    .map((line) => line.replace(/^.*\): ADD ?/, '').replace(/(^|,)eth,/, '$1'))
}

/** Ours, in the words of ovs-ofctl's printout of a message. */
export const asFlowMod = (spec: FlowSpec): string => {
  const words: string[] = []
  if (spec.table !== 0 && spec.table !== 255) words.push(`table:${spec.table}`)
  const match = formatMatch(spec.match)
  const priority = spec.priority === 32768 ? '' : `priority=${spec.priority}`
  if (priority !== '' || match !== '') words.push([priority, match].filter(Boolean).join(','))
  if (spec.cookie !== 0n) words.push(`cookie:0x${spec.cookie.toString(16)}`)
  if (spec.idleTimeout !== 0) words.push(`idle:${spec.idleTimeout}`)
  if (spec.hardTimeout !== 0) words.push(`hard:${spec.hardTimeout}`)
  if (spec.checkOverlap) words.push('check_overlap')
  if (spec.resetCounts) words.push('reset_counts')
  words.push(`actions=${formatActions(spec.actions)}`)
  return words.join(' ')
}
