import { chmodSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { run } from '../kit/process.ts'

let stubs: string
beforeEach(() => {
  stubs = mkdtempSync(join(tmpdir(), 'tapswitch-stubs-'))
})
afterEach(() => rmSync(stubs, { recursive: true, force: true }))

const stub = (name: string, script: string): void => {
  writeFileSync(join(stubs, name), `#!/bin/sh\n${script}\n`)
  chmodSync(join(stubs, name), 0o755)
}

const PATH = process.env['PATH'] ?? ''
const withStubs = (): Record<string, string> => ({ PATH: `${stubs}:${PATH}` })

/** A PATH with everything but the named programs. */
const without = (...names: string[]): Record<string, string> => {
  for (const folder of ['/bin', '/usr/bin', '/sbin', '/usr/sbin'])
    for (const name of readdirSync(folder))
      if (!names.includes(name) && !name.includes('/'))
        try {
          symlinkSync(join(folder, name), join(stubs, name))
        } catch {
          // The same program in two folders.
        }
  return { PATH: stubs }
}

const COMMANDS = ['scripts/demo', 'scripts/test', 'lab/l2/run', 'scripts/provision'] as const

/** One line, on standard error, that matches; and a failure. */
const refuses = async (argv: readonly string[], env: Record<string, string>, line: RegExp): Promise<void> => {
  const { code, stdout, stderr } = await run(argv, { env })
  expect({ code, lines: stderr.trim().split('\n').length }, stderr).toEqual({ code: 1, lines: 1 })
  expect(stdout).not.toContain('passed')
  expect(stderr).toMatch(line)
}

describe.each(COMMANDS)('%s says in one line what is wrong and what to do', (command) => {
  it('not root', async () => {
    stub('id', 'echo 1000')
    await refuses([command], withStubs(), new RegExp(`must be root.*sudo ${command}`))
  })

  it('no /dev/net/tun', async () => {
    const hidden = `mount -t tmpfs none /dev/net && exec ${command}`
    await refuses(['unshare', '-m', 'sh', '-c', hidden], {}, /\/dev\/net\/tun is missing; run: modprobe tun/)
  })

  it('Node too old', async () => {
    stub('node', 'echo 18.20.4')
    await refuses([command], withStubs(), /Node\.js 18\.20\.4 .* is too old, >= 20\.19\.0 is needed; install/)
  })

  it('a Debian package that cannot be had', async () => {
    stub('dpkg-query', 'exit 1')
    stub('apt-get', 'echo "E: Unable to fetch some archives"; exit 100')
    const { code, stderr } = await run([command], { env: withStubs() })
    expect(code).toBe(1)
    expect(stderr.trim().split('\n')).toHaveLength(1)
    expect(stderr).toMatch(/apt-get install .*iproute2.* failed: E: Unable to fetch some archives; .* run again/)
  })
})

it('tells where root looks for Node when there is none', async () => {
  await refuses(
    ['scripts/demo'],
    without('node', 'nodejs'),
    /not on root's PATH; install it .* or, if your user has it: sudo env PATH=/,
  )
})

it('names the packages where there is no apt-get', async () => {
  stub('dpkg-query', 'exit 1')
  const env = without('apt-get', 'dpkg-query')
  await refuses(['scripts/demo'], env, /missing: iproute2 .*install them and run again/)
})

it.each([
  ['scripts/test', '--only', 'nothing'],
  ['scripts/demo', '--kep'],
  ['lab/l2/run', 'up'],
])('%s %s: refuses what it does not know', async (...argv) => {
  await refuses(argv, {}, /--only takes one of: lint types .*nothing|unknown argument (--kep|up); see --help/)
})

it.each(['scripts/test', 'scripts/demo', 'lab/l2/run', 'scripts/bench'])('%s --help', async (command) => {
  const { code, stdout } = await run([command, '--help'])
  expect({ code, usage: stdout.startsWith('Usage: sudo ') }).toEqual({ code: 0, usage: true })
})
