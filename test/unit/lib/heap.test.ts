import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import ts from 'typescript'
import { expect, it } from 'vitest'

/** Compiled here: what compiles on the way is a thread of its own, with a heap of its own. */
const HEAP = ts.transpileModule(readFileSync(new URL('../../../src/lib/heap.ts', import.meta.url), 'utf8'), {
  compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
}).outputText

/** Leaves garbage to be collected, and is idle then. */
const BUSY_THEN_IDLE = `
  let kept = []
  for (let i = 0; i < 600_000; i++) kept.push({ i, list: [i] })
  kept = []
  setTimeout(() => {}, 1000)`

/** What V8 says of its memory reducer, which is to wait for 50 ms instead of eight seconds. */
const reducer = async (before: string): Promise<string[]> => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...['--trace-gc-verbose', '--gc-memory-reducer-start-delay-ms=50'],
    ...['--input-type=module', '--eval', `${before}\n${BUSY_THEN_IDLE}`],
  ])
  return stdout.split('\n').filter((line) => line.includes('Memory reducer'))
}

it("V8's memory reducer, which comes to a quiet heap by itself, does not", async () => {
  const [without, called] = await Promise.all([reducer(HEAP), reducer(`${HEAP}\nkeepCodeWhenIdle()`)])
  expect(without).not.toEqual([])
  expect(called).toEqual([])
}, 30_000)
