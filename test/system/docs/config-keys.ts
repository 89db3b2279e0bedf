/** The configuration's keys as the schema has them, for comparison with docs/configuration.md. */
import { configSchema } from '../../../src/config/schema.ts'

export interface ConfigKey {
  readonly key: string
  /** As JSON; 'required'; or 'none': may be left out, and there is no value then. */
  readonly fallback: string
}

interface Def {
  readonly type: string
  readonly innerType?: unknown
  readonly valueType?: unknown
  readonly defaultValue?: unknown
}

const defOf = (schema: unknown): Def => (schema as { def: Def }).def

const unwrap = (schema: unknown): { inner: unknown; fallback: string } => {
  let inner = schema
  let fallback = 'required'
  for (let def = defOf(inner); def.innerType !== undefined; def = defOf(inner)) {
    if (def.type === 'default') fallback = JSON.stringify(def.defaultValue)
    else if (fallback === 'required') fallback = 'none'
    inner = def.innerType
  }
  return { inner, fallback }
}

const shapeOf = (schema: unknown): Record<string, unknown> | undefined =>
  (schema as { shape?: Record<string, unknown> }).shape

/** Sections ('', 'eswitches.NAME', 'eswitches.NAME.ports.NAME', ...) with their keys, in the schema's order. */
export const configSections = (): Map<string, ConfigKey[]> => {
  const sections = new Map<string, ConfigKey[]>()
  const walk = (path: string, schema: unknown): void => {
    const { inner } = unwrap(schema)
    const shape = shapeOf(inner)
    if (shape === undefined) {
      const { valueType } = defOf(inner)
      if (defOf(inner).type === 'record' && shapeOf(unwrap(valueType).inner)) walk(`${path}.NAME`, valueType)
      return
    }
    sections.set(
      path,
      Object.entries(shape).map(([key, value]) => ({ key, fallback: unwrap(value).fallback })),
    )
    for (const [key, value] of Object.entries(shape)) walk(path === '' ? key : `${path}.${key}`, value)
  }
  walk('', configSchema)
  return sections
}
