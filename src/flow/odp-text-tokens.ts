/** Cuts dpctl's flow syntax into `name`, `name=value` and `name(body)`, separated by commas. Control path only. */
import { FlowSyntaxError } from './syntax-error.ts'

/** Deeper nesting is refused, so that no text can exhaust the stack. */
const MAX_DEPTH = 32

export interface OdpToken {
  readonly name: string
  /** After `=`. */
  readonly value: string | undefined
  /** Between the parentheses. */
  readonly body: string | undefined
  readonly at: number
  readonly valueAt: number
  /** The body's own tokens; none when there is no body. */
  inside(): OdpToken[]
}

/** `base`: position of `text` in what the user gave. */
export const splitTokens = (text: string, base: number): OdpToken[] => {
  const tokens: OdpToken[] = []
  let i = 0
  while (i < text.length) {
    if (/[,\s]/.test(text[i]!)) {
      i++
      continue
    }
    const at = i
    while (i < text.length && !/[\s,=()]/.test(text[i]!)) i++
    const name = text.slice(at, i)
    const next = text[i] ?? ''
    if (name === '') throw new FlowSyntaxError(`unexpected '${next}'`, base + at, next, 'a name')
    let value: string | undefined
    let body: string | undefined
    let valueAt = i
    if (next === '=') {
      valueAt = ++i
      while (i < text.length && !/[\s,()]/.test(text[i]!)) i++
      value = text.slice(valueAt, i)
    } else if (next === '(') {
      valueAt = ++i
      i = closing(text, i, base)
      body = text.slice(valueAt, i)
      i++
    }
    if (i < text.length && !/[,\s]/.test(text[i]!)) {
      throw new FlowSyntaxError(`unexpected '${text[i]}'`, base + i, text[i]!, 'a comma or the end')
    }
    const inner = body
    const innerAt = base + valueAt
    const inside = (): OdpToken[] => (inner === undefined ? [] : splitTokens(inner, innerAt))
    tokens.push({ name, value, body, at: base + at, valueAt: base + valueAt, inside })
  }
  return tokens
}

const closing = (text: string, from: number, base: number): number => {
  let depth = 1
  for (let i = from; i < text.length; i++) {
    if (text[i] === '(' && ++depth > MAX_DEPTH) {
      throw new FlowSyntaxError('parentheses nested too deeply', base + i, '(', `at most ${MAX_DEPTH} levels`)
    }
    if (text[i] === ')' && --depth === 0) return i
  }
  throw new FlowSyntaxError("'(' is not closed", base + from - 1, '(', "')'")
}
