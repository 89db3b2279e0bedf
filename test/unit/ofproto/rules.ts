/** Makes rules, specs and keys for the tests of tier 1's tables. */
import { createKey, createMatch, type Match } from '../../../src/flow/key.ts'
import { type FlowSpec, OFPP_NONE } from '../../../src/flow/ofp.ts'
import { fieldNamed, matchValue } from '../../../src/flow/registry.ts'
import { Rule } from '../../../src/ofproto/rule.ts'

/** [value, mask] or value, by field name. */
export type Fields = Readonly<Record<string, number | bigint | readonly [number | bigint, number | bigint]>>

export const match = (fields: Fields): Match => {
  const result = createMatch()
  for (const [name, given] of Object.entries(fields)) {
    const [value, mask] = typeof given === 'object' ? given : [given, undefined]
    const wrong = matchValue(result, fieldNamed(name), BigInt(value), mask === undefined ? undefined : BigInt(mask))
    if (wrong !== undefined) throw new Error(wrong)
  }
  return result
}

/** A packet's key with these fields. */
export const key = (fields: Fields): Int32Array => match(fields).key

/** Mask of exactly these fields. */
export const mask = (fields: Fields): Int32Array => match(fields).mask

export const rule = (fields: Fields, priority = 100): Rule => ruleOf(match(fields), priority)

export const ruleOf = (of: Match, priority: number): Rule =>
  new Rule({ table: 0, priority, cookie: 0n, idleTimeout: 0, hardTimeout: 0, match: of, actions: [] }, 1)

export const spec = (parts: Partial<FlowSpec> & { readonly fields?: Fields } = {}): FlowSpec => {
  const { fields = {}, ...rest } = parts
  return {
    table: 0,
    priority: 100,
    cookie: 0n,
    cookieMask: 0n,
    idleTimeout: 0,
    hardTimeout: 0,
    checkOverlap: false,
    resetCounts: false,
    match: match(fields),
    actions: [],
    outPort: OFPP_NONE,
    ...rest,
  }
}

export const emptyWc = (): Int32Array => createKey()
