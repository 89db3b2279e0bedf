/** `tapswitch lab`: lists and runs the scenarios of lab/. */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { printJson, printTable } from './table.ts'

const LAB = fileURLToPath(new URL('../../lab', import.meta.url))

const names = (): string[] => readdirSync(LAB).filter((name) => existsSync(`${LAB}/${name}/run`))

export const listLabs = (json: boolean): void => {
  const labs = names().map((name) => ({
    name,
    about: (existsSync(`${LAB}/${name}/README.md`) ? readFileSync(`${LAB}/${name}/README.md`, 'utf8') : '')
      .split('\n')[0]!
      .replace(/^#\s*/, ''),
  }))
  if (json) printJson(labs)
  else
    printTable(
      ['lab', 'about'],
      labs.map((lab) => [lab.name, lab.about]),
    )
}

/** Runs lab/NAME/run with `args`; its exit status becomes ours. A signal to end is the lab's, which clears up first. */
export const runLab = async (name: string, args: readonly string[]): Promise<void> => {
  if (!names().includes(name)) throw new Error(`no lab ${name}; there are: ${names().join(', ')}`)
  const child = spawn(`${LAB}/${name}/run`, args, { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 1))
  })
}
