/** Tables of a result, for the terminal and for Markdown. */
import { METRIC_NAMES, METRICS, type Metric } from '../metrics.ts'
import type { SetupName } from '../setups/setup.ts'
import { OURS, RIVALS, ratioOf, type ScenarioStats, type Stat } from './result.ts'

export type Rows = readonly (readonly string[])[]

const present = (stats: ScenarioStats): Metric[] =>
  METRIC_NAMES.filter((metric) => Object.values(stats).some((setup) => setup[metric] !== undefined))

const cell = (metric: Metric, stat: Stat | undefined, spread: boolean): string => {
  if (!stat) return '-'
  const { digits } = METRICS[metric]
  const median = stat.median.toFixed(digits)
  return spread && stat.min !== stat.max
    ? `${median} (${stat.min.toFixed(digits)}..${stat.max.toFixed(digits)})`
    : median
}

/** A row for each metric, a column for each set-up; with `spread` also least and most. */
export const figureRows = (stats: ScenarioStats, spread: boolean): Rows => {
  const names = Object.keys(stats) as SetupName[]
  return [
    ['', ...names],
    ...present(stats).map((metric) => [
      `${METRICS[metric].title}, ${METRICS[metric].unit}`,
      ...names.map((name) => cell(metric, stats[name]?.[metric], spread)),
    ]),
  ]
}

/** A row for each metric that can be compared, a column for each of ours and its rivals. */
export const ratioRows = (stats: ScenarioStats): Rows => {
  const columns = OURS.filter((setup) => stats[setup]).flatMap((setup) =>
    RIVALS.map((rival) => ({ setup, rival, title: `${setup} / ${rival}` })),
  )
  const rows = present(stats).map((metric) => [
    METRICS[metric].title,
    ...columns.map(({ setup, rival }) => ratioOf(stats, setup, rival, metric)?.toFixed(2) ?? '-'),
  ])
  return [
    ['', ...columns.map(({ title }) => title)],
    ...rows.filter((row) => row.slice(1).some((text) => text !== '-')),
  ]
}

export const asText = (rows: Rows): string => {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows
    .map((row) => row.map((text, i) => (i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))).join('  '))
    .join('\n')
}

export const asMarkdown = ([head, ...rows]: Rows): string => {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head!), line(head!.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n')
}
