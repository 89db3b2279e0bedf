/** Parts of fields as actions name them: `NXM_NX_REG0[0..15]`, `reg0[3]`, `eth_src[]` or a bare name. Control path only. */
import { actionFieldName } from './match-text-values.ts'
import type { Subfield } from './ofp.ts'
import { FIELDS, fieldByName } from './registry.ts'
import { FlowSyntaxError, suggestion } from './syntax-error.ts'

export const parseSubfield = (text: string, at: number): Subfield => {
  const parts = /^([A-Za-z0-9_]+)(?:\[(?:(\d{1,3})(?:\.\.(\d{1,3}))?)?\])?$/.exec(text)
  if (parts === null) throw new FlowSyntaxError(`'${text}' is not a field`, at, text, 'NAME[], NAME[N] or NAME[N..M]')
  const [, name, first, last] = parts
  const field = fieldByName(name!)
  if (field === undefined) {
    const known = FIELDS.flatMap((f) => [f.name, ...f.aliases, ...f.nxm])
    throw new FlowSyntaxError(`unknown field '${name}'`, at, text, suggestion(name!, known, 'the name of a field'))
  }
  if (first === undefined) return { field, start: 0, bits: field.bits }
  const start = Number(first)
  const end = last === undefined ? start : Number(last)
  if (end < start) throw new FlowSyntaxError(`${text}: last bit before the first`, at, text, 'FIRST..LAST')
  if (end >= field.bits) {
    throw new FlowSyntaxError(
      `${text}: bit ${end} is out of range`,
      at,
      text,
      `at most ${field.bits - 1}, the field's last bit`,
    )
  }
  return { field, start, bits: end - start + 1 }
}

export const formatSubfield = ({ field, start, bits }: Subfield): string => {
  const name = field.nxm[0] ?? actionFieldName(field)
  if (start === 0 && bits === field.bits) return `${name}[]`
  return bits === 1 ? `${name}[${start}]` : `${name}[${start}..${start + bits - 1}]`
}
