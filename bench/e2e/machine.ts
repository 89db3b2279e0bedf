/** What a result must say of where it was taken. */
import { readFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { must } from '../../test/system/kit/process.ts'
import type { Machine } from './report/result.ts'
import { cpuOfMachine } from './usage.ts'

const LOOK = 1

export const machine = async (): Promise<Machine> => {
  // The checkout may belong to somebody else than root.
  const git = (...args: readonly string[]): Promise<string> => must(['git', '-c', 'safe.directory=*', ...args])
  const before = cpuOfMachine()
  await delay(LOOK * 1000)
  const foreign = (cpuOfMachine() - before) / LOOK / cpus().length
  const model = readFileSync('/proc/cpuinfo', 'utf8').match(/^model name\s*: (.*)$/m)?.[1]
  const ovs = (await must(['ovs-vswitchd', '--version'])).split('\n')[0]!.replace(/^.*\) /, 'Open vSwitch ')
  return {
    commit: (await git('rev-parse', 'HEAD')).trim(),
    changed: (await git('status', '--porcelain', '--untracked-files=no', 'src', 'native')).trim() !== '',
    kernel: release(),
    cpu: model ?? 'unknown',
    cores: cpus().length,
    node: process.versions.node,
    ovs,
    date: new Date().toISOString(),
    foreign: Number(foreign.toFixed(2)),
  }
}
