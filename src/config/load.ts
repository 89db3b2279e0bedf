/** Reads and checks the configuration file. Every complaint names file, line, column, the key, and what was expected. */
import { readFileSync } from 'node:fs'
import { type Document, isMap, isNode, LineCounter, parseDocument } from 'yaml'
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

const fromIssue = (issue: z.core.$ZodIssue): (Complaint & { key?: string })[] => {
  const path = issue.path as (string | number)[]
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({ path, key, message: `unknown key "${key}"${expectedKeys(path)}` }))
  if (issue.code === 'invalid_key') return [{ path, message: issue.issues[0]?.message ?? issue.message }]
  return [{ path, message: issue.message }]
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
  if (syntax) throw new ConfigError(`${where(syntax.pos[0])}: ${syntax.message}`)
  const complain = (complaints: readonly (Complaint & { key?: string })[]): never => {
    throw new ConfigError(
      complaints
        .map(({ path, key, message }) => `${where(offsetOf(doc, path, key))}: ${path.join('.') || 'file'}: ${message}`)
        .join('\n'),
    )
  }
  const shaped = configSchema.safeParse(doc.toJS({ maxAliasCount: 100 }) ?? {})
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
