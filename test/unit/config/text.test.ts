import { expect, test } from 'vitest'
import { ConfigError, parseConfig } from '../../../src/config/load.ts'

/** Texts that are no configuration at all, or try to be a large one. */

const complaint = (text: string): string => {
  try {
    parseConfig(text, 'x.yaml')
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as Error).message
  }
  return 'accepted'
}

/** Twelve levels of ten aliases each: a million million values. */
const bomb = Array.from({ length: 12 }, (_, level) => {
  const item = level === 0 ? 'x' : `*a${level - 1}`
  return `a${level}: &a${level} [${Array(10).fill(item).join(',')}]\n`
}).join('')

test.each([
  ['an empty file', '', 'x.yaml:1:1: control: missing: an absolute path of a socket expected'],
  ['comments alone', '# x\n# y\n', 'x.yaml:1:1: control: missing: an absolute path of a socket expected'],
  ['a key without a value', 'control:\n', 'x.yaml:1:9: control: an absolute path of a socket expected'],
  ['a list', '- control\n', 'x.yaml:1:1: file: a mapping expected'],
  ['a word', 'hello\n', 'x.yaml:1:1: file: a mapping expected'],
  ['two documents', 'control: /x\n---\ncontrol: /y\n', 'x.yaml:2:1: one document expected, no "---" after it'],
  ['an alias bomb', bomb, 'x.yaml:5:38: aliases that stand for at most 100000 values in all expected'],
  ['an alias within its own anchor', 'control: &a [*a]\n', 'x.yaml:1:14: the anchor &a expected before its alias'],
  ['an alias of nothing', 'control: *a\n', 'x.yaml:1:10: the anchor &a expected before its alias'],
  ['a list for a mapping', 'control: /x\nbridges: []\n', 'x.yaml:2:10: bridges: a mapping expected'],
  ['a mapping for a list', 'control: /x\nbridges: {b: {flows: {}}}\n', 'x.yaml:2:22: bridges.b.flows: a list expected'],
  [
    'a number out of range',
    'control: /x\nbridges: {b: {mac-aging: 0}}\n',
    'x.yaml:2:26: bridges.b.mac-aging: seconds, 1..3600 expected',
  ],
  [
    'an option that is a list',
    'control: /x\nbridges: {b: {ports: {p: {type: tap, options: {a: [1]}}}}}\n',
    'x.yaml:2:51: bridges.b.ports.p.options.a: a text, a number, or true or false expected',
  ],
])('%s is refused by place and what was expected', (_, text, words) => {
  expect(complaint(text)).toBe(words)
})

test('brackets without end are refused by place', () => {
  expect(complaint('['.repeat(100_000))).toMatch(/^x\.yaml:1:\d+: nested too deeply/)
})

test('many ports may share their settings by an alias', () => {
  const ports = Array.from({ length: 500 }, (_, n) => `      p${n}: *settings\n`).join('')
  const text = `control: /x\nbridges:\n  b:\n    ports:\n      p: &settings { type: tap, tag: 7 }\n${ports}`
  expect(parseConfig(text, 'x.yaml').bridges['b']?.ports['p499']).toMatchObject({ type: 'tap', tag: 7 })
})
