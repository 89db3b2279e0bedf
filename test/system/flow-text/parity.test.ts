import { describe, expect, test } from 'vitest'
import { FlowSyntaxError, parseFlow } from '../../../src/flow/ofp-text.ts'
import { ACCEPTED, REFUSED, STRICTER } from './corpus.ts'
import { asFlowMod, hasOfctl, ofctlParse } from './ofctl.ts'

const ours = (rule: string): string => {
  try {
    return asFlowMod(parseFlow(rule))
  } catch (error) {
    if (!(error instanceof FlowSyntaxError)) throw error
    return `refused: ${error.message}`
  }
}

describe.skipIf(!hasOfctl)('rules, next to ovs-ofctl', () => {
  test.each(ACCEPTED)('understood alike: %s', (rule) => {
    const theirs = ofctlParse(rule)
    expect(ours(rule)).toBe(theirs.ok ? theirs.text : `refused: ${theirs.error}`)
  })

  test.each(REFUSED)('refused by both: %s', (rule) => {
    expect(ofctlParse(rule).ok).toBe(false)
    expect(() => parseFlow(rule)).toThrow(FlowSyntaxError)
  })

  test.each(STRICTER)('refused by us alone: %s (%s)', (rule) => {
    expect(ofctlParse(rule).ok).toBe(true)
    expect(() => parseFlow(rule)).toThrow(FlowSyntaxError)
  })
})
