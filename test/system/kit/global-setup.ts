/** Runs once before the system tests: they need root, and what killed runs left behind goes first. */
import { execFileSync } from 'node:child_process'

const sweep = (): void => {
  execFileSync(new URL('../../../scripts/sweep', import.meta.url).pathname, { stdio: 'inherit' })
}

export default (): (() => void) => {
  if (process.getuid?.() !== 0)
    throw new Error('system tests make namespaces and TAPs: run as root (sudo scripts/test --only system)')
  sweep()
  return sweep
}
