/** Running programs, in a namespace or not: to their end, or in the background until something is printed. */
import { type ChildProcess, spawn } from 'node:child_process'

export interface RunOptions {
  /** Name of a namespace of `ip netns`; absent: the test's own. */
  readonly netns?: string
  readonly input?: string | Uint8Array
  /** Milliseconds, then SIGKILL and an Error; 30,000 unless told. */
  readonly timeout?: number
  readonly env?: Record<string, string>
}

export interface RunResult {
  /** Exit status; 128 + signal number is not used: a signal's name is in `signal`. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

const commandOf = (argv: readonly string[], netns: string | undefined): string[] =>
  netns === undefined ? [...argv] : ['ip', 'netns', 'exec', netns, ...argv]

/** A program in the background. Its output is kept whole. */
export class Running {
  readonly argv: readonly string[]
  readonly child: ChildProcess
  stdout = ''
  stderr = ''
  readonly exited: Promise<RunResult>
  #changed: (() => void)[] = []

  constructor(argv: readonly string[], options: RunOptions = {}) {
    this.argv = argv
    const [file, ...args] = commandOf(argv, options.netns)
    this.child = spawn(file!, args, { stdio: 'pipe', env: { ...process.env, ...options.env } })
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
      this.#notify()
    })
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
      this.#notify()
    })
    // A child that ends before it has read its input is judged by its exit, not by EPIPE.
    this.child.stdin?.on('error', () => undefined)
    this.exited = new Promise((resolve, reject) => {
      this.child.once('error', reject)
      this.child.once('close', (code, signal) => {
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr })
        this.#notify()
      })
    })
    this.exited.catch(() => this.#notify())
    if (options.input !== undefined) this.child.stdin?.end(options.input)
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error(`${this.argv.join(' ')} did not start`)
    return this.child.pid
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  #notify(): void {
    const waiting = this.#changed
    this.#changed = []
    for (const wake of waiting) wake()
  }

  /** Resolves when `pattern` stands in the output (both streams). Rejects with the output when the program ends before, or after `timeout` ms. */
  async until(pattern: RegExp, timeout = 10_000): Promise<RegExpMatchArray> {
    const deadline = Date.now() + timeout
    for (;;) {
      const match = `${this.stdout}\n${this.stderr}`.match(pattern)
      if (match) return match
      const left = deadline - Date.now()
      if (!this.running || left <= 0) {
        const why = this.running ? `not seen within ${timeout} ms` : 'the program ended before'
        throw new Error(`${this.argv.join(' ')}: ${pattern}: ${why}\n${this.stdout}${this.stderr}`)
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#changed.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }

  /** Sends `signal` and waits for the end; after `timeout` ms SIGKILL. Harmless when it has ended. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', timeout = 5000): Promise<RunResult> {
    if (this.running) this.child.kill(signal)
    const timer = setTimeout(() => this.child.kill('SIGKILL'), timeout)
    try {
      return await this.exited
    } finally {
      clearTimeout(timer)
    }
  }
}

/** Runs to the end; any exit status is a result. */
export const run = async (argv: readonly string[], options: RunOptions = {}): Promise<RunResult> => {
  const running = new Running(argv, { ...options, input: options.input ?? '' })
  const limit = options.timeout ?? 30_000
  let expired = false
  const timer = setTimeout(() => {
    expired = true
    running.child.kill('SIGKILL')
  }, limit)
  try {
    const result = await running.exited
    if (expired) throw new Error(`${argv.join(' ')}: no end within ${limit} ms\n${result.stdout}${result.stderr}`)
    return result
  } finally {
    clearTimeout(timer)
  }
}

/** Runs to the end and returns standard output; throws with both outputs when the exit status is not 0. */
export const must = async (argv: readonly string[], options: RunOptions = {}): Promise<string> => {
  const result = await run(argv, options)
  if (result.code !== 0)
    throw new Error(`${argv.join(' ')}: exit ${result.code ?? result.signal}\n${result.stdout}${result.stderr}`)
  return result.stdout
}
