/** Cuts ovs-ofctl's syntax into `key`, `key=value`, `key:value` and `key(value)`, for rules and for action lists. Control path only. */
import { FlowSyntaxError } from './syntax-error.ts'

export interface Clause {
  readonly key: string
  /** Without the delimiter or the parentheses; empty when there is none. */
  readonly value: string
  /** What came after the key. */
  readonly delimiter: '' | '=' | ':' | '('
  /** Positions in the text that the user gave. */
  readonly at: number
  readonly valueAt: number
}

/** Nested parentheses beyond this are refused, so that no text can exhaust the stack. */
export const MAX_NESTING = 16

const SEPARATOR = /[,\s]/

/** Clauses are separated by commas or white space outside of parentheses. `base`: position of `text` in what the user gave. */
export const splitClauses = (text: string, base: number): Clause[] => {
  const clauses: Clause[] = []
  let i = 0
  while (i < text.length) {
    if (SEPARATOR.test(text[i]!)) {
      i++
      continue
    }
    const at = i
    while (i < text.length && !/[\s,=:()]/.test(text[i]!)) i = text[i] === '"' ? afterQuote(text, i, base) : i + 1
    const key = text.slice(at, i)
    const next = text[i] ?? ''
    if (key === '') throw new FlowSyntaxError(`unexpected '${next}'`, base + at, next, 'a keyword')
    if (next === '=' || next === ':') {
      const valueAt = ++i
      i = endOfValue(text, i, base)
      clauses.push({ key, value: text.slice(valueAt, i), delimiter: next, at: base + at, valueAt: base + valueAt })
    } else if (next === '(') {
      const valueAt = ++i
      i = closing(text, i, base)
      clauses.push({ key, value: text.slice(valueAt, i), delimiter: '(', at: base + at, valueAt: base + valueAt })
      i++
      if (i < text.length && !SEPARATOR.test(text[i]!)) {
        throw new FlowSyntaxError(`unexpected '${text[i]}' after ')'`, base + i, text[i]!, 'a comma or the end')
      }
    } else if (next === ')') {
      throw new FlowSyntaxError("')' without '('", base + i, ')', 'a comma or the end')
    } else clauses.push({ key, value: '', delimiter: '', at: base + at, valueAt: base + i })
  }
  return clauses
}

const endOfValue = (text: string, from: number, base: number): number => {
  let i = from
  while (i < text.length && !SEPARATOR.test(text[i]!)) {
    if (text[i] === ')') throw new FlowSyntaxError("')' without '('", base + i, ')', 'a comma or the end')
    if (text[i] === '"') i = afterQuote(text, i, base)
    else i = text[i] === '(' ? closing(text, i + 1, base) + 1 : i + 1
  }
  return i
}

/** Index behind the quoted name that begins at `from`: names of ports may have any characters but quotes. */
const afterQuote = (text: string, from: number, base: number): number => {
  const end = text.indexOf('"', from + 1)
  if (end < 0) throw new FlowSyntaxError('the quote is not closed', base + from, '"', "'\"' at the end of the name")
  return end + 1
}

/** Index of the parenthesis that closes the one before `from`. */
const closing = (text: string, from: number, base: number): number => {
  let depth = 1
  for (let i = from; i < text.length; i++) {
    if (text[i] === '"') i = afterQuote(text, i, base) - 1
    if (text[i] === '(' && ++depth > MAX_NESTING) {
      throw new FlowSyntaxError('parentheses nested too deeply', base + i, '(', `at most ${MAX_NESTING} levels`)
    }
    if (text[i] === ')' && --depth === 0) return i
  }
  throw new FlowSyntaxError("'(' is not closed", base + from - 1, '(', "')'")
}
