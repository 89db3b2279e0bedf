/**
 * A vitest reporter that writes `{passed, failed, skips: [{name, reason}]}` to the file named by TAPSWITCH_TALLY. A skip that does not say which
 * feature the kernel lacks (test/system/kit/kernel.ts) hides something, and counts as a failure.
 */
import { writeFileSync } from 'node:fs'

const LACKS = /^kernel lacks [\w./-]+/

export const tallyOf = (results) => {
  const tally = { passed: 0, failed: 0, skips: [] }
  const hidden = []
  for (const { name, state, note } of results) {
    if (state === 'passed') tally.passed++
    else if (state === 'skipped' && LACKS.test(note ?? '')) tally.skips.push({ name, reason: note })
    else {
      tally.failed++
      if (state !== 'failed') hidden.push(name)
    }
  }
  return { tally, hidden }
}

export default class TallyReporter {
  onTestRunEnd(modules, errors, reason) {
    const results = []
    for (const module of modules) {
      for (const _ of module.errors()) results.push({ name: module.moduleId, state: 'failed' })
      for (const test of module.children.allTests()) {
        const { state, note } = test.result()
        results.push({ name: test.fullName, state, note })
      }
      for (const suite of module.children.allSuites())
        for (const _ of suite.errors()) results.push({ name: suite.fullName, state: 'failed' })
    }
    for (const error of errors) results.push({ name: String(error.message), state: 'failed' })
    if (reason === 'interrupted') results.push({ name: 'the run was interrupted', state: 'failed' })
    const { tally, hidden } = tallyOf(results)
    for (const name of hidden) console.log(`skipped without naming what the kernel lacks, counts as failed: ${name}`)
    if (process.env.TAPSWITCH_TALLY) writeFileSync(process.env.TAPSWITCH_TALLY, JSON.stringify(tally))
  }
}
