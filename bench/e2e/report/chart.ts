/** A result as an SVG of bars: for each scenario and each of a few metrics one bar a set-up, with a line from least to most. */
import { METRICS, type Metric } from '../metrics.ts'
import { SCENARIOS } from '../scenario.ts'
import type { SetupName } from '../setups/setup.ts'
import { OURS, type Result, type Stat } from './result.ts'

const CHARTED: readonly Metric[] = ['tcp1', 'udpPeak', 'rttMedian']
const PANEL = { width: 340, label: 110, value: 50, bar: 14, gap: 4, head: 24 }
const OWN = '#2563a8'
const OTHER = '#9aa5b1'

const text = (x: number, y: number, words: string, more = ''): string =>
  `<text x="${x}" y="${y}"${more}>${words}</text>`

const panel = (x: number, y: number, metric: Metric, bars: readonly (readonly [SetupName, Stat])[]): string[] => {
  const most = Math.max(...bars.map(([, stat]) => stat.max), Number.MIN_VALUE)
  const room = PANEL.width - PANEL.label - PANEL.value
  const scale = (value: number): string => ((value / most) * room).toFixed(1)
  const { title, unit, higher, digits } = METRICS[metric]
  const lines = [text(x, y + 14, `${title}, ${unit} (${higher ? 'more' : 'less'} is better)`, ' font-weight="bold"')]
  bars.forEach(([name, stat], i) => {
    const top = y + PANEL.head + i * (PANEL.bar + PANEL.gap)
    const left = x + PANEL.label
    const middle = top + PANEL.bar / 2
    lines.push(
      text(left - 6, top + 11, name, ' text-anchor="end"'),
      `<rect x="${left}" y="${top}" width="${scale(stat.median)}" height="${PANEL.bar}" fill="${OURS.includes(name) ? OWN : OTHER}"/>`,
      `<path d="M${(left + Number(scale(stat.min))).toFixed(1)} ${middle}H${(left + Number(scale(stat.max))).toFixed(1)}" stroke="#222"/>`,
      text(x + PANEL.width - PANEL.value + 4, top + 11, stat.median.toFixed(digits)),
    )
  })
  return lines
}

/** The same result gives the same bytes. */
export const chart = (result: Result): string => {
  const lines: string[] = []
  let y = 10
  for (const scenario of SCENARIOS) {
    const stats = result.scenarios[scenario.name]
    if (!stats) continue
    lines.push(text(10, y + 14, scenario.title.replaceAll("'", '&#39;'), ' font-size="14" font-weight="bold"'))
    y += 24
    const names = Object.keys(stats) as SetupName[]
    CHARTED.forEach((metric, i) => {
      const bars = names.flatMap((name) => {
        const stat = stats[name]?.[metric]
        return stat ? [[name, stat] as const] : []
      })
      lines.push(...panel(10 + i * (PANEL.width + 20), y, metric, bars))
    })
    y += PANEL.head + names.length * (PANEL.bar + PANEL.gap) + 20
  }
  const width = CHARTED.length * (PANEL.width + 20) + 10
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y}" viewBox="0 0 ${width} ${y}" font-family="sans-serif" font-size="11">`,
    '<title>The switch beside splices, Open vSwitch and the kernel</title>',
    `<rect width="${width}" height="${y}" fill="#fff"/>`,
    ...lines,
    '</svg>',
    '',
  ].join('\n')
}
