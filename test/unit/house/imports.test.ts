import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tapswitch-imports-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

/** Runs the checker over a tree of files. */
const check = (files: Record<string, string>): { status: number | null; output: string } => {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/imports.mjs', root], { encoding: 'utf8' })
  return { status, output: stdout + stderr }
}

it('passes the direction of the house', () => {
  const { status, output } = check({
    'src/lib/clock.ts': "import { hrtime } from 'node:process'",
    'src/flow/key.ts': "import type { Slot } from '../packet/slot.ts'",
    'src/datapath/worker.ts': "import { native } from '../native/binding.ts'\nimport './loop.ts'",
    'src/eswitch/contract.ts': "import type { FlowStats } from '../datapath/contract.ts'",
    'src/ofproto/bridge.ts': "export * from '../tunnel/vxlan.ts'",
    'src/cli/tapswitch.ts': "import { Command } from 'commander'\nimport { callVerb } from '../control/client.ts'",
    'src/main.ts': "import { start } from './switch.ts'",
  })
  expect(output).toContain('0 violations')
  expect(status).toBe(0)
})

const VIOLATIONS = [
  ['upwards', 'src/flow/key.ts', "import '../datapath/table.ts'", 'datapath is above flow'],
  ['upwards by type', 'src/lib/log.ts', "import type { X } from '../control/registry.ts'", 'control is above lib'],
  ['upwards by export', 'src/packet/ip.ts', "export * from '../flow/key.ts'", 'flow is above packet'],
  ['upwards by import()', 'src/packet/arp.ts', "const x = await import('../flow/key.ts')", 'flow is above packet'],
  ['a sibling', 'src/eswitch/worker.ts', "import '../datapath/table.ts'", 'siblings'],
  ['a tier from a port', 'src/port/tap.ts', "import '../datapath/contract.ts'", 'datapath is above port'],
  ['the addon', 'src/datapath/table.ts', "import '../native/binding.ts'", 'the addon is for'],
  ['a tier from the CLI', 'src/cli/show.ts', "import '../ofproto/bridge.ts'", 'cli may import only'],
  ['a package elsewhere', 'src/flow/mask.ts', "import { z } from 'zod'", 'the package zod belongs to'],
  [
    'an unknown package',
    'src/lib/ring.ts',
    "import x from '@scope/left-pad/deep'",
    'the package @scope/left-pad is not',
  ],
  ['tests', 'src/lib/clock.ts', "import '../../test/kit.ts'", 'only files of src/'],
  ['a folder without a place', 'src/misc/a.ts', "import '../lib/log.ts'", 'misc has no place'],
] as const

it('refuses every other, naming file, line and reason', () => {
  const { status, output } = check(Object.fromEntries(VIOLATIONS.map(([, path, line]) => [path, `\n${line}\n`])))
  const lines = output.split('\n')
  for (const [what, path, , reason] of VIOLATIONS)
    expect(
      lines.filter((line) => line.startsWith(`${path}:2: imports`) && line.includes(reason)),
      what,
    ).toHaveLength(1)
  expect(output).toContain(`${VIOLATIONS.length} violations`)
  expect(status).toBe(1)
})
