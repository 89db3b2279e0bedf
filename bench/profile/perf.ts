/** What perf(1) sees of the same processes, kernel included; nothing where it is not installed or not allowed. */
import { run } from '../../test/system/kit/process.ts'

const MOST_LINES = 25

/** Watches processes for `seconds`; `file` is where its samples go. Resolves with a table, or with why there is none. */
export const perf = async (pids: readonly number[], seconds: number, file: string): Promise<string> => {
  const available = await run(['sh', '-c', 'command -v perf'])
  if (available.code !== 0) return 'perf: not installed (Debian: linux-perf)'
  const timeout = (seconds + 20) * 1000
  const argv = ['perf', 'record', '-q', '-F', '499', '-p', pids.join(), '-o', file, '--', 'sleep', String(seconds)]
  const recorded = await run(argv, { timeout })
  if (recorded.code !== 0) return `perf: ${(recorded.stderr || recorded.stdout).trim().split('\n')[0]}`
  const sort = ['--sort', 'dso,symbol', '--stdio', '--no-children', '--percent-limit', '0.5']
  const report = await run(['perf', 'report', '-q', '-i', file, ...sort], { timeout })
  if (report.code !== 0) return `perf: ${report.stderr.trim().split('\n')[0]}`
  const lines = report.stdout.split('\n').filter((line) => line.trim() !== '')
  return ['perf, both sides of the system call:', '', ...lines.slice(0, MOST_LINES)].join('\n')
}
