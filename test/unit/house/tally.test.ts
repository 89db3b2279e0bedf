import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'

// Inside of the checkout, so that the test files below find vitest.
let folder: string
beforeEach(() => {
  folder = mkdtempSync('test/unit/house/tmp-')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const HEAD = "import { it, expect } from 'vitest'\n"

const tally = (source: string): { tally: unknown; output: string } => {
  writeFileSync(join(folder, 'a.case.ts'), HEAD + source)
  const report = join(folder, 'tally.json')
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', '--root', folder, '--reporter', `${process.cwd()}/scripts/reporter.mjs`],
    { encoding: 'utf8', env: { ...process.env, TAPSWITCH_TALLY: join(process.cwd(), report) } },
  )
  return { tally: JSON.parse(readFileSync(report, 'utf8')), output: stdout + stderr }
}

it('counts passes, failures and skips with their reasons; a skip that names no kernel feature is a failure', () => {
  writeFileSync(join(folder, 'vitest.config.ts'), "export default { test: { include: ['*.case.ts'] } }")
  const result = tally(`
it('good', () => {})
it('bad', () => { expect(1).toBe(2) })
it('absent', (c) => c.skip('kernel lacks 8021q'))
it('lazy', (c) => c.skip('later'))
it.skip('lazier', () => {})
`)
  expect(result.tally).toEqual({ passed: 1, failed: 3, skips: [{ name: 'absent', reason: 'kernel lacks 8021q' }] })
  expect(result.output).toContain('counts as failed: lazy')
  expect(result.output).toContain('counts as failed: lazier')
})

it('counts a file that does not load', () => {
  writeFileSync(join(folder, 'vitest.config.ts'), "export default { test: { include: ['*.case.ts'] } }")
  expect(tally("throw new Error('no')").tally).toMatchObject({ passed: 0, failed: 1 })
})

it('closes with the sums, skips before it', () => {
  const files = [
    { passed: 3, failed: 0, skips: [] },
    { passed: 1, failed: 2, skips: [{ name: 'vlan device', reason: 'kernel lacks 8021q' }] },
  ].map((one, i) => {
    writeFileSync(join(folder, `${i}.json`), JSON.stringify(one))
    return join(folder, `${i}.json`)
  })
  const { stdout, status } = spawnSync(process.execPath, ['scripts/tally.mjs', ...files], { encoding: 'utf8' })
  expect(stdout).toBe('skipped: vlan device: kernel lacks 8021q\n4 passed, 2 failed, 1 skipped\n')
  expect(status).toBe(1)
})
