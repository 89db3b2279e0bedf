/** Namespaces for one test, and `ip` in them. */
import { execFileSync } from 'node:child_process'
import { onTestFinished } from 'vitest'
import { Testbed } from '../kit/testbed.ts'

export const ip = (...args: string[]): string =>
  execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

/** Runs many `ip` commands in one process, while this one waits. */
export const ipBatch = (netns: string, lines: readonly string[]): void => {
  execFileSync('ip', ['-n', netns, '-force', '-batch', '-'], {
    input: `${lines.join('\n')}\n`,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
}

/** A namespace that goes with the test. */
export const createNetns = async (): Promise<string> => {
  const bed = new Testbed()
  onTestFinished(() => bed.close())
  return (await bed.guest('n')).netns
}
