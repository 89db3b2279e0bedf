/** The tree that a traced translation grows, and its text: Open vSwitch's layout, indentation included. */
import { fullMask, getField } from '../flow/fields.ts'
import { formatMatch } from '../flow/match-text.ts'
import { formatFieldMasked } from '../flow/match-text-values.ts'
import type { OfpAction, Subfield } from '../flow/ofp.ts'
import { formatActions } from '../flow/ofp-actions-text.ts'
import { formatSubfield } from '../flow/ofp-text-subfields.ts'
import type { Bridge } from './bridge.ts'
import type { Rule } from './rule.ts'
import { readBits } from './translate/bits.ts'
import type { Reporter } from './translate/report.ts'

type Kind = 'bridge' | 'table' | 'action' | 'detail' | 'warn' | 'error'

interface Node {
  readonly kind: Kind
  readonly text: string
  readonly subs: Node[]
}

/** Kinds that open no level. They are indented as if something followed. */
const isLeaf = (kind: Kind): boolean => kind !== 'bridge' && kind !== 'table'

const ruleText = (rule: Rule): string => {
  const match = formatMatch(rule.match)
  const cookie = rule.cookie === 0n ? '' : `, cookie 0x${rule.cookie.toString(16)}`
  return `${match === '' ? '' : `${match}, `}priority ${rule.priority}${cookie}`
}

export class TraceTree implements Reporter {
  readonly #roots: Node[] = []
  readonly #open: Node[] = []

  bridge(bridge: Bridge): void {
    this.#enter('bridge', `bridge("${bridge.name}")`)
  }

  table(table: number, rule: Rule | null): void {
    this.#enter('table', `${String(table).padStart(2)}. ${rule === null ? 'No match.' : ruleText(rule)}`)
  }

  actionSet(): void {
    this.#enter('table', '--. Executing action set:')
  }

  leave(): void {
    this.#open.pop()
  }

  action(action: OfpAction): void {
    this.#add('action', formatActions([action]))
  }

  drop(): void {
    this.#add('action', 'drop')
  }

  detail(text: string): void {
    this.#add('detail', text)
  }

  warn(text: string): void {
    this.#add('warn', text)
  }

  error(text: string): void {
    this.#add('error', text)
  }

  written(dst: Subfield, flow: Int32Array): void {
    const { field, start, bits } = dst
    const whole = start === 0 && bits === field.bits
    const part = readBits(flow, field.bit + field.bits - start - bits, bits)
    const value = whole
      ? formatFieldMasked(field, getField(flow, field), fullMask(field)).replace(/^[^=]*=/, '')
      : `0x${part.toString(16)}`
    this.detail(`${formatSubfield(dst)} is now ${value}`)
  }

  setContents(verb: 'is' | 'was', actions: readonly OfpAction[]): void {
    this.detail(`action set ${verb}${actions.length === 0 ? ' empty' : `: ${formatActions(actions)}`}`)
  }

  lines(): string[] {
    const out: string[] = []
    print(this.#roots, 0, out)
    return out
  }

  #add(kind: Kind, text: string): Node {
    const node: Node = { kind, text, subs: [] }
    const parent = this.#open.at(-1)
    ;(parent?.subs ?? this.#roots).push(node)
    return node
  }

  #enter(kind: Kind, text: string): void {
    this.#open.push(this.#add(kind, text))
  }
}

const TEXT: Record<Kind, (text: string) => string> = {
  bridge: (text) => text,
  table: (text) => text,
  action: (text) => text,
  detail: (text) => ` -> ${text}`,
  warn: (text) => ` >> ${text}`,
  error: (text) => ` >>>> ${text} <<<<`,
}

/** The last node of a level is not indented further, so that a chain of tables does not run out of the page. */
const print = (nodes: readonly Node[], level: number, out: string[]): void => {
  nodes.forEach((node, i) => {
    const more = i < nodes.length - 1 || isLeaf(node.kind) ? 1 : 0
    const indent = '    '.repeat(level + more)
    if (node.kind === 'bridge') out.push('')
    out.push(`${indent}${TEXT[node.kind](node.text)}`)
    if (node.kind === 'bridge') out.push(`${indent}${'-'.repeat(node.text.length)}`)
    print(node.subs, level + more + more, out)
  })
}
