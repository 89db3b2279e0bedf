import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { must, type Running, run } from '../kit/process.ts'
import { Testbed } from '../kit/testbed.ts'

const bed = new Testbed()
afterAll(() => bed.close())

const LABS = ['l2', 'vlan', 'vxlan', 'route-move'] as const
/** Whose whole is run here. That of vlan is below; those of l2, vxlan and route-move are run by the documentation's tests. */
const WHOLE = ['vxlan6', 'kernel-vtep', 'ovs-vtep', 'flat-and-vxlan', 'neighbour-move', 'mtu'] as const

/** Namespaces of the lab that exist. */
const guestsOf = (lab: string): string[] =>
  existsSync('/run/netns') ? readdirSync('/run/netns').filter((name) => name.startsWith(`${lab}-`)) : []

const switches = async (lab: string): Promise<string[]> =>
  (await run(['pgrep', '-af', `lab/${lab}/[^/ ]*\\.yaml`])).stdout.split('\n').filter((line) => line !== '')

/** Switches that are none of this test's. */
const foreign = new Set((await Promise.all([...LABS, ...WHOLE].map(switches))).flat())

/** What is left of a lab: namespaces, its ledger, a process that reads its configuration. */
const remains = async (lab: string): Promise<string[]> => {
  const ledger = `/run/tapswitch-ledgers/lab-${lab}`
  return [
    ...guestsOf(lab),
    ...(await switches(lab)).filter((line) => !foreign.has(line)),
    ...(existsSync(ledger) ? [ledger] : []),
  ]
}

it.each(WHOLE)(
  'lab %s meets all its expectations and leaves nothing',
  async (lab) => {
    const { code, stdout, stderr } = await run([`lab/${lab}/run`], { timeout: 110_000 })
    expect(stdout + stderr).toMatch(new RegExp(`lab ${lab}: PASS \\(\\d+ expectations\\)\n$`))
    expect(stdout).not.toContain('FAIL')
    expect(code).toBe(0)
    expect(await remains(lab)).toEqual([])
  },
  120_000,
)

it('every lab is run whole by some test', () => {
  const labs = readdirSync('lab').filter((name) => existsSync(`lab/${name}/run`))
  expect(labs.toSorted()).toEqual([...WHOLE, ...LABS].toSorted())
})

describe('a lab that is', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('interrupted by %s leaves nothing', async (signal) => {
    const lab = bed.start(['lab/l2/run'])
    await lab.until(/vm0 -> vm1/, 60_000)
    expect((await remains('l2')).length).toBeGreaterThan(5)
    const { code } = await lab.stop(signal, 60_000)
    expect(code).toBe(signal === 'SIGINT' ? 130 : 143)
    expect(await remains('l2')).toEqual([])
  })

  it.each([
    ['its end', 1],
    ['its end', 2],
    ['its end', 3],
    ['a signal', 1],
    ['a signal', 2],
    ['a signal', 3],
  ] as const)('told to end while it clears up after %s, before step %i, leaves nothing', async (first, step) => {
    mkdirSync(bed.path('twice'), { recursive: true })
    writeFileSync(bed.path('twice/switch.yaml'), 'control: /run/tapswitch/lab-twice.ctl\n')
    // The debug trap runs before each command.
    writeFileSync(
      bed.path('twice/run'),
      `set -u
. lab/lab.sh
lab_begin
lab_guest a
steps=0
second() {
  [[ \${FUNCNAME[1]-} = lab_cleanup ]] || return 0
  steps=$((steps + 1))
  [ $steps != ${step} ] || { echo second; kill -TERM $$; }
}
set -o functrace
trap second DEBUG
${first === 'a signal' ? 'kill -TERM $$' : ''}
`,
    )
    const { code, stdout, stderr } = await run(['bash', bed.path('twice/run')])
    expect({ code, stderr }).toEqual({ code: 143, stderr: '' })
    expect(stdout).toContain('second')
    expect(await remains('twice')).toEqual([])
  })

  it('killed is cleaned up by the next run, whichever it is', async () => {
    const lab = bed.start(['lab/l2/run'])
    await lab.until(/vm0 -> vm1/, 60_000)
    // Its children hold its output open, so that the end is seen in /proc.
    process.kill(lab.pid, 'SIGKILL')
    expect((await remains('l2')).length).toBeGreaterThan(5)
    const next = await must(['lab/vlan/run', '--down'])
    expect(next).toContain('removed what an earlier run left behind: lab-l2')
    expect(await remains('l2')).toEqual([])
  })

  it('kept can be entered and asked, stands while others are swept, and is replaced by a second run', async () => {
    const first = await must(['lab/vlan/run', '--keep'], { timeout: 110_000 })
    // The whole of lab vlan; a run without --keep would show nothing more of it.
    expect(first).toMatch(/lab vlan: PASS \(\d+ expectations\)\n$/)
    expect(first).not.toContain('FAIL')
    expect(first).toContain('enter a guest:    sudo ip netns exec vlan-a10 bash')
    await must(['scripts/sweep'])
    expect(await must(['ip', 'netns', 'exec', 'vlan-a10', 'ping', '-c', '1', '-W', '2', '10.3.10.2'])).toContain(
      ' 0% packet',
    )
    const env = { TAPSWITCH_CONTROL: '/run/tapswitch/lab-vlan.ctl' }
    expect(await must(['node', 'dist/cli/tapswitch.js', 'show'], { env })).toContain('vf0')
    const second = bed.start(['lab/vlan/run'])
    await second.until(/removed what an earlier run left behind: lab-vlan/, 60_000)
    await second.until(/a10 -> 10\.3\.10\.2/, 60_000)
    await second.stop('SIGTERM', 60_000)
    expect(await remains('vlan')).toEqual([])
  }, 150_000)

  it('already running is not disturbed', async () => {
    const lab = bed.start(['lab/l2/run'])
    await lab.until(/vm0 -> vm1/, 60_000)
    const { code, stderr } = await run(['lab/l2/run'])
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/lab l2 is being run by somebody else/) })
    expect(lab.running).toBe(true)
    await lab.stop('SIGTERM', 60_000)
  })

  it('not ours is not touched', async () => {
    await must(['ip', 'netns', 'add', 'l2-vm2'])
    try {
      const { code, stderr } = await run(['lab/l2/run'])
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: expect.stringMatching(/l2-vm2 is there already and not ours; remove it/),
      })
      expect(guestsOf('l2')).toEqual(['l2-vm2'])
    } finally {
      await must(['ip', 'netns', 'del', 'l2-vm2'])
    }
  })
})

it('tapswitch lab run hands a signal on and ends after its lab', async () => {
  const lab = bed.start(['node', 'dist/cli/tapswitch.js', 'lab', 'run', 'vlan'])
  await lab.until(/a10 -> 10\.3\.10\.2/, 60_000)
  expect((await lab.stop('SIGTERM', 60_000)).code).toBe(143)
  expect(await remains('vlan')).toEqual([])
})

describe('the demo', () => {
  /** Its first lab is up and has begun to ping; a group of its own, as a terminal's job is. */
  const begun = async (): Promise<Running> => {
    const demo = bed.start(['setsid', 'scripts/demo'])
    await demo.until(/a1 -> b1, ping/, 60_000)
    expect((await remains('vxlan')).length).toBeGreaterThan(5)
    return demo
  }

  it.each([
    ['SIGINT', 'its group, as Ctrl-C does', -1, 130],
    ['SIGTERM', 'its group', -1, 143],
    ['SIGTERM', 'itself alone', 1, 143],
    ['SIGHUP', 'itself alone', 1, 143],
  ] as const)(
    'ended by %s to %s takes its lab along and starts no other',
    async (signal, _, whom, status) => {
      const demo = await begun()
      process.kill(whom * demo.pid, signal)
      const { code, stdout, stderr } = await demo.exited
      expect({ code, stderr }).toEqual({ code: status, stderr: '' })
      expect(stdout).not.toMatch(/lab route-move|demo: /)
      // But the dead, whom others must bury.
      expect((await run(['pgrep', '-a', '-g', String(demo.pid), '-r', 'D,I,R,S,T'])).stdout).toBe('')
      for (const lab of LABS) expect(await remains(lab)).toEqual([])
    },
    60_000,
  )
})
