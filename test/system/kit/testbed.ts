/**
 * What one test makes on the machine, undone in reverse order at its end: namespaces with names of their own, processes, files. Everything is noted in
 * a ledger first, so that a killed run is cleaned up by the next.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ledger } from './ledger.ts'
import { must, Running, type RunOptions, type RunResult, run } from './process.ts'

let created = 0

/** A namespace that stands for a guest or a host of the underlay. */
export class Guest {
  readonly #bed: Testbed
  /** Its name for `ip netns`. */
  readonly netns: string

  constructor(bed: Testbed, netns: string) {
    this.#bed = bed
    this.netns = netns
  }

  /** Runs in the namespace and returns standard output; throws when the exit status is not 0. */
  must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    return must(argv, { ...options, netns: this.netns })
  }

  run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run(argv, { ...options, netns: this.netns })
  }

  /** Starts in the background; ended with the test bed. */
  start(argv: readonly string[], options: RunOptions = {}): Running {
    return this.#bed.start(argv, { ...options, netns: this.netns })
  }

  /** Sets a link up and gives it addresses ('10.0.0.1/24', 'fd00::1/64'); IPv6 ones without duplicate detection, so that they are usable at once. */
  async address(link: string, ...addresses: readonly string[]): Promise<void> {
    const lines = addresses.map((a) => `address add ${a} dev ${link}${a.includes(':') ? ' nodad' : ''}`)
    await must(['ip', '-netns', this.netns, '-batch', '-'], { input: [...lines, `link set ${link} up`, ''].join('\n') })
  }

  async sysctl(key: string, value: string | number): Promise<void> {
    await this.must(['sysctl', '-q', '-w', `${key}=${value}`])
  }
}

export class Testbed {
  readonly prefix: string
  /** A folder of its own for captures and configuration. */
  readonly folder: string
  readonly #ledger: Ledger
  readonly #undo: (() => unknown)[] = []
  #closing: Promise<void> | undefined

  constructor() {
    this.prefix = `ts${process.pid}x${created++}`
    this.#ledger = new Ledger(`test-${this.prefix}`)
    this.folder = mkdtempSync(join(tmpdir(), `tapswitch-${this.prefix}-`))
    this.defer(() => rmSync(this.folder, { recursive: true, force: true }))
  }

  /** Registers something to be done at the end, last first. */
  defer(undo: () => unknown): void {
    this.#undo.push(undo)
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  /** The name that `guest(name)` gives its namespace; for configuration files. */
  netns(name: string): string {
    return `${this.prefix}-${name}`
  }

  /** Makes a namespace with its loopback up. */
  async guest(name: string): Promise<Guest> {
    const netns = this.netns(name)
    this.#ledger.netns(netns)
    await must(['ip', 'netns', 'add', netns])
    this.defer(() => run(['ip', 'netns', 'del', netns]))
    await must(['ip', '-netns', netns, 'link', 'set', 'lo', 'up'])
    return new Guest(this, netns)
  }

  guests<const Name extends string>(...names: readonly Name[]): Promise<Record<Name, Guest>> {
    return Promise.all(names.map(async (name) => [name, await this.guest(name)] as const)).then(
      (entries) => Object.fromEntries(entries) as Record<Name, Guest>,
    )
  }

  start(argv: readonly string[], options: RunOptions = {}): Running {
    const running = new Running(argv, options)
    this.#ledger.process(running.pid)
    this.defer(() => running.stop())
    return running
  }

  /** A file outside of the folder that somebody will make. */
  noteFile(path: string): void {
    this.#ledger.file(path)
    this.defer(() => rmSync(path, { force: true }))
  }

  /** Undoes everything; the first failure is thrown after all has been tried. Who asks again, as an interruption does in the midst of it, waits for the same end. */
  close(): Promise<void> {
    this.#closing ??= this.#close().finally(() => {
      this.#closing = undefined
    })
    return this.#closing
  }

  async #close(): Promise<void> {
    const failures: unknown[] = []
    for (const undo of this.#undo.splice(0).reverse()) {
      try {
        await undo()
      } catch (error) {
        failures.push(error)
      }
    }
    this.#ledger.close()
    if (failures.length > 0) throw failures[0]
  }
}
