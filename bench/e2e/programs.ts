/** The bench's own C++ programs, compiled for this machine's processor when a source is newer. */
import { mkdirSync, readdirSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { must } from '../../test/system/kit/process.ts'

const SOURCES = fileURLToPath(new URL('native', import.meta.url))
const FOLDER = fileURLToPath(new URL('../../build/bench', import.meta.url))

export type Program = 'splice' | 'uring' | 'vxlan' | 'traffic'

const PARTS: Readonly<Record<Program, readonly string[]>> = {
  splice: ['splice.cpp', 'tap.cpp'],
  uring: ['uring.cpp', 'tap.cpp'],
  vxlan: ['vxlan.cpp', 'tap.cpp'],
  traffic: ['traffic.cpp'],
}

const FLAGS = ['-std=c++17', '-O3', '-march=native', '-Wall', '-Wextra', '-Werror']

const timeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** Path of a program that `compile` has made. */
export const program = (name: Program): string => `${FOLDER}/${name}`

/** Compiles what is missing or older than any source. Rejects with the compiler's words. */
export const compile = async (): Promise<void> => {
  mkdirSync(FOLDER, { recursive: true })
  const newest = Math.max(...readdirSync(SOURCES).map((name) => timeOf(`${SOURCES}/${name}`)))
  const stale = (Object.keys(PARTS) as Program[]).filter((name) => timeOf(program(name)) < newest)
  await Promise.all(
    stale.map((name) =>
      must(['g++', ...FLAGS, '-o', program(name), ...PARTS[name].map((part) => `${SOURCES}/${part}`)], {
        timeout: 120_000,
      }),
    ),
  )
}
