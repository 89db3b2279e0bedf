import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { PAGE } from '../../../bench/e2e/report/files.ts'
import { readScale, withScale } from '../../../bench/scale/page.ts'
import { judgeScale, mediansOf, type Point, rowsOf, shortScale } from '../../../bench/scale/result.ts'

const point = (flows: number, uniform: number, zipf: number): Point => ({ flows, masks: 1, figures: { uniform, zipf } })

it('docs/performance.md: scripts/bench --scale --docs', () => {
  const page = readFileSync(PAGE, 'utf8')
  expect(page).toBe(withScale(page, readScale()))
})

it('figures are medians of the rounds that have them', () => {
  expect(mediansOf([{ uniform: 3, put: 1 }, { uniform: 1 }, { uniform: 2.00004 }])).toEqual({ uniform: 2, put: 1 })
})

it('has a row for each figure that a point has', () => {
  expect(rowsOf([point(1000, 200, 190), { flows: 10_000, masks: 1, figures: { uniform: 250.4 } }])).toEqual([
    ['', '1,000 flows', '10,000 flows'],
    ['a frame, any flow, ns', '200', '250'],
    ["a frame, Zipf's law, ns", '190', '-'],
  ])
})

describe('the bound', () => {
  const ratios = (flows: number, uniformRatio: number, zipfRatio: number): Point => ({
    flows,
    masks: 1,
    figures: { uniformRatio, zipfRatio },
  })

  it('is on the most flows', () => {
    const judged = judgeScale({ nic: [ratios(1000, 9, 9), ratios(1_000_000, 1.5, 1.51)] })
    expect(judged.map(({ reached }) => reached)).toEqual([true, false])
    expect(shortScale(judged[1]!)).toBe(
      "SHORT scale: a frame, 1,000,000 flows: Zipf's law, by 1,000 flows: 1.51 times, <= 1.5 wanted",
    )
  })

  it('is missed by what was not measured', () => {
    expect(judgeScale({ nic: [ratios(1000, 1, 1), point(2000, 1, 1)] })[0]).toMatchObject({ reached: false })
  })
})
