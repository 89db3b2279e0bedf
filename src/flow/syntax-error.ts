/** What both text syntaxes (ofp-text.ts, odp-text.ts) throw for text that they do not understand. Control path only. */

export class FlowSyntaxError extends Error {
  override readonly name = 'FlowSyntaxError'
  /** Offset into the text that was given, in UTF-16 units, from 0. */
  readonly position: number
  /** The offending part of the text; empty at its end. */
  readonly token: string
  /** What would have been right, in a user's words. */
  readonly expected: string

  constructor(problem: string, position: number, token: string, expected: string) {
    super(`${problem} (at position ${position}${expected === '' ? '' : `; expected: ${expected}`})`)
    this.position = position
    this.token = token
    this.expected = expected
  }
}

/** The known word that is nearest to what was typed, if it is near enough to be meant. */
export const nearest = (word: string, known: Iterable<string>): string | undefined => {
  const typed = word.toLowerCase()
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(typed.length / 3)) + 1
  for (const candidate of known) {
    if (Math.abs(candidate.length - typed.length) >= bestDistance) continue
    const d = distance(typed, candidate.toLowerCase())
    if (d < bestDistance) {
      best = candidate
      bestDistance = d
    }
  }
  return best
}

/** "did you mean 'x'?", or `otherwise` when no known word is near. */
export const suggestion = (word: string, known: Iterable<string>, otherwise: string): string => {
  const near = nearest(word, known)
  return near === undefined ? otherwise : `${otherwise}; did you mean '${near}'?`
}

/** Levenshtein's, with a swap of neighbours as one edit. */
const distance = (a: string, b: string): number => {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let d = Math.min(row[j - 1]! + 1, last[j]! + 1, last[j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) d = Math.min(d, before[j - 2]! + 1)
      row.push(d)
    }
    before = last
    last = row
  }
  return last[b.length]!
}
