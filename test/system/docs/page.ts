/**
 * What a page of the documentation shows: commands with their output, whole configurations, tables.
 *
 * A `console` block holds commands (lines that begin with `$ `) and what each prints. The comment before it says where it can be run:
 *
 *     <!-- run: offline -->              in the checkout, nothing else needed
 *     <!-- run: lab l2 -->               with lab/l2 kept up
 *     <!-- run: offline; exit 1 -->      the next block alone; its commands end with that status
 *     <!-- run by: test/x/y.test.ts -->  the next block alone; too long to be run here, that file runs its commands
 *
 * The first two hold until the next of their kind.
 */

export type Setting =
  | { readonly kind: 'offline' }
  | { readonly kind: 'lab'; readonly lab: string }
  | { readonly kind: 'elsewhere'; readonly file: string }

export interface Command {
  readonly text: string
  /** Shown output; empty: not shown. */
  readonly output: readonly string[]
}

export interface ConsoleBlock {
  readonly page: string
  readonly line: number
  /** undefined: the page does not say; an error. */
  readonly setting: Setting | undefined
  readonly exit: number
  readonly commands: readonly Command[]
}

export interface CodeBlock {
  readonly page: string
  readonly line: number
  readonly language: string
  readonly lines: readonly string[]
}

export interface Table {
  readonly page: string
  readonly line: number
  /** The nearest heading above, without its marks. */
  readonly heading: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

const settingOf = (text: string): Setting | undefined => {
  if (text === 'offline') return { kind: 'offline' }
  const lab = text.match(/^lab (\S+)$/)
  return lab ? { kind: 'lab', lab: lab[1]! } : undefined
}

const commandsOf = (lines: readonly string[]): Command[] => {
  const commands: { text: string; output: string[] }[] = []
  for (const line of lines) {
    const last = commands.at(-1)
    if (line.startsWith('$ ')) commands.push({ text: line.slice(2), output: [] })
    else if (last && last.output.length === 0 && last.text.endsWith('\\'))
      last.text = `${last.text.slice(0, -1)}${line}`
    else if (last) last.output.push(line)
    else throw new Error(`a console block begins with a command, not with: ${line}`)
  }
  return commands.map(({ text, output }) => ({ text, output: output.filter((line) => line.trim() !== '') }))
}

const cellsOf = (line: string): string[] =>
  line
    .trim()
    .replace(/^\||\|$/g, '')
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll('\\|', '|'))

/** Blocks and tables of a page, in order. Throws where a comment says something that is no setting. */
export const readPage = (
  page: string,
  text: string,
): { consoles: ConsoleBlock[]; code: CodeBlock[]; tables: Table[] } => {
  const consoles: ConsoleBlock[] = []
  const code: CodeBlock[] = []
  const tables: Table[] = []
  const lines = text.split('\n')
  let setting: Setting | undefined
  let next: { setting?: Setting; exit?: number } = {}
  let heading = ''
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!
    const comment = line.match(/^<!-- run( by)?: (.*?)(?:; exit (\d+))? -->$/)
    if (comment) {
      const [, by, what, exit] = comment
      const given: Setting | undefined = by ? { kind: 'elsewhere', file: what! } : settingOf(what!)
      if (!given) throw new Error(`${page}:${i + 1}: "${what}" is no setting; "offline" or "lab NAME" expected`)
      if (by || exit) next = { setting: given, exit: Number(exit ?? 0) }
      else setting = given
    }
    if (line.startsWith('#')) heading = line.replace(/^#+\s*/, '')
    const fence = line.match(/^```(\w*)$/)
    if (fence) {
      const end = lines.indexOf('```', i + 1)
      if (end < 0) throw new Error(`${page}:${i + 1}: the block has no end`)
      const body = lines.slice(i + 1, end)
      if (fence[1] === 'console') {
        consoles.push({
          page,
          line: i + 1,
          setting: next.setting ?? setting,
          exit: next.exit ?? 0,
          commands: commandsOf(body),
        })
        next = {}
      } else code.push({ page, line: i + 1, language: fence[1]!, lines: body })
      i = end
    } else if (line.startsWith('|') && /^\|[\s:|-]+\|$/.test(lines[i + 1] ?? '')) {
      const at = i + 1
      const columns = cellsOf(line)
      const rows: string[][] = []
      for (i += 2; lines[i]?.startsWith('|'); i++) rows.push(cellsOf(lines[i]!))
      i--
      tables.push({ page, line: at, heading, columns, rows })
    }
  }
  return { consoles, code, tables }
}

/** The words in backticks of a cell or line. */
export const quoted = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)
