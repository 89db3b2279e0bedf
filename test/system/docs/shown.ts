/**
 * Compares output as the documentation shows it with what a command prints now. What differs from run to run is normalised on both sides: numbers, times,
 * ufids, the width of columns. Percentages, addresses, names and hexadecimal constants are kept. A line `...` in the page skips
 * lines, `...` within a line skips text.
 */

const KEPT =
  /\d+\.\d+\.\d+\.\d+(?:\/\d+)?|(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|[0-9a-f]{2,4}(?::[0-9a-f]{1,4})*::[0-9a-f:]*(?:\/\d+)?|in_port\(\d+\)|actions:[\w,]+|[A-Za-z_][\w.-]*|\d+(?:\.\d+)?%|0x[0-9a-f]+|\d+(?:\.\d+)?/g
const normalWord = (word: string): string => (/^\d+(?:\.\d+)?$/.test(word) ? 'N' : word)

export const normal = (line: string): string =>
  line
    .replace(/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, 'UFID')
    .replace(KEPT, normalWord)
    .replace(/\s+/g, ' ')
    .trim()

const SKIP = '...'

const sameLine = (shown: string, real: string): boolean => {
  const parts = shown.split(SKIP).map(normal)
  const text = normal(real)
  if (parts.length === 1) return parts[0] === text
  let at = 0
  for (const [i, part] of parts.entries()) {
    const found =
      i === 0
        ? text.startsWith(part)
          ? 0
          : -1
        : i === parts.length - 1
          ? text.lastIndexOf(part)
          : text.indexOf(part, at)
    if (found < at) return false
    at = found + part.length
  }
  return parts.at(-1) === '' || at === text.length
}

const matchesAt = (segment: readonly string[], real: readonly string[], at: number): boolean =>
  at >= 0 && at + segment.length <= real.length && segment.every((line, i) => sameLine(line, real[at + i]!))

/** What is wrong, in words; undefined when the page shows what was printed. Blank lines do not count. */
export const difference = (shown: readonly string[], printed: string): string | undefined => {
  const real = printed.split('\n').filter((line) => line.trim() !== '')
  const segments: string[][] = [[]]
  for (const line of shown) {
    if (line.trim() === SKIP) segments.push([])
    else segments.at(-1)!.push(line)
  }
  let at = 0
  for (const [i, segment] of segments.entries()) {
    const first = i === 0
    const last = i === segments.length - 1
    let found = -1
    if (last && segment.length > 0)
      found = matchesAt(segment, real, real.length - segment.length) ? real.length - segment.length : -1
    else
      for (let p = at; found < 0 && p + segment.length <= real.length; p++) found = matchesAt(segment, real, p) ? p : -1
    if (found < at || (first && found !== 0 && segment.length > 0))
      return `not printed${first ? ' at the beginning' : last ? ' at the end' : ''} (line ${at + 1} on):\n${segment.join('\n')}`
    if (first && last && real.length !== segment.length) return 'more was printed than is shown; "..." would mark it'
    at = found + segment.length
  }
  return undefined
}
