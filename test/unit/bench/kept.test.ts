/** What is made from the kept result is what the generators make of it now. */
import { existsSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { chart } from '../../../bench/e2e/report/chart.ts'
import { CHART, PAGE, readResult } from '../../../bench/e2e/report/files.ts'
import { withFigures } from '../../../bench/e2e/report/page.ts'
import { ratiosOf } from '../../../bench/e2e/report/result.ts'

const result = readResult()

it('docs/performance.md: scripts/bench --docs', () => {
  const page = readFileSync(PAGE, 'utf8')
  expect(page).toBe(withFigures(page, result))
})

it('docs/performance.svg: scripts/bench --docs', () => {
  expect(existsSync(CHART) ? readFileSync(CHART, 'utf8') : undefined).toBe(result && chart(result))
})

it('bench/result.json: its ratios are those of its medians', () => {
  expect(result?.ratios).toEqual(result && ratiosOf(result.scenarios))
})
