/** The bench and the profiler still work: each in its shortest form, which leaves nothing behind. What figures they give means nothing. */
import { afterAll, expect, it } from 'vitest'
import { run } from '../kit/process.ts'
import { Testbed } from '../kit/testbed.ts'

const bed = new Testbed()
afterAll(() => bed.close())

/** Runs to the end; no namespace and no process of its is left. */
const complete = async (argv: readonly string[]): Promise<string> => {
  const running = bed.start(argv)
  const { code, stdout, stderr } = await running.exited
  expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' })
  const mark = `ts${running.pid}x`
  expect((await run(['ip', 'netns', 'list'])).stdout).not.toContain(mark)
  expect((await run(['pgrep', '-f', mark])).stdout).toBe('')
  return stdout
}

it('scripts/bench --smoke: a limit, the switch, Open vSwitch and the kernel, with and without a tunnel', async () => {
  const setups = ['splice-epoll', 'splice-uso', 'offloaded', 'ovs', 'kernel'].flatMap((name) => ['--setup', name])
  const out = await complete(['scripts/bench', '--smoke', '--scenario', 'l2', '--scenario', 'vxlan-cut', ...setups])
  for (const setup of ['splice-epoll', 'offloaded', 'ovs', 'kernel'])
    expect(out).toContain(`l2, round 1, ${setup}: TCP 1 `)
  for (const setup of ['splice-uso', 'offloaded', 'kernel'])
    expect(out).toContain(`vxlan-cut, round 1, ${setup}: TCP 1 `)
})

it('scripts/bench --scale --smoke: offloaded and masked flows', async () => {
  const out = await complete(['scripts/bench', '--scale', '--smoke'])
  expect(out).toMatch(/^a frame, any flow, ns +-?\d+ +-$/m)
  expect(out).toMatch(/^ +2,000 flows, 20 masks$/m)
})

it.each(['scripts/profile l2-udp', 'scripts/profile vxlan-cut-tcp'])(
  '%s --smoke: a table for each thread',
  async (command) => {
    const out = await complete([...command.split(' '), '--smoke'])
    for (const thread of ['main', 'datapath', 'eswitch'])
      expect(out).toMatch(new RegExp(`^${thread}, process \\d+: \\d+ ms`, 'm'))
    // What the eswitch's thread must have done to carry a frame.
    const eswitch = out.slice(out.search(/^eswitch, process/m))
    for (const part of ['native I/O', 'extraction', 'look-up']) expect(eswitch).toContain(part)
  },
)
