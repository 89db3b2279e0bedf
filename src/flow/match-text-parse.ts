/** Parses matches in ovs-ofctl's syntax: the fields of a rule, and their prerequisites. Control path only. */
import type { Field } from './fields.ts'
import { createMatch, type Match } from './key.ts'
import { canonicalise } from './match.ts'
import { parseFieldValue } from './match-text-values.ts'
import { type Clause, splitClauses } from './ofp-text-clauses.ts'
import type { PortNames } from './ofp-text-ports.ts'
import { describePrerequisite, expandShorthand, SHORTHANDS, satisfied } from './prerequisites.ts'
import { FIELDS, fieldByName, matchValue } from './registry.ts'
import { FlowSyntaxError, suggestion } from './syntax-error.ts'

/** Parses `tcp,in_port=1,nw_src=10.0.0.0/8`. Throws FlowSyntaxError. */
export const parseMatch = (text: string, names: PortNames = {}): Match => {
  const builder = new MatchBuilder(names)
  for (const clause of splitClauses(text, 0)) builder.add(clause, [])
  return builder.finish()
}

/** Collects the fields of one rule; prerequisites are looked at when all are known, since they may come in any order. */
export class MatchBuilder {
  private readonly match: Match = createMatch()
  private readonly used: { field: Field; clause: Clause }[] = []
  private readonly names: PortNames

  constructor(names: PortNames) {
    this.names = names
  }

  /** `otherKeys`: what else could stand here, for the suggestion. */
  add(clause: Clause, otherKeys: readonly string[]): void {
    const { key, value, delimiter, at } = clause
    // ovs-ofctl prints `eth` for "an Ethernet frame", which every frame here is.
    if (delimiter === '' && (key === 'eth' || expandShorthand(this.match, key))) return
    const field = fieldByName(key)
    if (field === undefined || field.name === 'skb_priority') {
      const known = [...otherKeys, ...SHORTHANDS.keys(), ...FIELDS.flatMap((f) => [f.name, ...f.aliases])]
      const what = SHORTHANDS.has(key) ? `'${key}' takes no value` : `unknown keyword '${key}'`
      throw new FlowSyntaxError(what, at, key, suggestion(key, known, 'a match field, a protocol or a rule property'))
    }
    if (delimiter !== '=' && delimiter !== ':') {
      throw new FlowSyntaxError(`${key}: a value is missing`, clause.valueAt, '', `${key}=VALUE`)
    }
    const parsed = parseFieldValue(field, value, this.names)
    const problem = typeof parsed === 'string' ? parsed : matchValue(this.match, field, parsed.value, parsed.mask)
    if (problem !== undefined) throw new FlowSyntaxError(problem, clause.valueAt, value, `a value of ${field.name}`)
    if (typeof parsed !== 'string' && parsed.mask !== 0n) this.used.push({ field, clause })
  }

  finish(): Match {
    for (const { field, clause } of this.used) {
      // vlan_pcp makes its own prerequisite: like dl_vlan_pcp, it matches the tag's presence too.
      if (satisfied(this.match, field.prerequisite)) continue
      throw new FlowSyntaxError(
        describePrerequisite(field),
        clause.at,
        clause.key,
        'the field together with its protocol',
      )
    }
    canonicalise(this.match)
    return this.match
  }
}
