/** Reads and checks the configuration file. Every complaint names file, line, column, the key, and what was expected. */
import { readFileSync } from 'node:fs'
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isPair,
  LineCounter,
  type ParsedNode,
  parseDocument,
  type YAMLParseError,
} from 'yaml'
import type { z } from 'zod'
import { type Complaint, checkConfig } from './check.ts'
import { type Config, configSchema } from './schema.ts'

/** All complaints about a file, one a line. */
export class ConfigError extends Error {}

type Path = readonly PropertyKey[]

/** Offset of the value at `path`, or of its nearest parent that exists; of an unknown key itself when `key` is given. */
const offsetOf = (doc: Document, path: Path, key?: string): number => {
  for (let depth = path.length; depth >= 0; depth--) {
    const node = depth === 0 ? doc.contents : doc.getIn(path.slice(0, depth), true)
    if (!isNode(node) || !node.range) continue
    if (key !== undefined && depth === path.length && isMap(node)) {
      const pair = node.items.find((item) => isNode(item.key) && String(item.key) === key)
      if (pair && isNode(pair.key) && pair.key.range) return pair.key.range[0]
    }
    return node.range[0]
  }
  return 0
}

/** The parser's words, but where they speak of the parser. */
const syntaxWords = (error: YAMLParseError): string =>
  error.code === 'MULTIPLE_DOCS'
    ? 'one document expected, no "---" after it'
    : error.message.startsWith('Maximum call stack')
      ? 'nested too deeply: a few levels expected'
      : error.message

/** Values that a file may stand for, its aliases written out. A few nested ones stand for more than any memory holds. */
const MAX_VALUES = 100_000

/** The first alias that cannot be written out, with the reason. */
const badAlias = (doc: Document): { offset: number; message: string } | undefined => {
  const sizes = new Map<string, number>()
  let bad: { offset: number; message: string } | undefined
  let total = 0
  const sizeOf = (node: unknown): number => {
    if (bad) return 0
    if (isAlias(node)) {
      const size = sizes.get(node.source)
      total += size ?? 0
      if (size === undefined || total > MAX_VALUES) {
        const message =
          size === undefined
            ? `the anchor &${node.source} expected before its alias`
            : `aliases that stand for at most ${MAX_VALUES} values in all expected`
        bad = { offset: (node as ParsedNode).range[0], message }
      }
      return size ?? 0
    }
    if (isPair(node)) return sizeOf(node.key) + sizeOf(node.value)
    let size = 1
    if (isCollection(node)) for (const item of node.items) size += sizeOf(item)
    if (isNode(node) && 'anchor' in node && node.anchor !== undefined) sizes.set(node.anchor, size)
    return size
  }
  sizeOf(doc.contents)
  return bad
}

const expectedKeys = (path: Path): string => {
  let schema: unknown = configSchema
  for (const step of path) {
    const def = (schema as { def?: Record<string, unknown> }).def
    const inner = unwrap(schema)
    const shape = (inner as { shape?: Record<string, unknown> }).shape
    schema = shape?.[String(step)] ?? (inner as { valueType?: unknown }).valueType ?? (def?.['innerType'] as unknown)
    if (schema === undefined) return ''
  }
  const shape = (unwrap(schema) as { shape?: Record<string, unknown> }).shape
  return shape ? `; one of ${Object.keys(shape).join(', ')} expected` : ''
}

const unwrap = (schema: unknown): unknown => {
  let at = schema as { def?: { innerType?: unknown } }
  while (at.def?.innerType !== undefined) at = at.def.innerType as typeof at
  return at
}

/** YAML's words for what zod expects. */
const KINDS: Readonly<Record<string, string>> = {
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
}

/** The schema's own words where it has some; and that something is missing where nothing stands. */
const wordsOf = (issue: z.core.$ZodIssue): string => {
  const own = !issue.message.startsWith('Invalid input: expected ')
  const words =
    issue.code === 'invalid_type' && !own ? `${KINDS[issue.expected] ?? issue.expected} expected` : issue.message
  return issue.input === undefined && issue.code === 'invalid_type' ? `missing: ${words}` : words
}

const fromIssue = (issue: z.core.$ZodIssue): (Complaint & { key?: string })[] => {
  const path = issue.path as (string | number)[]
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({ path, key, message: `unknown key "${key}"${expectedKeys(path)}` }))
  if (issue.code === 'invalid_key') return [{ path, message: issue.issues[0]?.message ?? issue.message }]
  return [{ path, message: wordsOf(issue) }]
}

/** Parses a configuration text; `file` is for messages and for names relative to it. Throws ConfigError. */
export const parseConfig = (text: string, file: string): Config => {
  const lines = new LineCounter()
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const where = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${file}:${line}:${col}`
  }
  const syntax = doc.errors[0]
  if (syntax) throw new ConfigError(`${where(syntax.pos[0])}: ${syntaxWords(syntax)}`)
  const complain = (complaints: readonly (Complaint & { key?: string })[]): never => {
    throw new ConfigError(
      complaints
        .map(({ path, key, message }) => `${where(offsetOf(doc, path, key))}: ${path.join('.') || 'file'}: ${message}`)
        .join('\n'),
    )
  }
  const alias = badAlias(doc)
  if (alias) throw new ConfigError(`${where(alias.offset)}: ${alias.message}`)
  const shaped = configSchema.safeParse(doc.toJS({ maxAliasCount: -1 }) ?? {}, { reportInput: true })
  if (!shaped.success) return complain(shaped.error.issues.flatMap(fromIssue))
  const complaints = checkConfig(shaped.data, file)
  return complaints.length > 0 ? complain(complaints) : shaped.data
}

/** Reads `file`. Throws ConfigError, also when it cannot be read. */
export const loadConfig = (file: string): Config => {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(
      `${file}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'no such file' : (error as Error).message}`,
    )
  }
  return parseConfig(text, file)
}
