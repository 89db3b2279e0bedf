/** A run's outcome as it is kept in JSON, its tables, and its bound. */
import type { Machine } from '../e2e/report/result.ts'
import { medianOf } from '../e2e/report/result.ts'
import type { Rows } from '../e2e/report/table.ts'
import { FIGURE_NAMES, FIGURES, type Figure, type Figures } from './figures.ts'

export interface Point {
  readonly flows: number
  readonly masks: number
  readonly figures: Figures
}

export interface ScaleResult {
  readonly machine: Machine
  readonly rounds: number
  /** Offloaded exact flows; masked flows of the datapath. Fewest flows first. */
  readonly nic: readonly Point[]
  readonly datapath: readonly Point[]
}

/** Of each figure the median of the rounds, with four significant digits. */
export const mediansOf = (rounds: readonly Figures[]): Figures => {
  const figures: Figures = {}
  for (const name of FIGURE_NAMES) {
    const values = rounds.flatMap((round) => round[name] ?? [])
    if (values.length > 0) figures[name] = Number(medianOf(values).toPrecision(4))
  }
  return figures
}

const count = (n: number): string => n.toLocaleString('en')

/** A row for each figure, a column for each point. */
export const rowsOf = (points: readonly Point[]): Rows => {
  const masked = points.some(({ masks }) => masks > 1)
  const title = ({ flows, masks }: Point): string =>
    masked ? `${count(flows)} flows, ${masks} ${masks === 1 ? 'mask' : 'masks'}` : `${count(flows)} flows`
  const cell = ({ figures }: Point, name: Figure): string => {
    const value = figures[name]
    return value === undefined ? '-' : value.toFixed(FIGURES[name].digits)
  }
  return [
    ['', ...points.map(title)],
    ...FIGURE_NAMES.filter((name) => points.some(({ figures }) => figures[name] !== undefined)).map((name) => [
      `${FIGURES[name].title}, ${FIGURES[name].unit}`,
      ...points.map((point) => cell(point, name)),
    ]),
  ]
}

/** Cost of a frame with the most flows, by that with REFERENCE. */
export const MOST_RATIO = 1.5
const JUDGED = ['uniformRatio', 'zipfRatio'] as const

export interface ScaleJudgement {
  readonly figure: (typeof JUDGED)[number]
  readonly flows: number
  readonly ratio: number
  readonly reached: boolean
}

export const judgeScale = ({ nic }: Pick<ScaleResult, 'nic'>): ScaleJudgement[] =>
  nic.slice(-1).flatMap(({ flows, figures }) =>
    JUDGED.map((figure) => {
      const ratio = figures[figure] ?? Number.NaN
      return { figure, flows, ratio, reached: ratio <= MOST_RATIO }
    }),
  )

export const shortScale = ({ figure, flows, ratio }: ScaleJudgement): string =>
  `SHORT scale: a frame, ${count(flows)} flows: ${FIGURES[figure].title}: ${ratio.toFixed(2)} times, <= ${MOST_RATIO} wanted`
