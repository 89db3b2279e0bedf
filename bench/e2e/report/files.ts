/** Where the kept result and what is made from it stand. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { chart } from './chart.ts'
import { withFigures } from './page.ts'
import type { Result } from './result.ts'

const at = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url))

export const RESULT = at('bench/result.json')
export const PAGE = at('docs/performance.md')
export const CHART = at('docs/performance.svg')

/** undefined: none is kept. */
export const readResult = (): Result | undefined =>
  existsSync(RESULT) ? (JSON.parse(readFileSync(RESULT, 'utf8')) as Result) : undefined

/** Makes the chart and the page's figures from the kept result. */
export const writeDocs = (): void => {
  const result = readResult()
  if (result) writeFileSync(CHART, chart(result))
  else rmSync(CHART, { force: true })
  writeFileSync(PAGE, withFigures(readFileSync(PAGE, 'utf8'), result))
}
