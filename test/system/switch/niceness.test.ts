import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { TAPSWITCH } from '../kit/daemon.ts'
import { type Running, run } from '../kit/process.ts'
import { Testbed } from '../kit/testbed.ts'

/** The switch's standing with the kernel's scheduler. */

let bed: Testbed
beforeEach(() => {
  bed = new Testbed()
})
afterEach(() => bed.close())

/** A switch with both kinds of workers. `by`: what starts it. */
const start = async (by: readonly string[], ...options: readonly string[]): Promise<Running> => {
  const file = bed.path('s.yaml')
  const eswitches = { nic0: { ports: { vf1: { role: 'vf' } } } }
  writeFileSync(
    file,
    JSON.stringify({ control: bed.path('s.ctl'), eswitches, bridges: { br0: { ports: { vf1: {} } } } }),
  )
  const host = await bed.guest('host')
  const running = host.start([...by, process.execPath, TAPSWITCH, 'run', '--config', file, ...options])
  await running.until(/^ready: /m)
  return running
}

/** Of all its threads (proc_pid_stat(5), field 19). */
const nicenesses = ({ pid }: Running): number[] => {
  const threads = readdirSync(`/proc/${pid}/task`)
  // Main, two workers, and V8's own.
  expect(threads.length).toBeGreaterThan(3)
  const ofThread = (thread: string): number =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8').split(') ')[1]!.split(' ')[16])
  return [...new Set(threads.map(ofThread))]
}

it("all its threads have a switch's, -4", async () => {
  expect(nicenesses(await start([]))).toEqual([-4])
})

it('what it is told goes before', async () => {
  expect(nicenesses(await start([], '--nice', '-12'))).toEqual([-12])
})

it('what who started it has chosen goes before', async () => {
  expect(nicenesses(await start(['nice', '-n', '4']))).toEqual([4])
})

it('without the privilege it runs at that of others, and says so', async () => {
  const running = await start(['setpriv', '--inh-caps=-all', '--bounding-set=-all,+net_admin,+sys_admin'])
  expect(nicenesses(running)).toEqual([0])
  expect(running.stderr).toMatch(/"nice":-4,.*EACCES.*"msg":"niceness refused/)
})

it('another word than a niceness is refused', async () => {
  const result = await run([process.execPath, TAPSWITCH, 'run', '--config', bed.path('s.yaml'), '--nice', 'high'])
  expect(result).toMatchObject({ code: 1, stderr: 'tapswitch: --nice high: a niceness of -20..19 expected\n' })
})
