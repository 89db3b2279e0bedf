import { afterAll, expect, it } from 'vitest'
import { run } from '../kit/process.ts'
import { Testbed } from '../kit/testbed.ts'

const bed = new Testbed()
afterAll(() => bed.close())

const namespaces = async (pid: number): Promise<string[]> =>
  (await run(['ip', 'netns', 'list'])).stdout.split('\n').filter((line) => line.startsWith(`ts${pid}x`))

it('scripts/bench that is interrupted leaves no namespace and no process', async () => {
  const argv = ['scripts/bench', '--scenario', 'l2', '--setup', 'splice-epoll', '--setup', 'offloaded']
  const bench = bed.start(argv)
  await bench.until(/^l2: 2 set-ups stand$/m, 60_000)
  expect(await namespaces(bench.pid)).not.toEqual([])
  const { code } = await bench.stop('SIGINT', 20_000)
  expect(code).toBe(130)
  expect(await namespaces(bench.pid)).toEqual([])
  expect((await run(['pgrep', '-f', `ts${bench.pid}x`])).stdout).toBe('')
})
