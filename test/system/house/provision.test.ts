import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { must } from '../kit/process.ts'

it('provisions a machine, and finds nothing to do the second time', async () => {
  const bin = mkdtempSync(join(tmpdir(), 'tapswitch-bin-'))
  try {
    const provision = (): Promise<string> =>
      must(['scripts/provision', process.cwd()], { env: { TAPSWITCH_BIN: bin }, timeout: 120_000 })
    expect(await provision()).toContain('provisioned')
    expect((await provision()).trim().split('\n')).toEqual([expect.stringContaining('provisioned')])
    expect(await must([join(bin, 'tapswitch'), '--help'])).toContain('Usage: tapswitch')
  } finally {
    rmSync(bin, { recursive: true, force: true })
  }
}, 250_000)
