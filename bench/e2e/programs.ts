/** The bench's own C++ programs, compiled when their source is newer. */
import { mkdirSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { must } from '../../test/system/kit/process.ts'

const FOLDER = fileURLToPath(new URL('../../build/bench', import.meta.url))

const timeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** Path of the compiled program. */
export const program = async (name: 'splice' | 'small'): Promise<string> => {
  const source = fileURLToPath(new URL(`${name}.cpp`, import.meta.url))
  const binary = `${FOLDER}/${name}`
  if (timeOf(binary) < timeOf(source)) {
    mkdirSync(FOLDER, { recursive: true })
    await must(['g++', '-std=c++17', '-O2', '-Wall', '-Wextra', '-Werror', '-o', binary, source], { timeout: 120_000 })
  }
  return binary
}
