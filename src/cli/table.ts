/** Aligned columns for a terminal; headings are bold there and plain in a pipe. */
import { styleText } from 'node:util'

type Cell = string | number | boolean | undefined

const show = (cell: Cell): string => (cell === undefined ? '-' : String(cell))

/** `numeric` columns are right-aligned. The last column is not padded. */
export const formatTable = (
  headings: readonly string[],
  rows: readonly (readonly Cell[])[],
  colour: boolean,
): string => {
  const text = rows.map((row) => headings.map((_, i) => show(row[i])))
  const numeric = headings.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === 'number'))
  const widths = headings.map((heading, i) => Math.max(heading.length, ...text.map((row) => row[i]!.length)))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) =>
        numeric[i] ? cell.padStart(widths[i]!) : i === cells.length - 1 ? cell : cell.padEnd(widths[i]!),
      )
      .join('  ')
      .trimEnd()
  const head = line(headings.map((heading) => heading.toUpperCase()))
  return `${[colour ? styleText('bold', head, { validateStream: false }) : head, ...text.map(line)].join('\n')}\n`
}

export const printTable = (headings: readonly string[], rows: readonly (readonly Cell[])[]): void => {
  process.stdout.write(formatTable(headings, rows, process.stdout.isTTY === true && !process.env['NO_COLOR']))
}

export const printJson = (data: unknown): void => {
  process.stdout.write(`${JSON.stringify(data, null, 2)}\n`)
}
