import { afterAll, expect, it } from 'vitest'
import { run } from '../kit/process.ts'
import { Testbed } from '../kit/testbed.ts'

const bed = new Testbed()
afterAll(() => bed.close())

/** `timeout` makes a group of its own, which a terminal's Ctrl-C does not reach. */
it.each([
  ['SIGINT', 'its group, as Ctrl-C does', -1, 130],
  ['SIGTERM', 'itself alone', 1, 143],
] as const)('scripts/test ended by %s to %s takes the running level along', async (signal, _, whom, status) => {
  const tests = bed.start(['setsid', 'scripts/test', '--only', 'pipeline'])
  await tests.until(/ RUN /, 60_000)
  process.kill(whom * tests.pid, signal)
  const { code, stdout } = await tests.exited
  expect(code).toBe(status)
  expect(stdout).not.toMatch(/passed|failed|vitest ended/)
  // But the dead, whom others must bury.
  expect((await run(['pgrep', '-a', '-s', String(tests.pid), '-r', 'D,I,R,S,T'])).stdout).toBe('')
})
