/**
 * The note of what a test run makes outside of its own process, written before it is made; scripts/ledger.sh has the format and undoes it for
 * runs that were killed.
 */
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'

const FOLDER = '/run/tapswitch-ledgers'

/** Start time of a process in clock ticks since boot (proc(5), stat, field 22), or '' when it is gone. */
export const processStart = (pid: number): string => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}

export class Ledger {
  readonly #file: string

  /** One owner, this process; `name` is unique among living runs. */
  constructor(name: string) {
    mkdirSync(FOLDER, { recursive: true })
    this.#file = `${FOLDER}/${name}`
    writeFileSync(this.#file, `owner ${process.pid} ${processStart(process.pid)}\n`)
  }

  netns(name: string): void {
    appendFileSync(this.#file, `netns ${name}\n`)
  }

  process(pid: number): void {
    appendFileSync(this.#file, `process ${pid} ${processStart(pid)}\n`)
  }

  file(path: string): void {
    appendFileSync(this.#file, `file ${path}\n`)
  }

  /** To be called when all that was noted is undone. */
  close(): void {
    rmSync(this.#file, { force: true })
  }
}
