/**
 * Equality of two captures by the golden rule's definition: per flow the same sequence of canonical packets, across flows a multiset. What differs is
 * told by flow, with the first frames that do.
 */
import { byFlow, type CanonicalOptions, canonical } from './canonical.ts'

export interface Difference {
  readonly flow: string
  /** Index in the flow's sequence of the first difference; frames of the flow on either side. */
  readonly at: number
  readonly left: number
  readonly right: number
  readonly leftFrame: Uint8Array | undefined
  readonly rightFrame: Uint8Array | undefined
}

const same = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a !== undefined && b !== undefined && Buffer.compare(a, b) === 0

/** Flows in which the two differ; none: they are equal. */
export const differences = (
  left: readonly Uint8Array[],
  right: readonly Uint8Array[],
  options: CanonicalOptions = {},
): Difference[] => {
  const a = byFlow(canonical(left, options))
  const b = byFlow(canonical(right, options))
  const found: Difference[] = []
  for (const flow of new Set([...a.keys(), ...b.keys()])) {
    const x = a.get(flow) ?? []
    const y = b.get(flow) ?? []
    const length = Math.max(x.length, y.length)
    for (let i = 0; i < length; i++) {
      if (same(x[i], y[i])) continue
      found.push({ flow, at: i, left: x.length, right: y.length, leftFrame: x[i], rightFrame: y[i] })
      break
    }
  }
  return found
}

const dump = (label: string, frame: Uint8Array | undefined, other: Uint8Array | undefined): string => {
  if (!frame) return `  ${label}: no such frame`
  let from = 0
  while (other && from < frame.length && frame[from] === other[from]) from++
  const start = Math.max(0, (from & ~15) - 16)
  const text = Buffer.from(frame.subarray(start, start + 64))
    .toString('hex')
    .replace(/(..)/g, '$1 ')
  return `  ${label}: ${frame.length} bytes, first difference at ${from}; from ${start}: ${text.trim()}`
}

/** Says in words what differs, for an assertion's message; '' when nothing does. */
export const explain = (found: readonly Difference[], left = 'left', right = 'right', limit = 5): string => {
  const lines = found
    .slice(0, limit)
    .flatMap((d) => [
      `flow ${d.flow}: ${left} has ${d.left} packets, ${right} ${d.right}; packet ${d.at} differs`,
      dump(left, d.leftFrame, d.rightFrame),
      dump(right, d.rightFrame, d.leftFrame),
    ])
  if (found.length > limit) lines.push(`and ${found.length - limit} more flows`)
  return lines.join('\n')
}
